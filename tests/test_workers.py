import os
import resource
import signal
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from job import workers
from job.errors import DeviceError, Internal, JobError, LocalIOError, Poison, Refused
from job.forkserver_process import Lost
from job.memory_cap import memory_cap
from job.processes import children_of
from job.task_files import TaskFiles
from job.tasks import Crashed, Task
from job.watch import Overstayed, Watch
from job.worker_environment import _may_pass
from job.workers import STARTS, Forkserver, Limits
from tests.jobs import descendants, environment, is_alive, until
from tests.stages import Order, Seen

CANARY = "canary-0f8d21"


@pytest.fixture
def forkserver(tmp_path: Path) -> Iterator[Forkserver]:
    """One whose stages are `tests.stages`, which import nothing that takes time."""
    secrets = {"AWS_SECRET_ACCESS_KEY": CANARY, "MY_TOKEN": CANARY, "AWS_ENDPOINT_URL_S3": f"http://u:{CANARY}@h"}
    with Forkserver("exact", tmp_path, environment(secrets), "tests.stages") as forkserver:
        yield forkserver


@contextmanager
def limited(tmp_path: Path, limits: Limits) -> Iterator[Forkserver]:
    """Start one that allows its workers little."""
    with Forkserver("exact", tmp_path, environment(), "tests.stages", limits) as forkserver:
        yield forkserver


def order(forkserver: Forkserver, what: str = "", timeout_s: float = 30, device: str = "cpu") -> Seen:
    """Have a worker do something."""
    return forkserver.run("behave", Order(what=what, device=device), Seen, timeout_s=timeout_s)[0]


def test_each_stage_has_its_own_process_and_what_it_took_is_told(forkserver: Forkserver) -> None:
    """A child's leaks and crashes end with it: no two stages share a process."""
    (first, timing), (second, _) = (forkserver.run("behave", Order(what=""), Seen, timeout_s=30) for _ in range(2))
    assert len({first.pid, second.pid, forkserver._process.pid, os.getpid()}) == 4
    assert timing.stage == "behave"
    assert 0 < timing.wall_s < 30
    assert timing.peak_memory_bytes > 2**20


def test_workers_see_no_credentials(forkserver: Forkserver) -> None:
    """Neither the forkserver's own environment nor a child's holds what the supervisor was given to reach a store."""
    assert CANARY not in str(order(forkserver).environment)
    for pid in (forkserver._process.pid, forkserver._zygote.pid):
        assert CANARY.encode() not in Path(f"/proc/{pid}/environ").read_bytes()


@pytest.mark.parametrize("name", ["TF_TOKEN_app_terraform_io", "TF_VAR_db", "NVIDIA_API_KEY", "TF_HTTP_PASSWORD"])
def test_credentials_of_other_tools_are_not_passed_on(name: str) -> None:
    """Terraform's variables and NVIDIA's keys begin as those that TensorFlow and CUDA read."""
    assert not _may_pass(name)
    assert _may_pass("TF_NUM_INTRAOP_THREADS")
    assert _may_pass("NVIDIA_VISIBLE_DEVICES")


def test_exact_workers_run_without_onednn(tmp_path: Path, forkserver: Forkserver) -> None:
    """Whether TensorFlow uses oneDNN is decided while it is imported, thus by the forkserver's environment."""
    assert order(forkserver).environment["TF_ENABLE_ONEDNN_OPTS"] == "0"
    with Forkserver("as_run", tmp_path, environment(), "tests.stages") as other:
        assert "TF_ENABLE_ONEDNN_OPTS" not in order(other).environment


def test_workers_use_again_what_they_have_freed(forkserver: Forkserver) -> None:
    """A child that takes 128 MiB ten times gets nearly all pages once: glibc by itself gives each block back."""
    assert int(order(forkserver, "churn").environment["FAULTS"]) < 2 * 128 * 2**20 / os.sysconf("SC_PAGE_SIZE")


def test_what_a_worker_leaves_behind_goes_with_the_scratch_directory(forkserver: Forkserver, tmp_path: Path) -> None:
    """TensorFlow's autograph writes files that a forked child never removes; they are no concern of the system's."""
    environment = order(forkserver).environment
    assert environment["TMPDIR"] == environment["HOME"] == str(tmp_path / "exact-1")
    assert not (tmp_path / "exact-1").exists()


