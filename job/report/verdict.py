"""What became of an artifact, in the one sentence that a report begins with."""

from typing import Final, Literal

from job import wording
from job.errors import ParityFailed
from job.records import ArtifactReport
from job.report import histogram
from job.results import OutputParity, ParityResult

Mood = Literal["good", "bad", "unsure"]

WORDS: Final[dict[Mood, str]] = {"good": "Proven", "bad": "Not published", "unsure": "Not proven"}


def mood(report: ArtifactReport) -> Mood:
    """Tell whether all went well, something failed, or the proof is missing."""
    if report.error is not None:
        return "bad"
    is_proven = report.parity is not None and report.parity.verdict == "passed"
    is_untold = report.status == "already_published" and report.parity is None
    return "good" if is_proven or is_untold else "unsure"


def sentence(report: ArtifactReport) -> str:
    """Say what became of it, by how much its answers differ, and how fast it is."""
    told = wording.headline(report).removesuffix(".")
    if report.error is not None:
        return f"{told}{_cause(report)}."
    if report.status == "already_published":
        unproven = "" if mood(report) == "good" else ", but not proven: the answers were not compared"
        return f"{told}, with the same source, options and versions{unproven}."
    if report.parity is None or report.parity.verdict != "passed":
        return f"{told}."
    return f"{told}: {_answers(report.parity)}, and {_speed(report)}."


def as_run_told(as_run: ParityResult) -> str:
    """Say what the comparison with TensorFlow's optimisers on is, and what its limit decides."""
    limit = max((output.tolerance for output in as_run.outputs), default=0.0)
    decides = (
        f" so this is larger, and its limit looser: beyond {limit:.2g} of an output's largest magnitude nothing is "
        f"published (code {ParityFailed.exit_code})."
        if limit
        else " so whole numbers and strings may tip over: they are reported, and not judged."
    )
    return (
        "The published model as its users run it, with TensorFlow's optimisers on, against the same answers. "
        f"Optimisers reorder arithmetic,{decides}"
    )


def _cause(report: ArtifactReport) -> str:
    """Return what was wrong, after the headline; of answers that differ by how much."""
    failed = wording.refusals(report)
    worst = wording.worst_output(failed[0]) if failed else None
    if worst is not None and worst.relative is not None:
        return f" by {_error(worst)}"
    return f": {report.error.what.removesuffix('.')}" if report.error else ""


def _answers(parity: ParityResult) -> str:
    worst, counted = wording.worst_output(parity), histogram.whole(parity)
    if worst is not None and worst.relative:
        return f"no value is off by more than {_error(worst)}"
    if counted.elements and counted.equal == counted.elements:
        return f"all {counted.elements:,} compared values are equal"
    return "the values are equal" if worst is not None and worst.relative == 0 else "each output is held to its kind"


def _error(output: OutputParity) -> str:
    return f"{output.relative:.1e} of the output's largest magnitude ({output.tolerance:.2g} is allowed)"


def _speed(report: ArtifactReport) -> str:
    best = next(iter(wording.best(report)), None)
    if best is None:
        is_measured = report.benchmark is not None and report.benchmark.measurements
        return f"its speed {'did not settle' if is_measured else 'was not measured'}"
    low, high = best.ratio.low, best.ratio.high
    interval = f"95 % interval {low:.2f} to {high:.2f}, batch {best.measured.batch_size}"
    if low <= 1 <= high:
        return f"it is as fast as the TF1 graph, within what could be measured ({interval})"
    return f"its throughput is {best.ratio.value:.2f} times the TF1 graph's ({interval})"
