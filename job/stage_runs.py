"""One artifact's stages in workers: how long each may take, and which failure gets a second try."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any, Final, TypeVar

import structlog

from job.deadlines import Deadlines
from job.errors import DeviceError, Poison, from_record
from job.lanes import Lanes, Turn
from job.memory_cap import OUT_OF_MEMORY
from job.records import ConvertResult, StageTiming
from job.requests import ConvertRequest, VerifyRequest
from job.results import ParityResult
from job.settings import Settings
from job.stopwatch import Stopwatch
from job.tasks import Crashed
from job.watch import Overstayed
from job.worker_environment import Mode

log = structlog.get_logger()

Result = TypeVar("Result")

WITHOUT_GRAPPLER: Final = (
    "compared as run without Grappler, TensorFlow's graph optimizer, because with it the comparison {end}; whoever "
    "loads the model may switch it off by tf.config.optimizer.set_experimental_options({{'disable_meta_optimizer': "
    "True}})"
)


class _Cramped(Poison):
    """A worker had too little memory beside others, so that the same may fit where it is alone."""


class StageRuns:
    """Runs stages in fresh workers, one after another, each when its turn comes.

    A worker that crashed may have met the machine and not the model, and so may a GPU that failed:
    both are tried once more, and so is what had too little memory in its lane; any second try has all lanes.
    What took too long, or more memory than there is, would do so again;
    but where the model ran as its users run it, Grappler is the suspect, and the second try is without it.
    `begun` hears of each stage, and what it is asked, when its turn has come.
    """

    def __init__(
        self, lanes: Lanes, settings: Settings, size_bytes: int, begun: Callable[[str, object], None] = lambda *_: None
    ) -> None:
        self._lanes, self._size_bytes, self._begun = lanes, size_bytes, begun
        self.stopwatch = Stopwatch()
        self._deadlines = Deadlines(settings, size_bytes, clock=self.stopwatch.now)
        self._signatures = 1

    def run(self, mode: Mode, stage: str, request: object, kind: type[Result]) -> tuple[Result, StageTiming]:
        """Return a stage's result and what it took; raises what ended it at last."""
        try:
            result, timing = self._once(mode, stage, request, kind)
        except (Crashed, DeviceError, _Cramped) as error:
            again, end = _without_grappler(request, mode) if isinstance(error, Crashed) else request, "crashed"
            log.warning("stage_retried", stage=stage_name(mode, stage), reason=str(error))
        except Overstayed as error:
            again, end = _without_grappler(request, mode), "did not end"
            if again is request:
                raise
            log.warning("stage_retried", stage=stage_name(mode, stage), reason=str(error), without="Grappler")
        else:
            return result, timing
        _clear(request)
        result, timing = self._once(mode, stage, again, kind, is_whole=True)
        if isinstance(result, ParityResult) and again is not request:
            result = replace(result, notes=(*result.notes, WITHOUT_GRAPPLER.format(end=end)))
        return result, timing

    def _once(
        self, mode: Mode, stage: str, request: object, kind: type[Result], *, is_whole: bool = False
    ) -> tuple[Result, StageTiming]:
        try:
            with self._turn(request, is_whole=is_whole) as turn, _telling_cramped(turn):
                self._begun(stage_name(mode, stage), request)
                timeout_s = self._deadlines.timeout_s(request, self._signatures)
                forkserver = turn.forkservers[mode]
                result, timing = forkserver.run(stage, request, kind, timeout_s=timeout_s, place=turn.place)
                if not turn.is_whole:
                    _check_memory(result)
        except Overstayed as error:
            if self._deadlines.left_s() <= 0:
                raise self._deadlines.used_up() from error
            raise
        if isinstance(result, ConvertResult):
            self._signatures = len(result.summary.signatures)
        return result, replace(timing, stage=stage_name(mode, stage))

    @contextmanager
    def _turn(self, request: object, *, is_whole: bool) -> Iterator[Turn]:
        """Wait for others on their time, not on the artifact's."""
        with ExitStack() as cleanup:
            with self.stopwatch.stopped():
                turn = cleanup.enter_context(self._lanes.turn(request, self._size_bytes, is_whole=is_whole))
            yield turn


@contextmanager
def _telling_cramped(turn: Turn) -> Iterator[None]:
    """Tell a lack of memory that the other lanes may mend from one that nothing mends."""
    try:
        yield
    except Poison as error:
        if turn.is_whole or not error.what.startswith(OUT_OF_MEMORY):
            raise
        raise _Cramped(error.what, where=error.where, remedy=error.remedy) from error


def _check_memory(result: object) -> None:
    """Raise the lack of memory that a conversion tells of beside what it found before."""
    if isinstance(result, ConvertResult) and result.error and result.error.what.startswith(OUT_OF_MEMORY):
        raise from_record(result.error)


def stage_name(mode: Mode, stage: str) -> str:
    """Return what a stage is called in reports."""
    return stage if mode == "exact" else f"{stage} as run"


def _without_grappler(request: Any, mode: Mode) -> Any:
    """Return the request of a second try, which is another one only where a model is compared as run."""
    return replace(request, grappler=False) if isinstance(request, VerifyRequest) and mode == "as_run" else request


def _clear(request: object) -> None:
    """Remove what the first try has half written."""
    if isinstance(request, ConvertRequest):
        shutil.rmtree(request.saved_model, ignore_errors=True)
