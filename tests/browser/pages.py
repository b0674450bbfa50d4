"""Pages that are hard to lay out, made from records alone."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

from job.records import Artifact, ArtifactReport, ErrorRecord, Finding, Format, LeftAlone, Signature, TensorSpec
from job.report import render_html, render_index
from job.results import BenchmarkResult, Decade, DivergingNode, ErrorHistogram, OutputParity
from tests import samples

LONG: Final = "a_name_without_any_place_to_break_it_" * 6
"""More letters than a line has, in names that their owners chose."""

BATCHES: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256)


def _benchmark() -> BenchmarkResult:
    """A long sweep, of three contenders, with a batch that did not settle."""
    swept = (samples.measurement(size, 120.5 * size**0.8, 1.0 + size / 400, stable=size != 64) for size in BATCHES)
    raced = (samples.with_fast(one, 171.2 * one.batch_size**0.8, 1.6) for one in swept)
    return replace(samples.MEASURED_ON_A_GPU, measurements=tuple(raced))


def _output(number: int) -> OutputParity:
    key = f"{LONG}{number}"
    return replace(samples.PROBABILITIES, output=key, tensor=f"{LONG}/{key}:0", signature=LONG, reason=f"{LONG} {LONG}")


def _specs(count: int, *shape: int | None) -> tuple[TensorSpec, ...]:
    names = (f"{LONG}{number}" for number in range(count))
    return tuple(TensorSpec(key=name, tensor=f"{name}:0", dtype="float32", shape=shape) for name in names)


def _long() -> ArtifactReport:
    """Everything that a user can name has a name that does not fit."""
    outputs = tuple(map(_output, range(12)))
    parity = replace(
        samples.PARITY,
        outputs=outputs,
        reason=LONG,
        notes=(LONG,),
        first_diverging=DivergingNode(node=LONG, op=LONG, reason=LONG),
    )
    findings = tuple(
        Finding(code="training_switch", cause=f"{LONG} was set", remedy=LONG, severity=severity)
        for severity in ("info", "warning", "error")
    )
    signature = Signature(key=LONG, inputs=_specs(6, None, 1, 2, 3, 4, 5, 6, 7, 8), outputs=_specs(12, None))
    objects = tuple(replace(samples.PUBLISHED.sources[0], key=f"{LONG}/{number}") for number in range(12))
    return replace(
        samples.PUBLISHED,
        artifact=replace(samples.ARTIFACT, name=f"{LONG}/{LONG}", entry=LONG),
        sources=objects,
        summary=replace(samples.SUMMARY, signatures=(signature,), findings=findings, producer=LONG),
        parity=parity,
        as_run=parity,
        environment={LONG: LONG, "sandbox": f"{LONG} {LONG}"},
    )


def _refused() -> ArtifactReport:
    error = ErrorRecord(
        exit_code=42,
        code_name="refused",
        what=f"op PyFunc calls Python code that no file holds; {LONG}",
        where=f"s3://models/{LONG}/frozen.pb, node {LONG}/PyFunc",
        remedy="name an output above the node in the manifest: outputs: {scores: dense/BiasAdd:0}",
        stage="convert",
    )
    return replace(samples.BROKEN, artifact=replace(samples.ARTIFACT, format=Format.GRAPH_DEF), error=error)


def _wrong() -> ArtifactReport:
    """Answers that are off by anything that there is, in a great many numbers."""
    assert samples.PARITY_FAILED.parity is not None
    diverging = DivergingNode(node="resnet/block1/conv/Conv2D", op="Conv2D", reason="0.03 of the scale of its output")
    decades = tuple(Decade(exponent=exponent, count=123_456_789) for exponent in range(-12, 3))
    spread = ErrorHistogram(equal=987_654_321, decades=decades, unequal=1_234_567)
    outputs = tuple(replace(one, histogram=spread) for one in samples.PARITY_FAILED.parity.outputs)
    parity = replace(samples.PARITY_FAILED.parity, first_diverging=diverging, outputs=outputs)
    return replace(samples.PARITY_FAILED, parity=parity)


def _reports() -> dict[str, ArtifactReport]:
    return {
        "published": samples.PUBLISHED,
        "benchmarked": replace(samples.PUBLISHED, benchmark=_benchmark()),
        "unproven": samples.UNPROVEN,
        "already_published": samples.ALREADY_PUBLISHED,
        "broken": samples.BROKEN,
        "refused": _refused(),
        "parity_failed": _wrong(),
        "long_names": _long(),
    }


def _named(report: ArtifactReport, number: int) -> ArtifactReport:
    name = f"team_{number % 7}/{number:02}/{LONG if number % 10 == 0 else report.artifact.name}"
    artifact: Artifact = replace(report.artifact, name=name)
    return replace(report, artifact=artifact)


def _index(count: int) -> str:
    kinds = tuple(_reports().values())
    reports = [_named(kinds[number % len(kinds)], number) for number in range(count)]
    left = [LeftAlone(key=f"{LONG}/{number}.csv", reason=".csv files hold no models") for number in range(count)]
    links = {report.artifact.name: f"../../{report.artifact.name}/report.html" for report in reports}
    return render_index(reports, left_alone=left, links=links)


def _pages() -> Iterator[tuple[str, str]]:
    for name, report in _reports().items():
        yield name, render_html(report)
    yield "index_of_1", render_index([samples.PUBLISHED])
    yield "index_of_30", _index(30)


NAMES: Final = (*_reports(), "index_of_1", "index_of_30")


def write(name: str, folder: Path) -> Path:
    """Write one page of `NAMES` into a folder."""
    file = folder / f"{name}.html"
    file.write_text(dict(_pages())[name], encoding="utf-8")
    return file
