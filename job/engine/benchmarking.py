"""Throughput and latency of the candidate against the baseline, interleaved on one device."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from job import latency
from job.efforts import BATCHES, BUDGETS_S
from job.engine import runtime
from job.engine.assembling import read_source
from job.engine.run_errors import message_of
from job.engine.runners import Baseline, Candidate
from job.engine.samples.making import Sample, candidates, recorded
from job.engine.source_graph import SourceGraph
from job.records import Signature, TensorSpec
from job.requests import BenchmarkRequest
from job.results import BatchMeasurement, BenchmarkResult

Array = NDArray[Any]


@dataclass(frozen=True, kw_only=True)
class Contest:
    """Both sides with one example's inputs."""

    signature: Signature
    baseline: Baseline
    candidate: Candidate
    sample: Sample

    def at(self, batch: int) -> tuple[Callable[[], None], Callable[[], None]]:
        """Return both sides' calls for one batch, fed from host memory."""
        feeds = [
            np.repeat(feed[:1], batch, axis=0) if feed.ndim and _is_batched(spec) else feed
            for feed, spec in zip(self.sample.feeds, self.signature.inputs, strict=True)
        ]
        baseline, candidate = self.baseline.callable(self.signature), self.candidate.callable(self.signature)

        def run_candidate() -> None:
            for tensor in candidate(*self.candidate.tensors(self.signature, feeds)):
                tensor.numpy()

        return lambda: (baseline(*feeds), None)[1], run_candidate


def benchmark(request: BenchmarkRequest) -> BenchmarkResult:
    """Sweep batch sizes until throughput gains less than 5 % or memory ends (design §8).

    The numbers are those of TensorFlow's defaults, as users run it. The first signature whose
    inputs can be made is measured.
    """
    runtime.configure("as_run", request.device, request.seed)
    source = read_source(request.source)
    found = _accepted(source, request)
    if found is None:
        return BenchmarkResult(verdict="not_run", reason="no sample that the TF1 graph accepts could be made")
    (signature, sample), (load_ms, (baseline, candidate)) = found, _loaded(source, request)
    contest = Contest(signature=signature, baseline=baseline, candidate=candidate, sample=sample)
    return _measured(contest, load_ms, request)


def _loaded(source: SourceGraph, request: BenchmarkRequest) -> tuple[dict[str, float], tuple[Baseline, Candidate]]:
    start = time.perf_counter()
    baseline = Baseline(source, "as_run")
    middle = time.perf_counter()
    candidate = Candidate(request.saved_model)
    end = time.perf_counter()
    return {"baseline": (middle - start) * 1e3, "candidate": (end - middle) * 1e3}, (baseline, candidate)


def _accepted(source: SourceGraph, request: BenchmarkRequest) -> tuple[Signature, Sample] | None:
    """Return the first signature and sample that the TF1 graph accepts.

    They are tried on a baseline of their own, closed before either contender is loaded: neither has
    run when its first call is timed, nor pays for what a process does once.
    """
    with closing(Baseline(source, "as_run")) as trial:
        pairs = (
            (signature, sample)
            for signature in map(source.exported, source.signatures)
            for sample in _samples(source, signature, request)
        )
        return next((pair for pair in pairs if _accepts(trial, *pair)), None)


def _accepts(baseline: Baseline, signature: Signature, sample: Sample) -> bool:
    try:
        baseline.run(signature, sample.feeds)
    except (tf.errors.OpError, ValueError):
        return False
    return True


def _samples(source: SourceGraph, signature: Signature, request: BenchmarkRequest) -> Iterable[Sample]:
    if request.source.options.samples:
        return (recorded(request.source.options.samples, signature),)
    return next(iter(candidates(source, signature, request.seed)))


def _measured(contest: Contest, load_ms: dict[str, float], request: BenchmarkRequest) -> BenchmarkResult:
    ends = list[str]()
    sizes = _sizes(contest.signature, request)
    first, first_call_ms = _fitting(contest, sizes[0], ends)
    sizes = sizes if first == sizes[0] else (first,) if first else ()
    measurements = tuple(_sweep(contest, sizes, request, ends))
    stable = bool(measurements) and all(one.stable for one in measurements)
    return BenchmarkResult(
        verdict="measured" if stable else "unstable" if measurements else "not_run",
        reason="; ".join(ends),
        signature=contest.signature.key,
        measurements=measurements,
        load_ms=load_ms,
        first_call_ms=first_call_ms,
        environment=runtime.environment("as_run", request.device),
    )


def _sweep(
    contest: Contest, sizes: Sequence[int], request: BenchmarkRequest, ends: list[str]
) -> Iterator[BatchMeasurement]:
    """Measure size after size; why there are no more goes to `ends`."""
    throughputs = dict[int, float]()
    for size in sizes:
        fitting, _ = _fitting(contest, size, ends)
        if not fitting or fitting in throughputs:
            return
        measured = latency.measure_interleaved(
            *contest.at(fitting), batch_size=fitting, budget_s=BUDGETS_S[request.effort], seed=request.seed
        )
        yield measured
        throughputs[fitting] = measured.candidate.throughput_per_s
        if fitting < size or latency.saturated([*throughputs.values()]):
            return


def _fitting(contest: Contest, size: int, ends: list[str]) -> tuple[int, dict[str, float]]:
    """Return the largest of a size, its half and so on that memory holds, and what each side's call took, in ms.

    That size is 0 where none is held, or the graph refuses: its batch may be fixed inside.
    """
    if not size:
        return 0, {}
    try:
        return size, dict(zip(("baseline", "candidate"), map(_timed_ms, contest.at(size)), strict=True))
    except tf.errors.ResourceExhaustedError as error:
        ends.append(f"memory ends at batch {size}: {message_of(error)}")
        return _fitting(contest, size // 2, ends)
    except (tf.errors.OpError, ValueError) as error:
        ends.append(f"batch {size} does not run: {message_of(error)}")
        return 0, {}


def _sizes(signature: Signature, request: BenchmarkRequest) -> Sequence[int]:
    """Return the batch sizes to measure; where no input's is free, the one that the signature takes."""
    if any(_is_batched(spec) for spec in signature.inputs):
        return request.source.options.batch_sizes or BATCHES[request.effort]
    return (max((spec.shape[0] or 1 for spec in signature.inputs if spec.shape), default=1),)


def _is_batched(spec: TensorSpec) -> bool:
    return spec.shape is None or (spec.shape != () and spec.shape[0] is None)


def _timed_ms(call: Callable[[], None]) -> float:
    start = time.perf_counter()
    call()
    return (time.perf_counter() - start) * 1e3
