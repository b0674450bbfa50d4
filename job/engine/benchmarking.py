"""Throughput and latency of the SavedModels against the TF1 graph, interleaved on one device."""

import os
import time
from collections.abc import Iterator, Sequence
from itertools import takewhile
from typing import Final

import tensorflow as tf

from job import latency
from job.efforts import BATCHES, BUDGETS_S
from job.engine import runtime
from job.engine.assembling import read_source
from job.engine.contest import Contest, Feeding, gpu_memory_bytes
from job.engine.inputs import NO_SAMPLE, accepted
from job.engine.overheads import UnsettledError, overheads
from job.engine.resident import settling
from job.engine.run_errors import RUN_ERRORS, message_of
from job.gpu import NoGpu, first_gpu
from job.latency import Call, Timing
from job.processor import processor
from job.requests import BenchmarkRequest
from job.results import BatchMeasurement, BenchmarkResult, OwnTime

ONE_MEMORY: Final = "on a CPU, inputs and outputs lie in the memory that the model runs in: there is one way to feed it"


def benchmark(request: BenchmarkRequest) -> BenchmarkResult:
    """Sweep batch sizes until throughput gains less than 5 % or memory ends (design §8).

    The numbers are those of TensorFlow's defaults, as users run it. The first signature whose
    inputs can be made is measured.
    """
    runtime.configure("as_run", request.device, request.seed)
    source = read_source(request.source)
    inputs = accepted(source, request.source.options, request.seed)
    if inputs is None:
        return BenchmarkResult(verdict="not_run", reason=NO_SAMPLE)
    return Sweep(Contest(source, inputs, request), request).result()


class Sweep:
    """The measurements of a contest, batch size after batch size; why there are no more is in `_ends`."""

    def __init__(self, contest: Contest, request: BenchmarkRequest) -> None:
        self._contest, self._request = contest, request
        self._gpu = first_gpu(os.environ.get("CUDA_VISIBLE_DEVICES", "")) if request.device == "gpu" else NoGpu()
        self._feedings = list[Feeding](contest.feedings)
        self._ends = list[str]()
        self._notes = [] if request.device == "gpu" else [ONE_MEMORY]
        self._peak_bytes = dict[str, int]()

    def result(self) -> BenchmarkResult:
        """Measure all there is to be measured."""
        request, contest = self._request, self._contest
        sizes = contest.inputs.sizes(request.source.options.batch_sizes or BATCHES[request.effort])
        first, first_call_ms = self._fitting(sizes[0])
        sizes = sizes if first == sizes[0] else (first,) if first else ()
        measurements = tuple(self._measurements(sizes))
        stable = bool(measurements) and all(one.stable for one in measurements)
        return BenchmarkResult(
            verdict="measured" if stable else "unstable" if measurements else "not_run",
            reason="; ".join(self._ends),
            signature=contest.inputs.signature.key,
            measurements=measurements,
            own_times=self._own_times(measurements),
            load_ms=contest.load_ms,
            first_call_ms=first_call_ms,
            peak_memory_bytes=self._peak_bytes,
            saturation=saturation_told(measurements),
            environment=runtime.environment("as_run", request.device) | processor() | self._gpu.environment,
            notes=tuple(self._notes),
        )

    def _measurements(self, sizes: Sequence[int]) -> Iterator[BatchMeasurement]:
        """Measure size after size, until nobody gains any more."""
        done = list[BatchMeasurement]()
        for size in sizes:
            fitting, _ = self._fitting(size)
            if not fitting or fitting in {one.batch_size for one in done}:
                return
            for measured in self._measured_at(fitting):
                done.append(measured)
                yield measured
            if fitting < size or len(_saturation(done)) == len(self._contest.names):
                return

    def _measured_at(self, size: int) -> Iterator[BatchMeasurement]:
        """Measure by every feeding; one that fails is left out from then on."""
        for feeding in tuple(self._feedings):
            try:
                yield self._measured(size, feeding)
            except RUN_ERRORS as error:  # noqa: PERF203 - a measurement takes seconds
                self._feedings.remove(feeding)
                self._notes.append(f"batch {size} does not run when fed from {feeding}: {message_of(error)}")

    def _measured(self, size: int, feeding: Feeding) -> BatchMeasurement:
        calls = self._contest.calls(size, feeding)
        settle = settling(self._request.device) if feeding == "device" else None
        self._gpu.begin()
        return self._gpu.told(
            latency.measure_interleaved(
                calls,
                batch_size=size,
                budget_s=BUDGETS_S[self._request.effort],
                feeding=feeding,
                seed=self._request.seed,
                timing=Timing(settle=settle, look=self._gpu.look),
            )
        )

    def _own_times(self, measurements: Sequence[BatchMeasurement]) -> tuple[OwnTime, ...]:
        if not measurements:
            return ()
        smallest = min(one.batch_size for one in measurements)
        try:
            return overheads(self._contest, smallest, BUDGETS_S[self._request.effort], self._request.seed)
        except (*RUN_ERRORS, UnsettledError) as error:
            self._notes.append(f"the overhead of a call could not be measured: {message_of(error)}")
            return ()

    def _fitting(self, size: int) -> tuple[int, dict[str, float]]:
        """Return the largest of a size, its half and so on that memory holds, and what each one's call took, in ms.

        That size is 0 where none is held, or the graph refuses: its batch may be fixed inside.
        """
        if not size:
            return 0, {}
        try:
            return size, {name: self._called_ms(name, call) for name, call in self._contest.calls(size).items()}
        except tf.errors.ResourceExhaustedError as error:
            self._ends.append(f"memory ends at batch {size}: {message_of(error)}")
            return self._fitting(size // 2)
        except (tf.errors.OpError, ValueError) as error:
            self._ends.append(f"batch {size} does not run: {message_of(error)}")
            return 0, {}

    def _called_ms(self, name: str, call: Call) -> float:
        """Time one call, and note the GPU's memory that a contender needs for it, weights included."""
        held_bytes, start_s = gpu_memory_bytes(self._request.device, reset=True), time.perf_counter()
        call()
        called_ms = (time.perf_counter() - start_s) * 1e3
        if self._request.device == "gpu":
            own_bytes = gpu_memory_bytes(self._request.device).peak - held_bytes.current
            self._peak_bytes[name] = max(self._contest.weights_bytes[name] + own_bytes, self._peak_bytes.get(name, 0))
        return called_ms


def saturation_told(measurements: Sequence[BatchMeasurement]) -> dict[str, int]:
    """Return `_saturation` as far as the sweep is stable."""
    return _saturation([*takewhile(lambda one: one.stable, _alike(measurements))])


def _alike(measurements: Sequence[BatchMeasurement]) -> list[BatchMeasurement]:
    """Return those that are fed alike: from the device, which comes last, unless that failed on the way."""
    return [one for one in measurements if one.feeding == measurements[-1].feeding]


def _saturation(measurements: Sequence[BatchMeasurement]) -> dict[str, int]:
    """Return from which batch size on each contender gains less than 5 %."""
    throughputs = dict[str, dict[int, float]]()
    for measured in _alike(measurements):
        for one in measured.contenders:
            throughputs.setdefault(one.name, {})[measured.batch_size] = one.throughput_per_s
    found = {name: latency.saturation(by_size) for name, by_size in throughputs.items()}
    return {name: size for name, size in found.items() if size}