@pytest.mark.parametrize(
    ("what", "kind", "said"),
    [
        ("segfault", Crashed, "signal SIGSEGV"),
        ("abort", Crashed, "signal SIGABRT"),
        ("kill", Crashed, "memory"),
        ("exit", Crashed, "without a result (status 0)"),
        ("chatty", Crashed, "without a result (status 3)"),
        ("grow", Poison, "out of memory"),
        ("exhausted", Poison, "out of memory in the behave stage: OOM when allocating tensor with shape[9,9];"),
        ("full", LocalIOError, "No space left on device"),
        ("refused", Refused, "op PyFunc; node f; cut above it"),
        ("bug", Internal, "ZeroDivisionError: division by zero"),
    ],
)
def test_what_befalls_a_worker_is_an_error_of_its_kind_and_the_next_one_works(
    forkserver: Forkserver, what: str, kind: type[JobError], said: str
) -> None:
    """A crash, an exit with code 0 and exhausted memory are the artifact's; the forkserver outlives them all."""
    with pytest.raises(kind) as caught:
        order(forkserver, what)
    assert type(caught.value) is kind
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert order(forkserver).pid


def test_last_words_of_a_dead_worker_are_logged(forkserver: Forkserver) -> None:
    """What TensorFlow wrote before it crashed is all that there is to go by."""
    with capture_logs() as events, pytest.raises(Poison):
        order(forkserver, "chatty")
    assert [(event["event"], "last words" in event["output"]) for event in events] == [("worker_died", True)]


def test_worker_that_overstays_is_stopped(forkserver: Forkserver) -> None:
    """An endless loop costs the stage's time-out, says where it was, and leaves no process behind."""
    start = time.monotonic()
    with capture_logs() as events, pytest.raises(Overstayed, match=r"did not end within 2 s.*--stage-timeout-s"):
        order(forkserver, "hang", timeout_s=2)
    assert time.monotonic() - start < 10
    (stopped,) = [event for event in events if event["event"] == "worker_stopped"]
    assert "stages.py" in stopped["output"]  # the stack, by faulthandler
    assert descendants(forkserver._process.pid) == []
    assert order(forkserver).pid


@pytest.mark.parametrize("what", ["stopped", "holding"])
def test_worker_that_gives_no_sign_of_life_is_ended(tmp_path: Path, what: str) -> None:
    """One that was stopped, or whose interpreter is held for ever, is found long before its time is over."""
    with limited(tmp_path, Limits(silence_s=1.8)) as forkserver:
        with pytest.raises(Poison, match=r"no sign of life for 1.8 s in the behave stage") as caught:
            order(forkserver, what)
        assert type(caught.value) is Poison
        assert descendants(forkserver._process.pid) == []
        assert order(forkserver).pid


def test_worker_that_lives_is_not_taken_for_silent(tmp_path: Path) -> None:
    """One that sleeps, or computes outside of Python, proves all the while that it lives."""
    with limited(tmp_path, Limits(silence_s=2.7)) as forkserver:
        assert order(forkserver, "slow").pid


@pytest.mark.parametrize("what", ["gorge", "gorge_shared", "gorge_apart"])
def test_worker_that_takes_too_much_memory_is_ended(tmp_path: Path, what: str) -> None:
    """Memory that it shares, or has a daemon take, counts; the error names what was held and what may be."""
    with limited(tmp_path, Limits(memory_mib=256)) as forkserver:
        with pytest.raises(Poison, match=r"held \d\.\d\d GiB, and may hold 0.25 GiB; --memory-limit-mib; ") as caught:
            order(forkserver, what)
        assert type(caught.value) is Poison
        assert descendants(forkserver._process.pid) == []
        assert order(forkserver).pid


def test_memory_asked_for_at_one_go_is_refused(tmp_path: Path) -> None:
    """What one call asks for may be held before anybody looks: the kernel denies it by a limit of the worker's own."""
    with limited(tmp_path, Limits(memory_mib=256)) as forkserver:
        with pytest.raises(Poison, match="out of memory in the behave stage"):
            order(forkserver, "gulp")
        assert order(forkserver, "gulp", device="gpu").pid  # CUDA reserves more than any limit allows


def test_kernel_that_is_out_of_memory_takes_the_worker_first(forkserver: Forkserver) -> None:
    """Neither the supervisor nor a forkserver is the process that it would choose."""
    own = int(Path("/proc/self/oom_score_adj").read_text())
    assert order(forkserver, "score").environment["SCORE"] == "1000"
    for pid in (forkserver._process.pid, forkserver._zygote.pid):
        assert Path(f"/proc/{pid}/oom_score_adj").read_text().strip() == str(own)


