"""How figures and verdicts are written for people, the same on a terminal and in the report."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from job.errors import ParityFailed, from_record
from job.records import ArtifactReport, ErrorRecord, Finding, Format, Shape, TensorSpec
from job.results import BatchMeasurement, GpuWatch, OutputParity, ParityResult, RaceLap, Ratio, VariantResult

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


CONTENDERS: Final = {"baseline": "TF1 graph", "candidate": "saved_model", "fast": "saved_model_fast"}
"""What a benchmark's contenders are called: the graph in its Session, and what is published."""

FEEDINGS: Final = {"host": "", "device": ", inputs and outputs staying on the GPU"}


class Best(NamedTuple):
    """Where one contender had its highest throughput."""

    name: str
    measured: BatchMeasurement
    throughput_per_s: float
    ratio: Ratio


def best(report: ArtifactReport) -> tuple[Best, ...]:
    """Return where each published model was fastest, of what is stable; nothing where no speed may be told."""
    if why_no_speed(report) or report.benchmark is None:
        return ()
    found = [
        Best(one.name, measured, one.throughput_per_s, one.ratio)
        for measured in report.benchmark.measurements
        for one in measured.contenders
        if measured.stable and one.ratio is not None
    ]
    by_throughput = {each.name: each for each in sorted(found, key=lambda each: each.throughput_per_s)}
    return tuple(by_throughput[name] for name in CONTENDERS if name in by_throughput)


def ratio(value: Ratio) -> str:
    """Write a ratio of throughputs with its interval."""
    return f"{value.value:.2f}x ({value.low:.2f} to {value.high:.2f})"


def is_held_to_candidate(report: ArtifactReport) -> bool:
    """Tell whether the benchmark compared the fast variant with the faithful model."""
    measurements = report.benchmark.measurements if report.benchmark else ()
    return any(one.over_candidate for measured in measurements for one in measured.contenders)


def speed(report: ArtifactReport) -> str:
    """Write each published model's ratio at its best batch size in a table's cell."""
    names = {"candidate": "", "fast": "fast "}
    told = [f"{names[each.name]}{ratio(each.ratio)}, batch {each.measured.batch_size}" for each in best(report)]
    return "; ".join(told) or (NOTHING if why_no_speed(report) else "unstable")


def speed_sentence(report: ArtifactReport) -> str:
    """Say what the benchmark found; an interval around 1 is no difference."""
    told = " ".join(map(_compared, best(report)))
    return told or f"No speed is told: {why_no_speed(report) or 'the measurement was not stable'}."


def _compared(found: Best) -> str:
    """Say how one published model compares with the TF1 graph."""
    low, high = found.ratio.low, found.ratio.high
    where = f"at batch {found.measured.batch_size}{FEEDINGS[found.measured.feeding]}"
    bounds = f"(95 % interval {low:.2f} to {high:.2f})"
    if low <= 1 <= high:
        return f"{CONTENDERS[found.name]} is as fast as the TF1 graph {where}, within what could be measured {bounds}."
    comparison = "faster" if found.ratio.value > 1 else "slower"
    times = f"{found.ratio.value:.2f} times the TF1 graph's throughput"
    return f"{CONTENDERS[found.name]} has {times} {where} {bounds}: {comparison}."


def each_of(figures: Mapping[str, float], write: Callable[[float], str]) -> str:
    """Write one figure of each contender: ``TF1 graph 12.3, saved_model 4.5``."""
    return ", ".join(f"{CONTENDERS.get(name, name)} {write(value)}" for name, value in figures.items())


def count(value: float) -> str:
    """Write a whole number."""
    return f"{value:.0f}"


def gpu(watched: GpuWatch) -> str:
    """Write what a GPU was like during a measurement."""
    before, after = watched.before, watched.after
    busy = f", busy {watched.busy:.0%}" if watched.busy is not None else ""
    lowered = f", clocks lowered by: {', '.join(watched.throttled)}" if watched.throttled else ""
    clocks = f"SM {before.sm_clock_mhz} to {after.sm_clock_mhz} MHz, memory {after.memory_clock_mhz} MHz"
    heat = f"{before.temperature_c} to {after.temperature_c} °C, {after.power_w:.0f} W"
    return f"{clocks}, {heat}{busy}{lowered}"


CLASSES: Final = {
    "exact": "32-bit arithmetic, within the conversion's tolerance or, as run, twice the faithful model's own error",
    "reduced": "16-bit arithmetic, within 1e-2 of the scale; 99.5 % of each parity sample's rows keep their top-1",
}
"""What a variant is held to (issue 6)."""

VARIANT_VERDICTS: Final = {
    "published": "published",
    "outside_class": "dropped",
    "slower": "slower",
    "not_made": "does not apply",
    "not_tried": "not tried",
}


SETTLED: Final = 3.0
"""An interval whose ends are further apart than this says nothing."""


def gains(variant: VariantResult) -> str:
    """Write a proven variant's throughput over the faithful model's, by batch size."""
    return ", ".join(map(_lap, variant.laps)) or NOTHING


def _lap(lap: RaceLap) -> str:
    """Write a lap; a race that is decided at one batch size may end before another one is settled."""
    if lap.high > SETTLED * lap.low:
        return f"not settled at batch {lap.batch_size}"
    return f"{lap.ratio:.2f}x ({lap.low:.2f} to {lap.high:.2f}) at batch {lap.batch_size}"


def fast_sentence(report: ArtifactReport) -> str:
    """Say whether a faster model lies beside the faithful one; empty where none was looked for."""
    tuning = report.tuning
    if tuning is None or tuning.verdict == "not_run":
        return ""
    if tuning.verdict == "none_faster":
        return f"No faster variant is published: {tuning.reason}."
    winner = next(one for one in tuning.variants if one.name == tuning.published)
    measured = report.benchmark.measurements if report.benchmark else ()
    told = [(one.batch_size, over) for one in measured if one.stable and (over := _over(one))]
    by = f"in the benchmark {_gained(told)}" if told else f"in the race {gains(winner)}"
    return f"A faster variant ({winner.name}, {winner.precision}) lies in saved_model_fast: {by}, over saved_model."


def _gained(told: Sequence[tuple[int, Ratio]]) -> str:
    """Write ratios with their batch sizes; of more than three the range."""
    if len(told) <= 3:
        return ", ".join(f"{ratio(over)} at batch {size}" for size, over in told)
    sizes, values = [size for size, _ in told], [over.value for _, over in told]
    return f"{min(values):.2f}x to {max(values):.2f}x at batch {min(sizes)} to {max(sizes)}"


def _over(measured: BatchMeasurement) -> Ratio | None:
    fast = measured.of("fast")
    return fast.over_candidate if fast else None


def refusals(report: ArtifactReport) -> list[ParityResult]:
    """Return the comparisons for which a model was not published.

    There is none where another error came after them, or where the proof that was required is missing.
    """
    if report.error is None or report.error.code_name != ParityFailed.code_name:
        return []
    return [parity for parity in (report.parity, report.as_run) if parity and parity.verdict == "failed"]


def headline(report: ArtifactReport) -> str:
    """Say in one sentence what became of the artifact."""
    if report.error is not None:
        return "Not published: the answers differ." if refusals(report) else "Not published."
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
