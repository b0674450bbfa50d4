"""An artifact's own time: it does not run while the artifact waits for others."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Stopwatch:
    """Counts seconds, but for those in which it is stopped."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._stopped_s = 0.0

    def now(self) -> float:
        """Return the time, of which only differences mean anything."""
        return self._clock() - self._stopped_s

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Let time pass that does not count."""
        start = self._clock()
        try:
            yield
        finally:
            self._stopped_s += self._clock() - start
