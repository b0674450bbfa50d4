"""Lanes: stages of several artifacts at once, each in a lane of its own, and nothing beside one that measures."""

import math
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from typing import Final

from job.machine import LANE_BYTES, Place
from job.records import Format
from job.requests import BenchmarkRequest, ConvertRequest, RaceRequest, SourceRequest
from job.sandbox import Sandbox
from job.worker_environment import Mode
from job.workers import Forkserver

ALONE: Final = (BenchmarkRequest, RaceRequest)
"""What a stage is asked that measures: nothing else of ours computes or transfers meanwhile."""

NEED: Final[Mapping[Format, float]] = {Format.GRAPH_DEF: 19.0, Format.CHECKPOINT: 1.3}
"""Of an artifact's size: what a stage that reads it may come to hold beside what it holds for a small one.

TensorFlow copies frozen weights again and again where it loads and optimises a model. A checkpoint's are streamed.
"""

NEED_TO_CONVERT: Final[Mapping[Format, float]] = {**NEED, Format.GRAPH_DEF: 7.0}
"""A conversion keeps frozen weights out of its hands (`job.engine.withheld`)."""

NEED_OF_OTHERS: Final = 5.0

_LOOK_S: Final = 0.2  # between two looks whether the job was told to end


@dataclass(frozen=True, kw_only=True, eq=False)
class Lane:
    """What serves one stage at a time; only a lane `on_gpu` serves those that touch the GPU, and only those.

    `gpu` is as in `Place`.
    """

    forkservers: Mapping[Mode, Forkserver]
    on_gpu: bool = False
    gpu: str = ""


@dataclass(frozen=True, kw_only=True)
class Turn:
    """A stage's leave to compute: in forkservers that are its own meanwhile, at a place that is.

    `is_whole` tells that it has all the memory that there is.
    """

    forkservers: Mapping[Mode, Forkserver]
    place: Place
    is_whole: bool


@dataclass(frozen=True, kw_only=True, eq=False)
class _Wish:
    """What one who waits wants: so many lanes of some, of which it computes in a `suitable` one."""

    among: frozenset[Lane]
    suitable: frozenset[Lane]
    count: int
    is_alone: bool = False


class Lanes:
    """Hands the lanes of one device to stages, in the order in which they come.

    A stage waits for those before it that want the same lanes, so that none waits for ever: one that measures wants
    all of them, and one of a large artifact as many as its memory takes. `share` is a lane's part of the machine's
    memory, `lane_bytes` what that comes to. `check` raises once the job was told to end, which ends the waiting.
    """

    def __init__(
        self,
        lanes: Sequence[Lane],
        *,
        share: float | None = None,
        lane_bytes: float = LANE_BYTES,
        check: Callable[[], object] = lambda: None,
    ) -> None:
        self._all, self._free = frozenset(lanes), set(lanes)
        self._order = tuple(lanes)
        self._share, self._lane_bytes = share or 1 / len(lanes), lane_bytes
        self._check = check
        self._changed = threading.Condition()
        self._waiting: list[_Wish] = []
        self._transfers = self._alone = 0

    @property
    def at_work(self) -> int:
        """Return how many artifacts to have at work: one for each lane, and one that is published meanwhile."""
        return len(self._order) + 1 if len(self._order) > 1 else 1

    @property
    def crowding(self) -> float:
        """Return how many artifacts are at work for each lane."""
        return self.at_work / len(self._order)

    @property
    def sandbox(self) -> Sandbox:
        """Return what confines the workers."""
        return self._order[0].forkservers["exact"].sandbox

    @contextmanager
    def turn(self, request: object, size_bytes: int = 0, *, is_whole: bool = False) -> Iterator[Turn]:
        """Wait until a stage may compute, which reads an artifact of this size, and let it until the context ends.

        One that `is_whole` has all lanes, and with them all the memory.
        """
        wish = self._wish(request, math.inf if is_whole else size_bytes)
        taken = self._take(wish)
        try:
            first = next(lane for lane in self._order if lane in taken & wish.suitable)
            place = Place(share=min(1.0, self._share * len(taken)), gpu=first.gpu)
            yield Turn(forkservers=first.forkservers, place=place, is_whole=taken == self._all)
        finally:
            self._give_back(taken, wish)

    @contextmanager
    def transfer(self, *, is_last: bool = False) -> Iterator[None]:
        """Wait until nobody measures or waits for it, and keep those who would from it until the context ends.

        One that `is_last` goes ahead once the job was told to end: then nobody's figures count any more.
        """
        with self._changed:
            with suppress(KeyboardInterrupt) if is_last else nullcontext():
                self._wait_until(lambda: not self._alone)
            self._transfers += 1
        try:
            yield
        finally:
            with self._changed:
                self._transfers -= 1
                self._changed.notify_all()

    def _wish(self, request: object, size_bytes: float) -> _Wish:
        on_gpu = getattr(request, "device", "cpu") == "gpu"
        suitable = frozenset(lane for lane in self._all if lane.on_gpu == on_gpu) or self._all
        needed = (LANE_BYTES / 2 + _need(request) * size_bytes) / self._lane_bytes
        if isinstance(request, ALONE):
            return _Wish(among=self._all, suitable=suitable, count=len(self._all), is_alone=True)
        if needed > len(suitable):
            return _Wish(among=self._all, suitable=suitable, count=len(self._all))
        return _Wish(among=suitable, suitable=suitable, count=math.ceil(needed))

    def _take(self, wish: _Wish) -> set[Lane]:
        with self._changed:
            self._waiting.append(wish)
            self._alone += wish.is_alone
            try:
                self._wait_until(lambda: self._may(wish))
            except BaseException:
                self._alone -= wish.is_alone
                raise
            finally:
                self._waiting.remove(wish)
                self._changed.notify_all()
            taken = set([lane for lane in self._order if lane in self._free & wish.among][: wish.count])
            self._free -= taken
            return taken

    def _give_back(self, taken: set[Lane], wish: _Wish) -> None:
        with self._changed:
            self._free |= taken
            self._alone -= wish.is_alone
            self._changed.notify_all()

    def _may(self, wish: _Wish) -> bool:
        before = [other for other in self._waiting[: self._waiting.index(wish)] if not self._may_be_passed(other)]
        is_next = all(wish.among.isdisjoint(other.among) for other in before)
        is_quiet = not wish.is_alone or not self._transfers
        return is_next and is_quiet and len(self._free & wish.among) >= wish.count

    def _may_be_passed(self, wish: _Wish) -> bool:
        """Tell whether one that measures has to wait for transfers yet; no other of these begins meanwhile."""
        return wish.is_alone and self._transfers > 0

    def _wait_until(self, condition: Callable[[], bool]) -> None:
        self._check()
        while not condition():
            self._changed.wait(_LOOK_S)
            self._check()


def _need(request: object) -> float:
    source = getattr(request, "source", None)
    if not isinstance(source, SourceRequest):
        return NEED_OF_OTHERS
    return (NEED_TO_CONVERT if isinstance(request, ConvertRequest) else NEED).get(source.format, NEED_OF_OTHERS)
