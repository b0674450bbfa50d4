"""How fast bytes and artifacts come along, and what that says of the time that is left."""

import math
from collections import deque
from statistics import fmean, stdev
from typing import Final

WINDOW_S: Final = 10.0
"""Over how long a rate is taken: long enough for a store's pauses."""

LOOK_S: Final = 0.5
"""Between two looks at what has come: a display is drawn more often."""

FEWEST: Final = 3
"""So many artifacts have to have ended before anything is said of the others."""

CERTAIN: Final = 1.5
"""An interval whose ends are not further apart than this is told as one number."""


class Rate:
    """Bytes a second over the last `WINDOW_S`."""

    def __init__(self) -> None:
        self._seen = deque[tuple[float, int]]()

    def note(self, now_s: float, moved_bytes: int) -> None:
        """Note how many bytes have come until now."""
        self._seen.append((now_s, moved_bytes))
        while now_s - self._seen[0][0] > WINDOW_S:
            self._seen.popleft()

    def is_due(self, now_s: float) -> bool:
        """Tell whether it is time to look again."""
        return not self._seen or now_s - self._seen[-1][0] >= LOOK_S

    @property
    def moved_bytes(self) -> int:
        """Return what had come at the last look."""
        return self._seen[-1][1] if self._seen else 0

    @property
    def bytes_per_s(self) -> float:
        """Return the rate; 0 until there is one."""
        if len(self._seen) < 2:
            return 0.0
        (first_s, first), (last_s, last) = self._seen[0], self._seen[-1]
        return max(0.0, (last - first) / (last_s - first_s))


class Pace:
    """What the artifacts that have ended took."""

    def __init__(self) -> None:
        self._walls_s = list[float]()

    def ended(self, wall_s: float) -> None:
        """Note an artifact."""
        self._walls_s.append(wall_s)

    def left_s(self, elapsed_s: float, remaining: int) -> tuple[float, float] | None:
        """Return within what the run will end, at 95 % if the others are like those that have ended; `None` if too few.

        As many artifacts are at work at once as were so far; of those at work nothing is taken as done.
        """
        ended = len(self._walls_s)
        if ended < FEWEST:
            return None
        mean_s = fmean(self._walls_s)
        doubt = 2 * stdev(self._walls_s) * math.sqrt(1 / ended + 1 / max(remaining, 1)) / mean_s if mean_s else 0.0
        middle_s = elapsed_s / ended * remaining
        return middle_s * max(0.0, 1 - doubt), middle_s * (1 + doubt)