def test_daemon_of_a_worker_ends_with_its_stage(forkserver: Forkserver, tmp_path: Path) -> None:
    """A process that left the worker's session and lost its parent is the forkserver's child, and is ended by it."""
    assert order(forkserver, "outlive").pid
    assert not is_alive(int((tmp_path / "daemon").read_text()))
    assert descendants(forkserver._process.pid) == []


@pytest.mark.parametrize("what", ["garbage", "nested", "list", "other_record", "foreign_error", "much", "link", "pipe"])
def test_what_is_no_record_is_a_crash(forkserver: Forkserver, what: str) -> None:
    """Nonsense, a gigabyte, a link or a pipe in a record's place cost the artifact; nor may a worker end the run."""
    with pytest.raises(Crashed, match="ended in the behave stage with") as caught:
        order(forkserver, what)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500
    assert order(forkserver).pid


def test_talkative_worker_fills_no_disk(forkserver: Forkserver) -> None:
    """Of a gigabyte of output some is kept, and the stage ends as it would have."""
    assert int(order(forkserver, "flood").environment["KEPT_BYTES"]) < 256 * 2**20


def test_log_that_became_a_link_is_nobody_elses(forkserver: Forkserver, tmp_path: Path) -> None:
    """The supervisor empties the log that it has opened, and not what lies at its path."""
    assert order(forkserver, "replace_log").pid
    assert (tmp_path / "precious").read_text() == "0"


def test_worker_that_closed_all_its_files_may_still_end_well(forkserver: Forkserver) -> None:
    """Its record is a file of its own, and it holds nothing of the forkserver's."""
    assert order(forkserver, "deaf").pid


def test_nothing_of_a_task_stays(forkserver: Forkserver, tmp_path: Path) -> None:
    """Logs and records go with their stage: a run has thousands."""
    order(forkserver)
    with pytest.raises(Poison):
        order(forkserver, "kill")
    assert [path.name for path in tmp_path.iterdir()] == ["exact.log"]


@pytest.mark.parametrize(("what", "how"), [("context_lost", DeviceError), ("ecc", DeviceError)])
def test_gpu_that_failed_is_the_machines_fault(forkserver: Forkserver, what: str, how: type[JobError]) -> None:
    """CUDA says so in an error or before it aborts; on the CPU the same words are the model's."""
    with pytest.raises(how, match=r"the GPU failed in the behave stage: .*CUDA_ERROR.*another machine"):
        order(forkserver, what, device="gpu")
    with pytest.raises(JobError) as caught:
        order(forkserver, what)
    assert not isinstance(caught.value, DeviceError)


def test_forkserver_that_died_is_started_again(forkserver: Forkserver) -> None:
    """The kernel may take the forkserver for want of memory, more than once in a long run."""
    for _ in range(STARTS + 1):
        assert order(forkserver).pid
        os.kill(forkserver._process.pid, signal.SIGKILL)
        until(lambda: forkserver._process.has_ended)
        with capture_logs() as events:
            assert order(forkserver).pid
        assert [(event["event"], event["cause"]) for event in events] == [("forkserver_restarted", "signal SIGKILL")]


def test_forkserver_outlives_the_thread_that_started_it_again(forkserver: Forkserver) -> None:
    """The kernel ends a child with the thread that it is of, and a lane's threads end one after another."""
    assert order(forkserver).pid
    os.kill(forkserver._process.pid, signal.SIGKILL)
    until(lambda: forkserver._process.has_ended)
    with ThreadPoolExecutor(1) as passing, capture_logs() as events:
        assert passing.submit(order, forkserver).result().pid
    time.sleep(0.2)
    assert not forkserver._process.has_ended
    assert order(forkserver).pid
    assert [event["event"] for event in events] == ["forkserver_restarted"]


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[tuple[Forkserver, Forkserver]]:
    """Two forkservers of one zygote, as two lanes have them."""
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
    with (
        Forkserver("exact", tmp_path / "one", environment(), "tests.stages") as one,
        Forkserver("exact", tmp_path / "other", environment(), "tests.stages", beside=one) as other,
    ):
        yield one, other


