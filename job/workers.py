"""Run stages in children of a forkserver, within bounds; a child's death is an error of its artifact alone."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final

import structlog

from job.errors import Internal, Poison
from job.forkserver_process import ForkserverProcess, Lost
from job.machine import WHOLE, Place
from job.memory_cap import memory_cap
from job.records import StageTiming
from job.sandbox import OFF, Sandbox
from job.task_files import TaskFiles
from job.tasks import Crashed, Result, Task, result_of
from job.watch import LOOK_S, Bounds, Watch
from job.worker_environment import Mode, environment_of
from job.zygote_process import ZygoteProcess

log = structlog.get_logger()

STAGES_MODULE: Final = "job.engine.stages"
START_TIMEOUT_S: Final = 180
ANSWER_TIMEOUT_S: Final = 60
"""For a fork, and for the end of a child that was killed: both take less than a second."""

STARTS: Final = 3
"""After so many starts in a row that came to nothing there is no other: it is the machine."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What every worker is held to beside its stage's time: a sign of life every so often, memory, and a sandbox.

    `check` raises once the job was told to end, in threads too, which no signal reaches.
    """

    silence_s: float = 120
    memory_mib: int | None = None
    sandbox: Sandbox = OFF
    check: Callable[[], object] = lambda: None


class Forkserver(AbstractContextManager["Forkserver"]):
    """A process that forks a child for each stage, and was forked itself by a zygote, which has imported TensorFlow.

    ``exact`` runs without oneDNN: whether TensorFlow uses it is decided while it is imported, so
    that the two settings need two zygotes; one that is started `beside` another has that one's. It starts at once
    and is waited for at the first stage. One that has died, hangs or talks nonsense is ended and forked again for
    the next stage.
    """

    def __init__(  # noqa: PLR0913 - each is the caller's to say
        self,
        mode: Mode,
        scratch: Path,
        environment: Mapping[str, str],
        stages: str = STAGES_MODULE,
        limits: Limits = Limits(),
        *,
        beside: "Forkserver | None" = None,
    ) -> None:
        self._mode, self._scratch, self._limits = mode, scratch, limits
        self._environment, self._log = environment_of(mode, scratch, environment), scratch / f"{mode}.log"
        self._is_guest = beside is not None
        self._zygote = beside.zygote if beside else ZygoteProcess(stages, self._log, self._environment)
        try:
            self._process = self._start()
        except BaseException:
            self._close_zygote()
            raise
        self._is_ready = False
        self._failed_starts = 0
        self._tasks = 0

    def run(
        self, stage: str, request: object, result: type[Result], *, timeout_s: float, place: Place = WHOLE
    ) -> tuple[Result, StageTiming]:
        """Run one stage in a fresh child and return its result and what it took.

        Raises what the stage raised, `Crashed` where the child or the forkserver left no result, `Overstayed` and
        other `Poison` where the child took more than it may, and `Internal` where no forkserver starts.
        """
        self._limits.check()
        self._await_ready()
        start, self._tasks = time.monotonic(), self._tasks + 1
        with TaskFiles(self._scratch / f"{self._mode}-{self._tasks}") as files:
            sandbox = self._limits.sandbox
            task = Task(stage=stage, request=request, timeout_s=timeout_s, files=files, sandbox=sandbox, place=place)
            for directory in task.confinement.writes:
                Path(directory).mkdir(parents=True, exist_ok=True)
            status, peak_memory_bytes = self._supervised(task)
            timing = StageTiming(
                stage=stage, wall_s=round(time.monotonic() - start, 3), peak_memory_bytes=peak_memory_bytes
            )
            return result_of(task, status, result), timing

    @property
    def zygote(self) -> ZygoteProcess:
        """Return what has imported TensorFlow for it."""
        return self._zygote

    @property
    def sandbox(self) -> Sandbox:
        """Return what confines its children."""
        return self._limits.sandbox

    def close(self) -> None:
        """End the forkserver; a child at work ends with it, and so do those that were started beside it."""
        self._process.close()
        self._close_zygote()

    def _close_zygote(self) -> None:
        if not self._is_guest:
            self._zygote.close()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _start(self) -> ForkserverProcess:
        return ForkserverProcess(self._zygote, self._log, self._environment)

    def _await_ready(self) -> None:
        """Wait until the forkserver serves; raises `Internal` where it does not, or has not for some times in a row."""
        if self._failed_starts >= STARTS:
            raise Internal(f"the process that holds TensorFlow could not be started {STARTS} times in a row")
        if self._process.has_ended:
            if self._is_ready:
                log.warning("forkserver_restarted", mode=self._mode, cause=self._process.how_it_ended())
            self._process.close()
            self._is_ready, self._process = False, self._start()
        if not self._is_ready:
            try:
                self._process.await_ready(START_TIMEOUT_S)
            except Lost as lost:
                self._failed_starts += 1
                raise self._no_start(lost) from lost
            self._is_ready, self._failed_starts = True, 0

    def _no_start(self, lost: Lost) -> Internal:
        has_ended = self._process.has_ended
        said = self._process.last_words() if has_ended else str(lost)
        self._process.close()
        if not has_ended:
            self._zygote.end(self._process.parent)  # it hangs, or what it forks does
        return Internal(
            f"the process that holds TensorFlow did not start: {said}",
            remedy="is TensorFlow installed, the memory sufficient, and the machine not overloaded?",
        )

    def _supervised(self, task: Task) -> tuple[int, int]:
        """Have a task done and return how its child ended and what memory it took, most at a time."""
        memory = memory_cap(self._limits.memory_mib, part=task.place.share)
        bounds = Bounds(timeout_s=task.timeout_s, silence_s=self._limits.silence_s, memory=memory)
        with self._closed_unless_in_step(task):
            self._process.send(task.message(memory))
            (child,) = self._process.receive(ANSWER_TIMEOUT_S, "pid")
            watch = Watch(task.stage, self._process.pid, child, task.files, bounds)
            try:
                while not self._process.has_answer(LOOK_S):
                    self._limits.check()
                    watch.look(self._process.beats)
            except Poison as breach:
                watch.end(with_stacks=True)
                self._process.receive(ANSWER_TIMEOUT_S, "status")
                log.warning("worker_stopped", stage=task.stage, reason=breach.what, output=task.files.tail())
                raise
            except BaseException:
                watch.end(with_stacks=False)
                raise
            status, peak = self._process.receive(ANSWER_TIMEOUT_S, "status", "peak_memory_bytes")
        return status, peak

    @contextmanager
    def _closed_unless_in_step(self, task: Task) -> Iterator[None]:
        """End a forkserver whose next answer would not be to the next question: the next stage starts another."""
        try:
            yield
        except Poison:
            raise
        except Lost as lost:
            self._process.close()
            what = f"the process that holds TensorFlow {lost} in the {task.stage} stage"
            log.warning("forkserver_lost", mode=self._mode, stage=task.stage, cause=str(lost))
            raise Crashed(what, remedy="was the memory exhausted? log.jsonl holds what was said last") from lost
        except BaseException:
            self._process.close()
            raise
