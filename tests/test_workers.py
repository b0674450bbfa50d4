import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from job import workers
from job.errors import Internal, JobError, LocalIOError, Poison, Refused
from job.workers import Crashed, Forkserver
from tests.jobs import descendants, environment, is_alive
from tests.stages import Order, Seen

CANARY = "canary-0f8d21"


@pytest.fixture
def forkserver(tmp_path: Path) -> Iterator[Forkserver]:
    """One whose stages are `tests.stages`, which import nothing that takes time."""
    secrets = {"AWS_SECRET_ACCESS_KEY": CANARY, "MY_TOKEN": CANARY, "AWS_ENDPOINT_URL_S3": f"http://u:{CANARY}@h"}
    with Forkserver("exact", tmp_path, environment(secrets), "tests.stages") as forkserver:
        yield forkserver


def order(forkserver: Forkserver, what: str = "", timeout_s: float = 30) -> Seen:
    """Have a worker do something."""
    return forkserver.run("behave", Order(what=what), Seen, timeout_s=timeout_s)[0]


def await_(condition: Callable[[], object], timeout_s: float = 10) -> None:
    """Wait until something holds; fails if that takes too long."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


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
    assert CANARY.encode() not in Path(f"/proc/{forkserver._process.pid}/environ").read_bytes()


def test_exact_workers_run_without_onednn(tmp_path: Path, forkserver: Forkserver) -> None:
    """Whether TensorFlow uses oneDNN is decided while it is imported, thus by the forkserver's environment."""
    assert order(forkserver).environment["TF_ENABLE_ONEDNN_OPTS"] == "0"
    with Forkserver("as_run", tmp_path, environment(), "tests.stages") as other:
        assert "TF_ENABLE_ONEDNN_OPTS" not in order(other).environment


def test_what_a_worker_leaves_behind_goes_with_the_scratch_directory(forkserver: Forkserver, tmp_path: Path) -> None:
    """TensorFlow's autograph writes files that a forked child never removes; they are no concern of the system's."""
    assert order(forkserver).environment["TMPDIR"] == str(tmp_path)


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
    """An endless loop costs the stage's time-out, and no process stays behind."""
    start = time.monotonic()
    with pytest.raises(Poison, match=r"did not end within 0.5 s.*--stage-timeout-s"):
        order(forkserver, "hang", timeout_s=0.5)
    assert time.monotonic() - start < 10
    assert descendants(forkserver._process.pid) == []
    assert order(forkserver).pid


def test_forkserver_that_died_is_started_again_once(forkserver: Forkserver) -> None:
    """The kernel may take the forkserver for want of memory: that is worth one more try, and no more."""
    assert order(forkserver).pid
    forkserver._process.kill()
    forkserver._process.wait()
    with capture_logs() as events:
        assert order(forkserver).pid
    assert [(event["event"], event["ended"]) for event in events] == [("forkserver_restarted", "signal SIGKILL")]
    forkserver._process.kill()
    forkserver._process.wait()
    with pytest.raises(Internal, match="the process that holds TensorFlow ended"):
        order(forkserver)


def test_worker_dies_with_its_forkserver(forkserver: Forkserver, monkeypatch: pytest.MonkeyPatch) -> None:
    """A forkserver that is killed leaves no child behind that goes on computing; its artifact may be tried again."""
    children: list[int] = []

    def kill_forkserver(self: Forkserver, pid: int, *_: object) -> None:
        children.append(pid)
        self._process.kill()
        raise self._gone()

    monkeypatch.setattr(Forkserver, "_await_end", kill_forkserver)
    monkeypatch.setattr(workers, "_kill", lambda _: None)
    with pytest.raises(Internal):
        order(forkserver, "hang")
    try:
        await_(lambda: not is_alive(children[0]))
    finally:
        with suppress(ProcessLookupError):
            os.kill(children[0], signal.SIGKILL)


def test_forkserver_that_cannot_start_says_why(tmp_path: Path) -> None:
    """Without TensorFlow the import fails: one line says what, and what to look at."""
    unable = Forkserver("exact", tmp_path, environment(), "tests.no_such_module")
    with unable, pytest.raises(Internal) as caught:
        order(unable)
    assert "No module named 'tests.no_such_module'; is TensorFlow installed" in str(caught.value)


def test_forkserver_that_says_nothing_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that hangs while it starts would otherwise be waited for without end."""
    with Forkserver("exact", tmp_path, environment(), "tests.stages") as forkserver:
        forkserver._process.send_signal(signal.SIGSTOP)
        monkeypatch.setattr(workers, "START_TIMEOUT_S", 0.2)
        with pytest.raises(Internal, match="said nothing"):
            order(forkserver)
        assert forkserver._process.wait(10) == -signal.SIGKILL


def test_closing_ends_a_child_at_work(tmp_path: Path) -> None:
    """An interrupted job leaves nothing that runs."""
    with Forkserver("exact", tmp_path, environment(), "tests.stages") as forkserver:
        forkserver._await_ready()
        forkserver._send(
            {"stage": "behave", "request": {"what": "hang", "count": 0}, "result": "x", "log": "/dev/null"}
        )
        child = forkserver._receive(30)["pid"]
        assert is_alive(child)
    await_(lambda: not is_alive(child))
