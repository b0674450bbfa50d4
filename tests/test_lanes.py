import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace

import pytest

from job.lanes import Lane, Lanes
from job.memory_cap import GIB
from job.records import Format
from job.requests import BenchmarkRequest, ConvertRequest, RaceRequest, SourceRequest, VerifyRequest
from tests.jobs import until

SOURCE = SourceRequest(format=Format.GRAPH_DEF, directory="d", entry="e")
CONVERT = ConvertRequest(source=SOURCE, saved_model="s")
BENCHMARK = BenchmarkRequest(source=SOURCE, saved_model="s", effort="quick")
RACE = RaceRequest(source=SOURCE, saved_models={}, budget_s=1.0)
VERIFY = VerifyRequest(source=SOURCE, saved_model="s", mode="exact", tolerance=0.0)
ON_GPU = replace(VERIFY, device="gpu")


class Floor:
    """Counts who is at work at once, whoever it is, and what each wanted."""

    def __init__(self, lanes: Lanes) -> None:
        self._lanes, self._lock = lanes, threading.Lock()
        self.at_work: list[object] = []
        self.beside: list[tuple[object, ...]] = []

    def work(self, request: object, size_bytes: int = 0, pause_s: float = 0.01) -> None:
        """Work at a request, or transfer where it is a text."""
        turn = self._lanes.transfer() if isinstance(request, str) else self._lanes.turn(request, size_bytes)
        with turn, self._noted(request):
            time.sleep(pause_s)

    @contextmanager
    def _noted(self, request: object) -> Iterator[None]:
        with self._lock:
            self.at_work.append(request)
            self.beside.append(tuple(self.at_work))
        yield
        with self._lock:
            self.at_work.remove(request)


def lanes_of(count: int) -> Lanes:
    """Return so many lanes of the processors."""
    return Lanes([Lane(forkservers={}) for _ in range(count)])


def together(*calls: Callable[[], object], timeout_s: float = 20) -> None:
    """Call all at once, each in a thread, and wait for their ends; fails if one does not end."""
    threads = [threading.Thread(target=call, daemon=True) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout_s)
    assert not any(thread.is_alive() for thread in threads)


@contextmanager
def held(*turns: object) -> Iterator[None]:
    """Let a context last in another thread."""
    begun, end = threading.Event(), threading.Event()

    def hold() -> None:
        with turns[0]:  # type: ignore[attr-defined]
            begun.set()
            end.wait(20)

    thread = threading.Thread(target=hold, daemon=True)
    thread.start()
    assert begun.wait(5)
    yield
    end.set()
    thread.join(5)


@pytest.mark.parametrize("seed", range(5))
def test_whoever_measures_is_alone(seed: int) -> None:
    """In any mixture of stages, transfers, races and benchmarks none of ours runs beside one that measures."""
    floor = Floor(lanes_of(3))
    wanted: list[object] = [*[CONVERT] * 20, *[BENCHMARK] * 4, *[RACE] * 4, *["upload"] * 10]
    random.Random(seed).shuffle(wanted)  # noqa: S311 - no secret
    together(*[lambda one=one: floor.work(one) for one in wanted])
    assert len(floor.beside) == len(wanted)
    assert all(beside == (beside[0],) for beside in floor.beside if BENCHMARK in beside or RACE in beside)
    assert max(map(len, floor.beside)) > 1


def test_no_more_stages_compute_at_once_than_there_are_lanes() -> None:
    """Each has one of its own; transfers take none."""
    floor = Floor(lanes_of(2))
    together(*[lambda: floor.work(CONVERT, pause_s=0.2)] * 6, *[lambda: floor.work("x", pause_s=0.5)] * 3)
    stages = [sum(one is CONVERT for one in beside) for beside in floor.beside]
    assert max(stages) == 2
    assert max(map(len, floor.beside)) >= 4


def test_benchmark_is_not_overtaken_for_ever() -> None:
    """It waits for the stages that are at work, and those that come later wait for it."""
    lanes, order = lanes_of(2), list[str]()

    def note(request: object, what: str) -> None:
        with lanes.turn(request):
            order.append(what)

    with held(lanes.turn(CONVERT)):
        measuring = threading.Thread(target=note, args=(BENCHMARK, "benchmark"))
        measuring.start()
        until(lambda: lanes._alone)
        later = threading.Thread(target=note, args=(CONVERT, "later"))
        later.start()
        until(lambda: len(lanes._waiting) == 2)
        assert order == []  # though one lane is free
    measuring.join(5)
    later.join(5)
    assert order == ["benchmark", "later"]


def test_stages_pass_a_benchmark_that_waits_for_a_transfer() -> None:
    """A long upload idles no lane; once it has ended the benchmark is next, and no other transfer came between."""
    lanes, order = lanes_of(2), list[str]()

    def note(turn: AbstractContextManager[object], what: str) -> None:
        with turn:
            order.append(what)

    with held(lanes.transfer()):
        measuring = threading.Thread(target=note, args=(lanes.turn(BENCHMARK), "benchmark"))
        measuring.start()
        until(lambda: lanes._alone)
        upload = threading.Thread(target=note, args=(lanes.transfer(), "upload"))
        upload.start()
        together(*[lambda: note(lanes.turn(CONVERT), "stage")] * 3, timeout_s=5)
    measuring.join(5)
    upload.join(5)
    assert order == ["stage"] * 3 + ["benchmark", "upload"]