def test_lanes_share_what_was_imported_and_nothing_else(pair: tuple[Forkserver, Forkserver], tmp_path: Path) -> None:
    """TensorFlow is imported once for all lanes; each has its own directories, and one that dies is its own loss."""
    one, other = pair
    seen = [Path(order(each).environment["HOME"]).parent for each in pair]
    assert seen == [tmp_path / "one", tmp_path / "other"]
    assert one.zygote is other.zygote
    assert sorted(children_of(one.zygote.pid)) == sorted(each._process.pid for each in pair)
    os.kill(one._process.pid, signal.SIGKILL)
    until(lambda: one._process.has_ended)
    assert order(other).pid
    assert not other._process.has_ended
    assert order(one).pid
    other.close()
    assert order(one).pid


def test_zygote_that_died_is_started_again_once(pair: tuple[Forkserver, Forkserver]) -> None:
    """Its forkservers end with it, and the first of them that is wanted again starts another one for all."""
    for each in pair:
        order(each)
    before = pair[0].zygote.pid
    os.kill(before, signal.SIGKILL)
    until(lambda: all(each._process.has_ended for each in pair))
    with capture_logs() as events:
        assert all(order(each).pid for each in pair)
    assert pair[0].zygote.pid != before
    assert len(children_of(pair[0].zygote.pid)) == 2
    assert [(event["event"], event["cause"]) for event in events] == [("forkserver_restarted", "signal SIGKILL")] * 2


def test_forkserver_that_is_closed_before_it_is_there_is_lost_at_once(tmp_path: Path) -> None:
    """Whoever waits for its start learns soon that nobody wants it any more, and no other is started."""
    with Forkserver("exact", tmp_path, environment(), "tests.stages") as forkserver:
        os.kill(forkserver.zygote.pid, signal.SIGSTOP)
        with ThreadPoolExecutor(1) as other:
            waiting, start = other.submit(forkserver._process.await_ready, 60), time.monotonic()
            time.sleep(0.1)
            forkserver.close()
            with pytest.raises(Lost, match="it was closed"):
                waiting.result()
        assert time.monotonic() - start < 5
        with pytest.raises(Internal, match="could not be started: the run has ended"):
            order(forkserver)


@pytest.mark.parametrize("deaths", [1, 2])
def test_zygote_that_dies_at_the_wish_is_started_again(
    forkserver: Forkserver, monkeypatch: pytest.MonkeyPatch, deaths: int
) -> None:
    """Nothing is lost with the first one; a second one in a row is no start, which is told as such."""
    order(forkserver)
    before = forkserver.zygote.pid
    breaks, send = iter([BrokenPipeError] * deaths), socket.send_fds

    def send_once_more(*arguments: Any) -> int:
        if error := next(breaks, None):
            os.kill(forkserver.zygote.pid, signal.SIGKILL)
            raise error
        return send(*arguments)

    monkeypatch.setattr(socket, "send_fds", send_once_more)
    os.kill(forkserver._process.pid, signal.SIGKILL)
    until(lambda: forkserver._process.has_ended)
    if deaths > 1:
        with pytest.raises(Internal, match=r"did not start: signal SIGKILL"):
            order(forkserver)
    assert order(forkserver).pid
    assert forkserver.zygote.pid != before


def test_fork_that_fails_costs_its_lane_alone(pair: tuple[Forkserver, Forkserver]) -> None:
    """Where the kernel has no process left, the zygote and what it has forked already go on."""
    one, other = pair
    order(one)
    order(other)
    before = resource.prlimit(one.zygote.pid, resource.RLIMIT_NOFILE)
    open_now = len(list(Path(f"/proc/{one.zygote.pid}/fd").iterdir()))
    os.kill(one._process.pid, signal.SIGKILL)
    until(lambda: one._process.has_ended)
    resource.prlimit(one.zygote.pid, resource.RLIMIT_NOFILE, (open_now - 1, before[1]))
    with pytest.raises(Internal, match="did not start"):
        order(one)
    assert order(other).pid
    resource.prlimit(one.zygote.pid, resource.RLIMIT_NOFILE, before)
    assert order(one).pid


