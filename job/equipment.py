"""What a run works with: forkservers, in as many lanes as its device, its machine and its user allow."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from pathlib import Path
from types import TracebackType

import structlog

from job.lanes import Lane, Lanes
from job.machine import lane_bytes_here, lanes_here, visible_gpus
from job.pulling import Manners
from job.records import DeviceReport
from job.worker_environment import MODES, Mode
from job.workers import Forkserver, Limits

log = structlog.get_logger()

ForkserverSet = Mapping[Mode, Forkserver]


class Equipment(AbstractContextManager["Equipment"]):
    """The forkservers of a run, which end with the context; the first ones start at once, to import TensorFlow early.

    `start` makes a forkserver.
    """

    def __init__(
        self, scratch: Path, environment: Mapping[str, str], limits: Limits, start: Callable[..., Forkserver]
    ) -> None:
        self._scratch, self._environment, self._limits, self._start = scratch, environment, limits, start
        self._cleanup = ExitStack()
        self._sets = list[ForkserverSet]()
        self._sets.append(self._started(scratch))

    @property
    def first(self) -> ForkserverSet:
        """Return the forkservers that started first."""
        return self._sets[0]

    def lanes(self, device: DeviceReport, wanted: int | None, *, most: int) -> tuple[Lanes, ...]:
        """Return the lanes of each device, of the processors or of every GPU, for `most` artifacts at once.

        `wanted` is how many stages the user lets compute at once, or on how many GPUs.
        """
        if device.device == "gpu":
            names = visible_gpus(self._environment, device.count) if device.count > 1 else ("",)
            lanes = self._of_gpus(names[: min(wanted or most, most)])
        else:
            sets = self._grown_to(max(1, min(wanted or lanes_here(), most)))
            lanes = (self._lanes([Lane(forkservers=one) for one in sets]),)
        log.info("lanes_opened", lanes=len(self._sets), devices=len(lanes))
        return lanes

    def manners(self, lanes: Sequence[Lanes]) -> Manners:
        """Return how downloads behave beside lanes: where one device measures, they wait for that.

        Of several GPUs one nearly always measures, in a machine that has processors to spare for downloads.
        """
        beside = lanes[0].transfer if len(lanes) == 1 else nullcontext
        return Manners(ahead=sum(one.at_work for one in lanes), beside=beside, check=self._limits.check)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._cleanup.close()

    def _of_gpus(self, names: tuple[str, ...]) -> tuple[Lanes, ...]:
        """Let each GPU have a lane, and beside it one for what another artifact needs no GPU for."""
        sets = self._grown_to(2 * len(names))
        pairs = zip(names, sets[::2], sets[1::2], strict=True)
        return tuple(
            self._lanes([Lane(forkservers=one, on_gpu=True, gpu=name), Lane(forkservers=other)])
            for name, one, other in pairs
        )

    def _lanes(self, lanes: Sequence[Lane]) -> Lanes:
        """Return lanes of one device, each with its part of the memory for all that there are."""
        count = len(self._sets)
        return Lanes(lanes, share=1 / count, lane_bytes=lane_bytes_here(count), check=self._limits.check)

    def _grown_to(self, count: int) -> list[ForkserverSet]:
        while len(self._sets) < count:
            self._sets.append(self._started(self._scratch / f"lane-{len(self._sets)}"))
        return self._sets

    def _started(self, scratch: Path) -> ForkserverSet:
        scratch.mkdir(exist_ok=True)
        beside = self._sets[0] if self._sets else {}
        return {
            mode: self._cleanup.enter_context(
                self._start(mode, scratch, self._environment, limits=self._limits, beside=beside.get(mode))
            )
            for mode in MODES
        }