def test_last_transfer_goes_ahead_once_the_job_was_told_to_end() -> None:
    """A proven artifact that waits for a benchmark is not lost with it."""
    told = threading.Event()

    def check() -> None:
        if told.is_set():
            raise KeyboardInterrupt("SIGTERM came")

    lanes = Lanes([Lane(forkservers={})], check=check)
    with held(lanes.turn(BENCHMARK)):
        start = time.monotonic()
        threading.Timer(0.1, told.set).start()
        with lanes.transfer(is_last=True):
            assert time.monotonic() - start > 0.05
        told.clear()
    with lanes.turn(BENCHMARK):
        pass


def test_large_artifact_takes_as_many_lanes_as_its_memory() -> None:
    """What is left of the machine is no lane's: a checkpoint that needs all of it computes alone, and has all of it."""
    lanes = lanes_of(4)
    with lanes.turn(CONVERT, 50 * 2**20) as small:
        assert (small.place.share, small.is_whole) == (0.25, False)
    with lanes.turn(CONVERT, 400 * 2**20) as large:
        assert large.place.share == 0.5
    with lanes.turn(VERIFY, 200 * 2**20) as copied:
        assert copied.place.share == 0.75
    with lanes.turn(replace(CONVERT, source=replace(SOURCE, format=Format.CHECKPOINT)), 2 * GIB) as streamed:
        assert streamed.place.share == 0.5
    with lanes.turn(CONVERT, 100 * GIB) as whole:
        assert (whole.place.share, whole.is_whole) == (1, True)
    with lanes.turn(CONVERT, is_whole=True) as asked:
        assert (asked.place.share, asked.is_whole) == (1, True)
    roomy = Lanes([Lane(forkservers={}), Lane(forkservers={})], lane_bytes=20 * GIB)
    with roomy.turn(CONVERT, GIB), roomy.turn(CONVERT, GIB) as beside:
        assert beside.place.share == 0.5


def test_stage_on_the_gpu_has_its_lane_and_the_others_theirs() -> None:
    """The next artifact is converted while this one is verified on the GPU; two on the GPU would share its memory."""
    gpu, cpu = Lane(forkservers={}, on_gpu=True, gpu="7"), Lane(forkservers={})
    lanes = Lanes([gpu, cpu], share=0.125)
    floor = Floor(lanes)
    together(*[lambda one=one: floor.work(one, pause_s=0.3) for one in [ON_GPU, ON_GPU, CONVERT, CONVERT]])
    assert {tuple(map(id, sorted(beside, key=id))) for beside in floor.beside if len(beside) > 1} == {
        tuple(sorted((id(ON_GPU), id(CONVERT))))
    }
    with lanes.turn(ON_GPU) as turn:
        assert (turn.forkservers, turn.place.gpu, turn.place.share) == (gpu.forkservers, "7", 0.125)
        with lanes.turn(CONVERT) as beside:
            assert beside.place.gpu == ""
    with lanes.turn(replace(BENCHMARK, device="gpu")) as alone:
        assert alone.place.gpu == "7"
    with lanes.turn(ON_GPU, 100 * GIB) as large:
        assert (large.place.gpu, large.place.share) == ("7", 0.25)


def test_what_fails_gives_its_lane_back() -> None:
    """A stage's error costs no lane, a benchmark's lets the transfers go on."""
    lanes = lanes_of(2)
    for request in (CONVERT, BENCHMARK, RACE):
        with pytest.raises(ZeroDivisionError), lanes.turn(request):
            raise ZeroDivisionError
    with lanes.turn(CONVERT), lanes.turn(CONVERT), lanes.transfer():
        pass


@pytest.mark.parametrize("request_", [CONVERT, BENCHMARK, "transfer"])
def test_who_waits_learns_of_the_end(request_: object) -> None:
    """No signal reaches a thread that waits for its turn; and who has given up is waited for no more."""
    told = threading.Event()

    def check() -> None:
        if told.is_set():
            raise KeyboardInterrupt("SIGTERM came")

    lanes = Lanes([Lane(forkservers={})], check=check)
    with held(lanes.turn(BENCHMARK)):
        threading.Timer(0.1, told.set).start()
        turn = lanes.transfer() if request_ == "transfer" else lanes.turn(request_)
        with pytest.raises(KeyboardInterrupt, match="SIGTERM came"), turn:
            pass
        told.clear()
    with lanes.turn(CONVERT), lanes.transfer():
        pass


@pytest.mark.parametrize(("count", "at_work"), [(1, 1), (2, 3), (4, 5)])
def test_one_artifact_more_is_at_work_than_there_are_lanes(count: int, at_work: int) -> None:
    """It is published while the others compute; with one lane artifacts come one after another."""
    assert lanes_of(count).at_work == at_work
