"""How figures and verdicts are written for people, the same on a terminal and in the report."""

from collections.abc import Iterable, Sequence
from typing import Final

from job.errors import from_record
from job.records import ArtifactReport, ErrorRecord, Finding, Format, Shape, TensorSpec
from job.results import BatchMeasurement, OutputParity, ParityResult

NOTHING: Final = "-"

FORMAT_NAMES: Final = {
    Format.SAVED_MODEL: "SavedModel",
    Format.GRAPH_DEF: "GraphDef",
    Format.META_GRAPH: "checkpoint with MetaGraph",
    Format.CHECKPOINT: "checkpoint without MetaGraph",
    Format.KERAS_H5: "Keras HDF5",
    Format.ARCHIVE: "archive",
    Format.UNREADABLE: "unreadable",
}


def size(size_bytes: float) -> str:
    """Write bytes with a decimal unit: ``102.4 MB``."""
    for unit in ("B", "kB", "MB", "GB"):
        if size_bytes < 1000:
            return f"{size_bytes:.0f} {unit}" if unit == "B" else f"{size_bytes:.1f} {unit}"
        size_bytes /= 1000
    return f"{size_bytes:.1f} TB"


def figure(value: float) -> str:
    """Write a measured number with three digits and no exponent: ``1,230``, ``12.3``, ``0.123``."""
    digits = next((digits for digits, least in enumerate((100, 10, 1)) if abs(value) >= least), 3)
    return f"{value:,.{digits}f}"


def shape(dimensions: Shape) -> str:
    """Write a shape with ``?`` for what is free."""
    if dimensions is None:
        return "any shape"
    return "[" + ", ".join("?" if extent is None else str(extent) for extent in dimensions) + "]"


def tensor(spec: TensorSpec) -> str:
    """Write what a tensor holds: ``float32 [?, 10]``."""
    return f"{spec.dtype} {shape(spec.shape)}"


def error(record: ErrorRecord) -> str:
    """Write an error in one line: what, where, what to do."""
    return str(from_record(record))


def deviation(output: OutputParity) -> str:
    """Write how far an output is off, relative to its scale where it has one."""
    if output.relative is not None:
        return "none" if output.relative == 0 else f"{output.relative:.1e}"
    return {"passed": "none", "failed": "differs", "not_run": "not run"}[output.verdict]


def worst_output(parity: ParityResult) -> OutputParity | None:
    """Return the output that is furthest off: what failed first, then by relative error."""

    def badness(output: OutputParity) -> tuple[int, float]:
        return ("passed", "not_run", "failed").index(output.verdict), output.relative or 0.0

    return max(parity.outputs, key=badness, default=None)


def parity(result: ParityResult | None) -> str:
    """Write the outcome of one comparison: the worst deviation, or that there was none made."""
    if result is None:
        return NOTHING
    if result.verdict == "not_run":
        return "not run"
    worst = worst_output(result)
    return deviation(worst) if worst is not None else result.verdict


def weightiest_first(findings: Iterable[Finding]) -> list[Finding]:
    """Return findings in the order in which a reader needs them: errors, warnings, then what is good to know."""
    return sorted(findings, key=lambda finding: ("error", "warning", "info").index(finding.severity))


def why_no_speed(report: ArtifactReport) -> str:
    """Return why no speed may be told of this artifact; empty if it may: wrong answers have no speed."""
    if report.parity is None or report.parity.verdict != "passed":
        return "parity was not shown, and how fast a wrong answer comes is of no use"
    if report.as_run is not None and report.as_run.verdict == "failed":
        return "as it was measured, the model's answers are too far off"
    if report.benchmark is None:
        return "no benchmark was asked for"
    if not report.benchmark.measurements:
        return report.benchmark.reason or "nothing was measured"
    return ""


def best_measurement(report: ArtifactReport) -> BatchMeasurement | None:
    """Return the stable measurement with the candidate's highest throughput, if speed may be told."""
    if why_no_speed(report) or report.benchmark is None:
        return None
    stable = [measured for measured in report.benchmark.measurements if measured.stable]
    return max(stable, key=lambda measured: measured.candidate.throughput_per_s, default=None)


def ratio(measured: BatchMeasurement) -> str:
    """Write candidate over baseline throughput with its interval; nothing of an unstable one."""
    if not measured.stable:
        return "unstable"
    return f"{measured.ratio:.2f}x ({measured.ratio_low:.2f} to {measured.ratio_high:.2f})"


def speed(report: ArtifactReport) -> str:
    """Write the ratio at the best batch size in a table's cell."""
    best = best_measurement(report)
    if best is not None:
        return f"{ratio(best)}, batch {best.batch_size}"
    return NOTHING if why_no_speed(report) else "unstable"


def speed_sentence(report: ArtifactReport) -> str:
    """Say what the benchmark found; an interval around 1 is no difference."""
    best = best_measurement(report)
    if best is None:
        return f"No speed is told: {why_no_speed(report) or 'the measurement was not stable'}."
    bounds = f"(95 % interval {best.ratio_low:.2f} to {best.ratio_high:.2f})"
    if best.ratio_low <= 1 <= best.ratio_high:
        return f"As fast as the TF1 graph at batch {best.batch_size}, within what could be measured {bounds}."
    comparison = "faster" if best.ratio > 1 else "slower"
    return f"{best.ratio:.2f} times the TF1 graph's throughput at batch {best.batch_size} {bounds}: {comparison}."


def headline(report: ArtifactReport) -> str:
    """Say in one sentence what became of the artifact."""
    if report.error is not None:
        return "Not published: the answers differ." if report.error.code_name == "parity_failed" else "Not published."
    if report.status == "already_published":
        return "Already published by an earlier run."
    if report.parity is not None and report.parity.verdict == "passed":
        return f"Converted, and proven to answer as {_baseline(report)}."
    return "Converted, but not proven: the answers were not compared."


def _baseline(report: ArtifactReport) -> str:
    """Say what the answers were compared with: a checkpoint without a graph has none of its own."""
    codes = {finding.code for finding in report.summary.findings} if report.summary else set()
    if report.summary and "architecture_recognised" in codes:
        return f"the graph does that was built from the checkpoint's names, {report.summary.producer}"
    if "architecture_given" in codes:
        return "the graph does that your function built"
    return "the TF1 graph does"


def shown(names: Sequence[str], most: int = 10) -> str:
    """Return names for a message: not more than a line takes, and how many more there are."""
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")
