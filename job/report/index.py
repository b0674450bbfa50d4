"""The index of a run: its counts, the causes of failures, and its artifacts, the worst first."""

from collections import Counter
from collections.abc import Sequence
from typing import Final

from job import wording
from job.records import ArtifactReport, Status
from job.report import environment

STATUSES: Final[dict[Status, str]] = {
    "not_published": "not published",
    "published": "published",
    "already_published": "published before",
}


def worst_first(reports: Sequence[ArtifactReport]) -> list[ArtifactReport]:
    """Return what failed, what is not proven, and then what is, the largest error first; equals in the run's order."""
    return sorted(reports, key=_goodness)


def headline(reports: Sequence[ArtifactReport]) -> str:
    """Say in one sentence what became of a run's artifacts."""
    if not reports:
        return "This shard had no artifacts."
    counts = Counter(report.status for report in reports)
    told = [f"{counts[status]:,} {words}" for status, words in STATUSES.items() if counts[status]]
    kind = "artifact" if len(reports) == 1 else "artifacts"
    return f"{len(reports):,} {kind}: {', '.join(told)}."


def proven(reports: Sequence[ArtifactReport]) -> str:
    """Say how many of the published are proven, and the largest error and the range of ratios among them."""
    passed = [report for report in reports if report.status == "published" and _is_proven(report)]
    if not passed:
        return ""
    published = sum(report.status == "published" for report in reports)
    errors = [wording.worst_output(report.parity) for report in passed if report.parity]
    largest = max((output.relative or 0.0 for output in errors if output), default=0.0)
    worst = f"none is off by more than {largest:.1e} of its output's largest magnitude"
    off = worst if largest else "all of their values are equal"
    ratios = [best.ratio.value for report in passed for best in wording.best(report)[:1]]
    range_of = " to ".join(dict.fromkeys(f"{ratio:.2f}" for ratio in (min(ratios), max(ratios)))) if ratios else ""
    speed = f"; throughput is {range_of} times TF1's" if ratios else ""
    count = f"All {published:,}" if len(passed) == published else f"{len(passed):,} of the {published:,}"
    return f"{count} published answer as their TF1 graphs do: {off}{speed}."


def causes(reports: Sequence[ArtifactReport]) -> list[tuple[str, int, int]]:
    """Return why artifacts were not published: the error's name, its exit code and how often it came."""
    found = Counter((report.error.code_name, report.error.exit_code) for report in reports if report.error)
    return [(name, code, count) for (name, code), count in found.most_common()]


def surroundings(reports: Sequence[ArtifactReport]) -> dict[str, str]:
    """Return where a run took place: what all its reports say alike."""
    told = [environment.told(report) for report in reports]
    names = dict.fromkeys(name for one in told for name in one)
    values = {name: {one[name] for one in told if name in one} for name in names}
    return {name: found.pop() for name, found in values.items() if len(found) == 1}


def _goodness(report: ArtifactReport) -> tuple[int, int, float]:
    if report.error is not None:
        return 0, -report.error.exit_code, 0.0
    if report.status == "already_published":
        return 3, 0, 0.0
    worst = wording.worst_output(report.parity) if report.parity else None
    return (2 if _is_proven(report) else 1), 0, -(worst.relative or 0.0 if worst else 0.0)


def _is_proven(report: ArtifactReport) -> bool:
    return report.parity is not None and report.parity.verdict == "passed"
