"""What a worker can be asked to do: a record in, a record out."""

import importlib
from collections.abc import Callable
from typing import Any, Final, NamedTuple

import tensorflow as tf

from job.engine import runtime
from job.engine.assembling import assemble, load, outline
from job.engine.benchmarking import benchmark
from job.engine.caches import fill_caches
from job.engine.exporting import export, rehearse_export
from job.engine.lift import lift, rehearse
from job.engine.proof.verifying import verify
from job.engine.racing import race
from job.engine.source_graph import SourceGraph
from job.engine.structure import blaming
from job.engine.target.conforming import with_target
from job.engine.variants.making import make_variants
from job.engine.warming_up import warm_up
from job.errors import JobError
from job.records import ConvertResult, DeviceReport, Format, KerasResult, SourceSummary
from job.requests import (
    BenchmarkRequest,
    ConvertRequest,
    DeviceRequest,
    KerasRequest,
    MakeVariantsRequest,
    RaceRequest,
    SourceRequest,
    VerifyRequest,
    WarmUpRequest,
)

__all__ = ["STAGES", "Stage", "fill_caches"]


class Stage(NamedTuple):
    """A function from a request to a result, both records."""

    request: type[Any]
    run: Callable[[Any], Any]


def inspect(request: SourceRequest) -> ConvertResult:
    """Do all that `convert` does but hold the weights and write, so that what it would end with is known."""

    def foresee(source: SourceGraph) -> None:
        model = rehearse(source, allow_nonfinite=request.options.allow_nonfinite)
        rehearse_export(model, request.options.target_tf)

    return _converted(request, foresee)


def convert(request: ConvertRequest) -> ConvertResult:
    """Lift an artifact and write its SavedModel, on the CPU."""

    def write(source: SourceGraph) -> None:
        options = request.source.options
        model = lift(source, allow_nonfinite=options.allow_nonfinite)
        scratch = request.source.directory
        export(model, source, request.saved_model, scratch=scratch, target_tf=options.target_tf)

    return _converted(request.source, write)


def _converted(request: SourceRequest, act: Callable[[SourceGraph], object]) -> ConvertResult:
    """Read an artifact and act on it; an error stands beside what was found out before it came."""
    runtime.configure("exact", "cpu")
    summary = SourceSummary(format=request.format)
    try:
        loaded = load(request)
        summary = outline(loaded, request)
        with blaming(loaded.meta_graph.graph_def):
            source = assemble(loaded, request)
            summary = with_target(source.summary(), request.options.target_tf)
            act(source)
    except JobError as error:
        return ConvertResult(summary=summary, error=error.to_record())
    return ConvertResult(summary=summary)


def probe_device(request: DeviceRequest) -> DeviceReport:
    """Find out where models will run; proves a GPU by placing an op on it."""
    if request.device == "cpu":
        return DeviceReport(device="cpu", name="")
    if request.device == "auto" and not tf.config.list_physical_devices("GPU"):
        return DeviceReport(device="cpu", name="")
    count = len(tf.config.list_physical_devices("GPU"))
    return DeviceReport(device="gpu", name=runtime.prove_gpu(), count=count)


def write_keras(request: KerasRequest) -> KerasResult:
    """Write the model for Keras 3 too, if that can hold it."""
    return _of_keras3("write", request)


def verify_keras(request: KerasRequest) -> KerasResult:
    """Compare the file for Keras 3 with what the baseline answered."""
    return _of_keras3("verify", request)


def _of_keras3(what: str, request: KerasRequest) -> KerasResult:
    maker = importlib.import_module(KERAS_MAKERS[request.source.format])  # Keras is imported for those who need it
    result: KerasResult = getattr(maker, what)(request)
    return result


KERAS_MAKERS: Final = {
    Format.KERAS_H5: "job.engine.keras.keras3",
    Format.CHECKPOINT: "job.engine.architectures.keras_file",
}
"""What makes a file for Keras 3 out of a format."""

STAGES: Final[dict[str, Stage]] = {
    "probe_device": Stage(DeviceRequest, probe_device),
    "inspect": Stage(SourceRequest, inspect),
    "convert": Stage(ConvertRequest, convert),
    "verify": Stage(VerifyRequest, verify),
    "write_keras": Stage(KerasRequest, write_keras),
    "verify_keras": Stage(KerasRequest, verify_keras),
    "warm_up": Stage(WarmUpRequest, warm_up),
    "make_variants": Stage(MakeVariantsRequest, make_variants),
    "race": Stage(RaceRequest, race),
    "benchmark": Stage(BenchmarkRequest, benchmark),
}
