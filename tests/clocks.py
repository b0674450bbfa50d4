"""Time that tests turn."""

from collections.abc import Callable


class Clock:
    """Time that passes only when a call says how long it took."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.order: list[str] = []

    def read(self) -> float:
        """Return the time."""
        return self.now_s

    def contender(self, name: str, duration_s: Callable[[int], float]) -> Callable[[], None]:
        """Return a call that takes `duration_s(number of calls before)`."""
        before = 0

        def call() -> None:
            nonlocal before
            self.order.append(name)
            self.now_s += duration_s(before)
            before += 1

        return call
