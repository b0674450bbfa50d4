import mmap
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from job.processes import children_of, descendants, held_bytes, kill_all

MIB = 2**20
NOBODY = 2**22 + 1
"""No process has a number beyond ``/proc/sys/kernel/pid_max``."""


@contextmanager
def started(program: str) -> Iterator["subprocess.Popen[str]"]:
    """Start a Python program and wait until it has said something."""
    command = [sys.executable, "-c", program + "\nprint(flush=True); import time; time.sleep(600)"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        try:
            yield process
        finally:
            kill_all([*descendants(process.pid), process.pid])


def test_all_below_a_process_are_found() -> None:
    """Those that a thread has started are its process's as well, and so are children's children."""
    program = (
        "import subprocess, sys, threading\n"
        "inner = 'import subprocess, sys; subprocess.Popen([sys.executable, \\'-c\\', \\'input()\\'],"
        " stdin=subprocess.PIPE).wait()'\n"
        "start = lambda: subprocess.Popen([sys.executable, '-c', inner]).wait()\n"
        "threading.Thread(target=start, daemon=True).start()\n"
        "import time, os\n"
        "while not any(open(f'/proc/self/task/{t}/children').read() for t in os.listdir('/proc/self/task')): pass\n"
    )
    with started(program) as process:
        assert process.pid in children_of(os.getpid())
        deadline = time.monotonic() + 20
        while len(below := descendants(process.pid)) < 2:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert set(below) < set(descendants(os.getpid()))
        assert children_of(process.pid) != below


def test_depth_of_a_family_is_no_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    """A chain of processes may be longer than Python's calls can be deep."""
    monkeypatch.setattr("job.processes.children_of", lambda pid: [pid + 1] if pid < 5000 else [])
    assert descendants(0) == list(range(1, 5001))


def test_memory_is_what_the_kernel_cannot_take_back() -> None:
    """Shared and private memory count, pages of files do not."""
    before = held_bytes([os.getpid()])
    private, shared = bytearray(b"x" * 64 * MIB), mmap.mmap(-1, 64 * MIB)
    shared.write(b"x" * 64 * MIB)
    assert 120 * MIB < held_bytes([os.getpid()]) - before < 220 * MIB
    assert len(private) == len(shared)


def test_processes_that_have_ended_are_no_error() -> None:
    """They end whenever they like, between one look and the next."""
    assert children_of(NOBODY) == descendants(NOBODY) == []
    assert held_bytes([NOBODY]) == 0
    kill_all([NOBODY])
