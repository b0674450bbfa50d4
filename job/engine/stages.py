"""What a worker can be asked to do: a record in, a record out."""

from collections.abc import Callable
from typing import Any, Final, NamedTuple

import tensorflow as tf

from job.engine import runtime
from job.engine.benchmarking import benchmark
from job.engine.exporting import export
from job.engine.lift import lift
from job.engine.source_graph import read_source
from job.engine.verifying import verify
from job.records import ConvertResult, DeviceReport, SourceSummary
from job.requests import BenchmarkRequest, ConvertRequest, DeviceRequest, SourceRequest, VerifyRequest


class Stage(NamedTuple):
    """A function from a request to a result, both records."""

    request: type[Any]
    run: Callable[[Any], Any]


def inspect(request: SourceRequest) -> SourceSummary:
    """Read an artifact without converting it."""
    runtime.configure("exact", "cpu")
    return read_source(request).summary()


def convert(request: ConvertRequest) -> ConvertResult:
    """Lift an artifact and write its SavedModel, on the CPU."""
    runtime.configure("exact", "cpu")
    source = read_source(request.source)
    model = lift(source, allow_nonfinite=request.source.options.allow_nonfinite)
    export(model, source, request.saved_model, scratch=request.source.directory)
    return ConvertResult(summary=source.summary())


def probe_device(request: DeviceRequest) -> DeviceReport:
    """Find out where models will run; proves a GPU by placing an op on it."""
    if request.device == "cpu":
        return DeviceReport(device="cpu", name="")
    if request.device == "auto" and not tf.config.list_physical_devices("GPU"):
        return DeviceReport(device="cpu", name="")
    return DeviceReport(device="gpu", name=runtime.prove_gpu())


STAGES: Final[dict[str, Stage]] = {
    "probe_device": Stage(DeviceRequest, probe_device),
    "inspect": Stage(SourceRequest, inspect),
    "convert": Stage(ConvertRequest, convert),
    "verify": Stage(VerifyRequest, verify),
    "benchmark": Stage(BenchmarkRequest, benchmark),
}
