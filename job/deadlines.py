"""How long the stages of one artifact may take: by stage, by size, and all together."""

import time
from collections.abc import Callable
from typing import Final

from job.efforts import measuring_s
from job.errors import Poison
from job.memory_cap import GIB
from job.requests import BenchmarkRequest, MakeVariantsRequest, RaceRequest, VerifyRequest
from job.settings import Settings

PER_GIB_S: Final = 60.0
"""To read, lift and write a GiB on a slow disk, over what `Settings.stage_timeout_s` gives every stage."""

PER_SIGNATURE: Final = 0.5
"""Of ``stage_timeout_s`` more for each signature beyond the first, whose samples are cases of their own."""

MEASURING_S: Final = 60.0
"""Over a benchmark's own budget: a window may be at work when that ends."""


def stage_timeout_s(settings: Settings, size_bytes: int) -> float:
    """Return the time of a stage that reads an artifact of this size."""
    return settings.stage_timeout_s + PER_GIB_S * size_bytes / GIB


class Deadlines:
    """The clock of one artifact; it runs from the first stage on."""

    def __init__(self, settings: Settings, size_bytes: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._settings, self._size_bytes, self._clock = settings, size_bytes, clock
        self._end_s = 0.0

    def timeout_s(self, request: object, signatures: int) -> float:
        """Return how long a stage may take now; raises `Poison` where the artifact's time is used up."""
        left_s = self.left_s()
        if left_s <= 0:
            raise self.used_up()
        return min(left_s, self._own_s(request, signatures))

    def left_s(self) -> float:
        """Return what is left of the artifact's time."""
        self._end_s = self._end_s or self._clock() + self._settings.item_timeout_s
        return self._end_s - self._clock()

    def used_up(self) -> Poison:
        """Return the error of an artifact whose time is used up."""
        what = f"its stages took more than {self._settings.item_timeout_s} s together and were stopped"
        return Poison(what, remedy="raise --item-timeout-s, or look for an endless loop")

    def _own_s(self, request: object, signatures: int) -> float:
        """Return a stage's time: the base, and what its kind takes beside that."""
        base_s = stage_timeout_s(self._settings, self._size_bytes)
        over_s = MEASURING_S + PER_GIB_S * self._size_bytes / GIB
        if isinstance(request, MakeVariantsRequest) or (isinstance(request, VerifyRequest) and request.precision):
            return min(base_s, self._settings.tune_budget + over_s)
        if isinstance(request, VerifyRequest):
            return base_s + PER_SIGNATURE * self._settings.stage_timeout_s * max(signatures - 1, 0)
        if isinstance(request, BenchmarkRequest):
            return base_s + MEASURING_S + measuring_s(request)
        if isinstance(request, RaceRequest):
            return measuring_s(request) + over_s
        return base_s
