import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from job.errors import Interrupted
from job.interrupts import STOPPING, interruptible
from job.storage import open_storage
from tests.jobs import ROOT

pytest_plugins = ["tests.storage.stores"]

BESIDE = """
import os, signal, sys, threading, time
from pathlib import Path
from job.interrupts import interruptible
def term(*after_s):
    def send():
        for pause_s in after_s:
            time.sleep(pause_s)
            os.kill(os.getpid(), signal.SIGTERM)
    threading.Thread(target=send, daemon=True).start()
print(time.monotonic(), file=sys.stderr, flush=True)
"""


def run(code: str) -> tuple[int, str, float]:
    """Run a program; return how it ended, what it said, and how long it took without the start of Python."""
    ended = subprocess.run(
        [sys.executable, "-c", BESIDE + code], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    return ended.returncode, ended.stdout, time.monotonic() - float(ended.stderr.split("\n")[0])


@contextmanager
def signal_after(delay_s: float) -> Iterator[None]:
    """Send SIGTERM to this process meanwhile."""
    timer = threading.Timer(delay_s, os.kill, (os.getpid(), signal.SIGTERM))
    timer.start()
    try:
        yield
    finally:
        timer.join()


def test_first_signal_drops_what_is_at_work() -> None:
    """It ends where it is, and threads that no signal reaches can see it."""
    with pytest.raises(Interrupted, match="SIGTERM came; run again"), interruptible(), signal_after(0.1):
        time.sleep(20)
    assert STOPPING.is_set()


def test_handlers_and_threads_are_as_before_at_the_end() -> None:
    """What calls a run within its own process gets its signals back, and no thread of ours."""
    before = [signal.getsignal(one) for one in (signal.SIGTERM, signal.SIGINT, signal.SIGALRM)]
    threads = set(threading.enumerate())
    with interruptible(grace_s=1, deadline_s=60):
        pass
    assert [signal.getsignal(one) for one in (signal.SIGTERM, signal.SIGINT, signal.SIGALRM)] == before
    assert set(threading.enumerate()) <= threads
    assert signal.set_wakeup_fd(-1) == -1


def test_publication_that_can_end_in_time_goes_on(tmp_path: Path) -> None:
    """It is finished, and what comes after it learns that nothing more may be begun."""
    with interruptible(grace_s=8) as interrupts:
        with interrupts.finishing(tmp_path), signal_after(0.1):
            time.sleep(0.5)
        assert interrupts.cause == "SIGTERM came"


def test_links_are_measured_and_not_followed(tmp_path: Path) -> None:
    """What a worker has left is refused by the publication itself, and no fault of this machine's disk."""
    (tmp_path / "nowhere").symlink_to(tmp_path / "missing")
    with interruptible() as interrupts, interrupts.finishing(tmp_path):
        entered = True
    assert entered


def test_publication_that_takes_longer_is_dropped_at_its_time(tmp_path: Path) -> None:
    """At 60 % of the grace: what is left is for the summary."""
    start = time.monotonic()
    with (
        pytest.raises(Interrupted),
        interruptible(grace_s=8) as interrupts,
        interrupts.finishing(tmp_path),
        signal_after(0.1),
    ):
        threading.Event().wait(20)
    assert 4.8 < time.monotonic() - start < 6.4


def test_publication_that_cannot_end_in_time_is_dropped_at_once(tmp_path: Path) -> None:
    """Its size and the speed of the last one tell: here 1 MB took a second, and the next are a hundred."""
    (tmp_path / "model").write_bytes(b"\0" * 1_000_000)
    start = time.monotonic()

    def publish_twice() -> None:
        with interruptible(grace_s=8) as interrupts:
            with interrupts.finishing(tmp_path):
                time.sleep(1)
            os.truncate(tmp_path / "model", 100_000_000)
            with interrupts.finishing(tmp_path), signal_after(0.1):
                time.sleep(20)

    with pytest.raises(Interrupted):
        publish_twice()
    assert time.monotonic() - start < 3


def test_publications_at_once_share_the_link(tmp_path: Path) -> None:
    """Each of them alone would end in time, and both together would not: the second is dropped."""
    (tmp_path / "model").touch()
    os.truncate(tmp_path / "model", 75_000_000)  # three seconds, at the speed that is taken for granted
    with interruptible(grace_s=8) as interrupts:
        with interrupts.finishing(tmp_path), interrupts.finishing(tmp_path):
            assert len(interrupts._finishing) == 1
        with interrupts.finishing(tmp_path):
            assert len(interrupts._finishing) == 1


def test_speed_of_the_link_is_what_publications_bring_together(tmp_path: Path) -> None:
    """Two that are published at once take as long as one of their size."""
    (tmp_path / "model").write_bytes(b"\0" * 1_000_000)
    with interruptible() as interrupts:
        with interrupts.finishing(tmp_path), interrupts.finishing(tmp_path):
            time.sleep(2)
        assert 5e5 < interrupts._bytes_per_s <= 1e6


def test_process_that_ends_waits_for_none_of_its_threads() -> None:
    """A download ahead of a run that is over may take an hour; what was said is said."""
    code, said, wall_s = run(
        "from concurrent.futures import ThreadPoolExecutor\n"
        "from job.interrupts import leave\n"
        "ThreadPoolExecutor(1).submit(time.sleep, 20)\n"
        "print('said')\n"
        "leave(44)\n"
    )
    assert (code, said) == (44, "said\n")
    assert wall_s < 10


def test_summary_is_dropped_at_its_time() -> None:
    """A store that does not answer costs the summary, at 80 % of the grace, and not the last line."""
    start = time.monotonic()
    with pytest.raises(Interrupted), interruptible(grace_s=8) as interrupts, interrupts.flushing(), signal_after(0.1):
        threading.Event().wait(20)
    assert 6.4 < time.monotonic() - start < 7.6


def test_deadline_is_as_a_signal() -> None:
    """It drops what is at work, so that a batch engine's own limit is never reached."""
    start = time.monotonic()
    with pytest.raises(Interrupted, match="the deadline came"), interruptible(deadline_s=0.5):
        threading.Event().wait(20)
    assert 0.5 <= time.monotonic() - start < 2


def test_process_ends_within_the_grace_whatever_hangs() -> None:
    """Where a call never returns, no handler of Python's runs; the process ends with 75 all the same."""
    code, said, wall_s = run(
        "with interruptible(grace_s=1):\n"
        "    term(0.1)\n"
        "    try:\n"
        "        time.sleep(30)\n"
        "    finally:\n"
        "        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGALRM})\n"
        "        print('stuck', flush=True)\n"
        "        time.sleep(30)\n"
    )
    assert (code, said) == (75, "stuck\n")
    assert wall_s < 3


def test_second_signal_ends_at_once() -> None:
    """Whoever asks again does not wait for the grace to pass."""
    code, said, wall_s = run(
        "with interruptible(grace_s=30) as interrupts, interrupts.flushing():\n"
        "    term(0.2, 0.5)\n"
        "    time.sleep(40)\n"
        "print('never')\n"
    )
    assert (code, said) == (75, "")
    assert wall_s < 5


def test_two_signals_of_one_moment_are_one() -> None:
    """`timeout` signals a process and then its group: the job still ends in order."""
    code, said, _ = run(
        "import job.interrupts\n"
        "job.interrupts._TOGETHER_S = 3\n"
        "with interruptible(grace_s=5) as interrupts, interrupts.flushing():\n"
        "    term(0.1, 0.01)\n"
        "    time.sleep(1)\n"
        "    print('flushed', interrupts.cause)\n"
    )
    assert (code, said) == (0, "flushed SIGTERM came\n")


def test_upload_in_parts_is_given_up(moto_uri: str, tmp_path: Path) -> None:
    """Once what is at work is dropped, the store is told to forget the parts that it holds."""
    (tmp_path / "weights").touch()
    os.truncate(tmp_path / "weights", 70 * 2**20)
    store = open_storage(moto_uri)
    STOPPING.set()
    try:
        with pytest.raises(Interrupted, match="the transfer was given up"):
            store.upload(tmp_path / "weights", "weights")
    finally:
        STOPPING.clear()
    assert list(store.unfinished()) == []
    assert list(store.list()) == []
    store.upload(tmp_path / "weights", "weights")
    assert [stored.size_bytes for stored in store.list()] == [70 * 2**20]
