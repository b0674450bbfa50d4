"""One worker at work, under watch: its time, its signs of life, its memory, and what it writes to its log."""

import os
import signal
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from job.errors import Poison
from job.memory_cap import GIB, MemoryCap
from job.processes import descendants, held_bytes, kill_all
from job.task_files import TaskFiles

LOOK_S: Final = 0.05
"""Between two looks; a thread that fills memory comes to some 100 MB in this time."""

LONGEST_GAP_S: Final = 1.0
"""What counts of the time between two looks: where this process was itself stopped, its workers are not to blame."""

STACKS_S: Final = 0.2
"""How long a worker that is about to be ended has for writing down where it hangs."""


class Overstayed(Poison):
    """A worker did not end within its time."""


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """What a worker may take: seconds in all, seconds without a sign of life, memory."""

    timeout_s: float
    silence_s: float
    memory: MemoryCap


class Watch:
    """Looks after one child of the forkserver, and all that it starts.

    Every descendant of the forkserver is the child's: the forkserver adopts orphans, so that none leaves its tree.
    """

    def __init__(self, stage: str, forkserver: int, child: int, files: TaskFiles, bounds: Bounds) -> None:
        self._stage, self._forkserver, self._child = stage, forkserver, child
        self._files, self._bounds = files, bounds
        self._looked = time.monotonic()
        self._at_work_s = self._silent_s = 0.0
        self._beats = 0
        self._family = [child]

    def look(self, beats: int) -> None:
        """Raise `Poison` where the worker has taken what it may not; `beats` counts its signs of life so far."""
        self._count_time(beats)
        self._family = descendants(self._forkserver) or [self._child]
        self._files.wind_back()
        self._check_memory()
        if self._at_work_s > self._bounds.timeout_s:
            raise Overstayed(
                f"the {self._stage} stage did not end within {self._bounds.timeout_s:.4g} s and was stopped",
                remedy="raise --stage-timeout-s, or look for an endless loop",
            )
        if self._silent_s > self._bounds.silence_s:
            raise Poison(
                f"the worker gave no sign of life for {self._bounds.silence_s:g} s in the {self._stage} stage",
                remedy="something holds its interpreter for ever, or has stopped it; log.jsonl says where it was",
            )

    def end(self, *, with_stacks: bool) -> None:
        """End the worker and all that it started, once it has said where it hangs if that is of interest."""
        if with_stacks:
            with suppress(ProcessLookupError):
                os.kill(self._child, signal.SIGUSR1)  # job.forkserver has it print the stacks of all threads
                time.sleep(STACKS_S)
        kill_all([self._child, *self._family, *descendants(self._forkserver)])

    def _count_time(self, beats: int) -> None:
        now = time.monotonic()
        passed_s = min(now - self._looked, LONGEST_GAP_S)
        self._looked = now
        self._at_work_s += passed_s
        self._silent_s = 0.0 if beats != self._beats else self._silent_s + passed_s
        self._beats = beats

    def _check_memory(self) -> None:
        held, cap = held_bytes(self._family), self._bounds.memory
        if held <= cap.limit_bytes:
            return
        kill_all(self._family)
        raise Poison(
            f"out of memory in the {self._stage} stage: the worker held {held / GIB:.2f} GiB, "
            f"and may hold {cap.limit_bytes / GIB:.2f} GiB",
            where=cap.reason,
            remedy="give the job a machine with more memory, or name smaller batch_sizes in the manifest",
        )
