"""Whether another artifact may be begun."""

import math
import time
from bisect import insort
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from job.interrupts import Interrupts

_LONG: Final = 0.95  # of the artifacts so far took no longer


class Closed(Exception):
    """Nothing more is begun; the text says why."""


class Intake:
    """Closes when a signal has come, and when most artifacts so far took longer than is left until the deadline.

    Where `at_work` are at once, and fewer can compute, the next one may take `crowding` times as long as the first
    ones, which did not wait for others; the times of those that come after them are with waiting.
    """

    def __init__(self, interrupts: Interrupts, *, at_work: int = 1, crowding: float = 1.0) -> None:
        self._interrupts, self._at_work, self._crowding = interrupts, at_work, crowding
        self._took_s: list[float] = []

    def check(self) -> None:
        """Raise `Closed` if nothing more may be begun."""
        left_s, long_s = self._interrupts.left_s, self._long_s()
        if self._interrupts.cause:
            raise Closed(self._interrupts.cause)
        if left_s < long_s:
            raise Closed(f"the deadline is {left_s:.0f} s away and artifacts took up to {long_s:.0f} s")

    @contextmanager
    def one(self) -> Iterator[None]:
        """Begin an artifact, and know how long it took when it ends."""
        self.check()
        start = time.monotonic()
        yield
        insort(self._took_s, time.monotonic() - start)

    def _long_s(self) -> float:
        """Return the 95th percentile of the artifacts' times, 0 before the first has ended."""
        long_s = self._took_s[math.ceil(_LONG * len(self._took_s)) - 1] if self._took_s else 0.0
        return long_s if len(self._took_s) >= self._at_work else self._crowding * long_s
