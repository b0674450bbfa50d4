"""SavedModels in a race: loaded, fed the same inputs, and timed in turn."""

import resource
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import tensorflow as tf

from job.efforts import RACE_BATCHES
from job.engine import runtime
from job.engine.assembling import read_source
from job.engine.inputs import NO_SAMPLE, Inputs, accepted
from job.engine.ops.published import check_written
from job.engine.resident import resident_call, settling
from job.engine.run_errors import RUN_ERRORS, message_of
from job.engine.runners import Candidate
from job.errors import JobError
from job.latency import Call, Timing
from job.memory_cap import container_bytes
from job.racing import GaveUpError, Race
from job.requests import RaceRequest
from job.results import RaceResult, Runner

FAILURES: Final = (*RUN_ERRORS, OSError, MemoryError)
"""What loading and calling a SavedModel raises."""

LOADED: Final = 3
"""Times its files a SavedModel takes once loaded: the graph as it was read, its constants, and those of its kernels."""

LOADING_SHARE: Final = 0.5
"""Of the budget may go before the race begins: to loading, and to first calls, in which XLA compiles."""


def race(request: RaceRequest) -> RaceResult:
    """Run the SavedModels in turn on inputs that the TF1 graph accepts, and let those leave who cannot win.

    Inputs and outputs stay on the device: variants differ in what they compute, and not in how they are fed.
    """
    start_s = time.perf_counter()
    runtime.configure("as_run", request.device, request.seed)
    inputs = accepted(read_source(request.source), request.source.options, request.seed)
    if inputs is None:
        return RaceResult(reason=NO_SAMPLE)
    chosen = request.source.options.batch_sizes
    wanted = (chosen[0], chosen[-1]) if chosen else RACE_BATCHES[request.device]
    paddock = Paddock(inputs, inputs.sizes(wanted), request.device)
    for name, directory in request.saved_models.items():
        if paddock.courses and time.perf_counter() - start_s > LOADING_SHARE * request.budget_s:
            paddock.reasons[name] = "no time was left to load it"
        else:
            paddock.enter(name, directory)
    return _raced(paddock, request, start_s)


def _raced(paddock: "Paddock", request: RaceRequest, start_s: float) -> RaceResult:
    faithful = next(iter(request.saved_models))
    if faithful in paddock.reasons:
        return RaceResult(reason=f"the faithful model does not run: {paddock.reasons[faithful]}")
    wait = settling(request.device)
    contest = Race(paddock.courses, Timing(settle=_giving_up(wait) if wait else None), seed=request.seed)
    try:
        contest.run(request.budget_s - (time.perf_counter() - start_s))
    except GaveUpError as error:
        return RaceResult(reason=f"the faithful model does not run: {error}")
    return RaceResult(runners=tuple(_runner(contest, paddock, name) for name in request.saved_models))


def _runner(contest: Race, paddock: "Paddock", name: str) -> Runner:
    if name in paddock.reasons:
        return Runner(name=name, reason=paddock.reasons[name])
    return contest.runner(name, paddock.first_calls_ms[name])


class Paddock:
    """Who is ready to run: loaded, and called once at each batch size. Who is not is there with the reason.

    The first to enter decides on the sizes: where memory does not hold one for it, the half is taken.
    """

    def __init__(self, inputs: Inputs, sizes: Sequence[int], device: str) -> None:
        self._inputs, self._sizes, self._device = inputs, sizes, device
        self.courses: dict[int, dict[str, Call]] = {}
        self.first_calls_ms: dict[str, float] = {}
        self.reasons: dict[str, str] = {}

    def enter(self, name: str, directory: str) -> None:
        """Load a SavedModel and call it; the first call is timed."""
        if self.courses and not has_room(directory):
            self.reasons[name] = "no memory was left to load it beside the others"
            return
        try:
            check_written(directory)  # whoever wrote it had read a stranger's model before
            candidate = Candidate(directory)
            calls = {size: self._called(name, candidate, size) for size in self.courses} or self._fitting(
                name, candidate
            )
        except JobError as error:
            self.reasons[name] = error.what
            return
        except FAILURES as error:
            self.reasons[name] = message_of(error)
            return
        for size, call in calls.items():
            self.courses.setdefault(size, {})[name] = call

    def _fitting(self, name: str, candidate: Candidate) -> dict[int, Call]:
        """Return the calls by batch size, each the largest of a wanted one, its half and so on that memory holds."""
        return dict(self._halved(name, candidate, size) for size in self._sizes)

    def _halved(self, name: str, candidate: Candidate, size: int) -> tuple[int, Call]:
        try:
            return size, self._called(name, candidate, size)
        except tf.errors.ResourceExhaustedError:
            if size == 1:
                raise
            return self._halved(name, candidate, size // 2)

    def _called(self, name: str, candidate: Candidate, size: int) -> Call:
        """Return the call of one batch after its first time, which traces, compiles and chooses kernels."""
        call = resident_call(candidate, self._inputs.signature, self._inputs.batch(size), self._device)
        start_s = time.perf_counter()
        call()
        wait = settling(self._device)
        if wait is not None:
            wait()
        self.first_calls_ms.setdefault(name, (time.perf_counter() - start_s) * 1e3)
        return _giving_up(call)


def has_room(directory: str) -> bool:
    """Tell whether this process may hold one more SavedModel: what cannot be allocated may end it."""
    files_bytes = sum(path.stat().st_size for path in Path(directory).rglob("*") if path.is_file())
    held_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    limit_bytes, _ = resource.getrlimit(resource.RLIMIT_DATA)
    most_bytes = container_bytes() if limit_bytes == resource.RLIM_INFINITY else limit_bytes
    return held_bytes + LOADED * files_bytes < most_bytes


def _giving_up(call: Call) -> Call:
    """Let a call say in the race's own words that it failed."""

    def checked() -> None:
        try:
            call()
        except FAILURES as error:
            raise GaveUpError(message_of(error)) from error

    return checked