def test_forkserver_that_another_thread_closes_is_lost(forkserver: Forkserver) -> None:
    """Whoever uses one meanwhile learns that it has ended, and it may be closed by both at once."""
    forkserver._await_ready()
    process = forkserver._process
    with ThreadPoolExecutor(3) as others:
        answer = others.submit(process.receive, 30, "pid")
        time.sleep(0.1)
        for closed in [others.submit(process.close) for _ in range(2)]:
            closed.result()
        with pytest.raises(Lost, match="ended"):
            answer.result()
    with pytest.raises(Lost, match="ended"):
        process.receive(1, "pid")
    with pytest.raises(Lost, match="ended"):
        process.send({})


@pytest.mark.parametrize(
    ("what", "said"),
    [("orphan", "ended (signal SIGKILL)"), ("babble", "answered b'[nonsense]'"), ("chatter", "xxx")],
)
def test_forkserver_lost_at_work_costs_the_artifact_alone(forkserver: Forkserver, what: str, said: str) -> None:
    """One that a worker killed, or whose answers it forged, is ended, and the next stage has a new one."""
    for _ in range(2):
        with capture_logs() as events, pytest.raises(Crashed) as caught:
            order(forkserver, what)
        assert said in str(caught.value)
        assert "in the behave stage" in str(caught.value)
        assert events[-1]["event"] == "forkserver_lost"
    assert order(forkserver).pid


def test_forkserver_that_hangs_at_work_is_ended(forkserver: Forkserver, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that forks no more is waited for in vain: that costs one artifact."""
    first = order(forkserver).pid
    monkeypatch.setattr(workers, "ANSWER_TIMEOUT_S", 0.2)
    os.kill(forkserver._process.pid, signal.SIGSTOP)
    with pytest.raises(Crashed, match=r"said nothing for 0.2 s"):
        order(forkserver)
    monkeypatch.undo()
    assert order(forkserver).pid != first


def test_worker_dies_with_its_forkserver(forkserver: Forkserver, tmp_path: Path) -> None:
    """A forkserver that is killed leaves no child behind that goes on computing."""
    with pytest.raises(Crashed):
        order(forkserver, "orphan")
    child = int((tmp_path / "orphan").read_text())
    until(lambda: not is_alive(child))


def test_forkserver_that_cannot_start_says_why(tmp_path: Path) -> None:
    """Without TensorFlow the import fails: one line says what, and what to look at; it is not tried for ever."""
    with Forkserver("exact", tmp_path, environment(), "tests.no_such_module") as unable:
        for _ in range(STARTS):
            with pytest.raises(Internal) as caught:
                order(unable)
            assert "No module named 'tests.no_such_module'; is TensorFlow installed" in str(caught.value)
        with pytest.raises(Internal, match=f"could not be started {STARTS} times in a row"):
            order(unable)


def test_forkserver_that_says_nothing_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that hangs while it starts would otherwise be waited for without end."""
    with Forkserver("exact", tmp_path, environment(), "tests.stages") as forkserver:
        os.kill(forkserver._zygote.pid, signal.SIGSTOP)
        monkeypatch.setattr(workers, "START_TIMEOUT_S", 0.2)
        with pytest.raises(Internal, match="said nothing"):
            order(forkserver)
        assert forkserver._process.how_it_ended() == "signal SIGKILL"


def test_closing_ends_a_child_at_work(tmp_path: Path) -> None:
    """An interrupted job leaves nothing that runs, daemons of a worker's included."""
    with Forkserver("exact", tmp_path, environment(), "tests.stages") as forkserver:
        forkserver._await_ready()
        with TaskFiles(tmp_path / "task") as files:
            for what in ("outlive", "hang"):
                task = Task(stage="behave", request=Order(what=what), timeout_s=1, files=files)
                forkserver._process.send(task.message(memory_cap()))
            child = forkserver._process.receive(30, "pid")[0]
            forkserver._process.receive(30, "status")
            child = forkserver._process.receive(30, "pid")[0]
            assert is_alive(child)
    until(lambda: not is_alive(child))


def test_interrupt_ends_the_worker_and_the_forkserver(forkserver: Forkserver, monkeypatch: pytest.MonkeyPatch) -> None:
    """A signal comes while a worker is waited for: what would be answered later is no answer to the next task."""
    looks = list[int]()

    def interrupt(self: Watch, _: int) -> None:
        looks.append(self._child)
        raise KeyboardInterrupt

    monkeypatch.setattr(Watch, "look", interrupt)
    with pytest.raises(KeyboardInterrupt):
        order(forkserver, "hang")
    until(lambda: not is_alive(looks[0]))
    monkeypatch.undo()
    assert order(forkserver).pid
