"""Processes as Linux tells of them in ``/proc``: who descends from whom, and the memory that they hold."""

import os
import signal
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final

HELD: Final = ("RssAnon:", "RssShmem:")
"""What the kernel cannot take back; pages of files, TensorFlow's libraries among them, it can."""


def children_of(pid: int) -> list[int]:
    """Return the processes that a process has, whichever of its threads started them; none for one that has ended."""
    found = list[int]()
    with suppress(OSError):
        for task in os.listdir(f"/proc/{pid}/task"):  # noqa: PTH208 - twenty times a second
            with suppress(OSError):
                found += map(int, _text(f"/proc/{pid}/task/{task}/children").split())
    return found


def descendants(pid: int) -> list[int]:
    """Return a process's children, and all below them."""
    found = children_of(pid)
    for one in found:  # which grows meanwhile: a chain of processes may be deeper than calls can be
        found += children_of(one)
    return found


def held_bytes(pids: Iterable[int]) -> int:
    """Return the memory that processes hold together; pages that two of them share count for each."""
    return sum(map(_held_bytes, pids))


def kill_all(pids: Iterable[int]) -> None:
    """End processes; those that have ended already are no error."""
    for pid in pids:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)


def _held_bytes(pid: int) -> int:
    try:
        lines = _text(f"/proc/{pid}/status").splitlines()
    except OSError:  # it has ended
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith(HELD))


def _text(path: str) -> str:
    return Path(path).read_text(encoding="ascii", errors="replace")
