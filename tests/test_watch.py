import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from job import watch as watching
from job.errors import Poison
from job.memory_cap import MemoryCap
from job.task_files import TaskFiles
from job.watch import Bounds, Overstayed, Watch

NOBODY = 2**22 + 1
"""No process has this number: nothing is found below it, and nothing is killed."""

Begin = Callable[..., Watch]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Let a test turn the clock."""
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


@pytest.fixture
def begin(tmp_path: Path) -> Iterator[Begin]:
    """Begin to watch a process that holds nothing."""
    with TaskFiles(tmp_path / "task") as files:

        def watch(timeout_s: float = 10, silence_s: float = 5) -> Watch:
            memory = MemoryCap(limit_bytes=2**30, reason="a test")
            bounds = Bounds(timeout_s=timeout_s, silence_s=silence_s, memory=memory)
            return Watch("convert", NOBODY, NOBODY, files, bounds)

        yield watch


def test_time_without_a_sign_of_life_counts_from_the_last_one(begin: Begin, clock: list[float]) -> None:
    """Silence is what is said, not the deadline; each beat begins it anew."""
    watch = begin(timeout_s=1000)
    for beats in range(20):
        clock[0] += 1
        watch.look(beats)
    for _ in range(5):
        clock[0] += 1
        watch.look(19)
    clock[0] += 1
    with pytest.raises(Poison, match="no sign of life for 5 s in the convert stage") as caught:
        watch.look(19)
    assert not isinstance(caught.value, Overstayed)


def test_worker_that_lives_has_its_time_and_no_more(begin: Begin, clock: list[float]) -> None:
    """Signs of life do not lengthen it."""
    watch = begin()
    for beats in range(10):
        clock[0] += 1
        watch.look(beats)
    clock[0] += 1
    with pytest.raises(Overstayed, match="did not end within 10 s"):
        watch.look(10)


def test_time_in_which_the_supervisor_was_stopped_is_nobodys(begin: Begin, clock: list[float]) -> None:
    """A container that is paused for an hour goes on where it was."""
    watch = begin()
    clock[0] += 3600
    watch.look(0)
    clock[0] += 1
    watch.look(1)


def test_memory_beyond_the_cap_is_told_with_both_figures(
    begin: Begin, clock: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The limit's origin is said, so that its owner knows what to raise."""
    watch = begin()
    clock[0] += 0.05
    monkeypatch.setattr(watching, "held_bytes", lambda _: 2**30)
    watch.look(1)
    monkeypatch.setattr(watching, "held_bytes", lambda _: 3 * 2**30)
    with pytest.raises(Poison, match=r"held 3.00 GiB, and may hold 1.00 GiB; a test; give the job"):
        watch.look(2)
