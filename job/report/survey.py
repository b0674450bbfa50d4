"""A survey of many artifacts as a table in Markdown: what ``inspect`` said of each, and what became of it."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from job import wording
from job.errors import Incomplete, ParityFailed
from job.inspection import Inspected
from job.records import ArtifactReport, Format
from job.redaction import printable, redacted
from job.results import ParityResult

HEAD: Final = ("artifact", "format", "producer", "size", "inspect", "result", "parity", "relative error", "notes")

EXPLANATION: Final = (
    "The relative error is the largest difference between the published SavedModel and the TF1 graph in a session, "
    "relative to the output's scale; none means that they agree bit by bit."
)


_NO_MODELS: Final = (Format.ARCHIVE, Format.UNREADABLE)
"""What an artifact remains of which nothing could be read."""


def render_survey(
    inspected: Sequence[Inspected], reports: Sequence[ArtifactReport], versions: Mapping[str, str]
) -> str:
    """Return the document: how many artifacts are whole, converted and proven, why others are not, and each one."""
    before = {one.artifact.name: one for one in inspected}
    pairs = [(before.get(report.artifact.name, _unseen(report)), report) for report in reports]
    made_by = ", ".join(f"{name} {version}" for name, version in versions.items())
    lines = (
        "# Survey",
        "",
        f"Made with {made_by}. {EXPLANATION}",
        "",
        *_counts(reports),
        "",
        *_table(("not converted because", "artifacts"), _causes(reports)),
        "",
        _foresight(pairs),
        "",
        *_table(HEAD, (_row(one, report) for one, report in pairs)),
    )
    return "\n".join(lines) + "\n"


def is_whole(report: ArtifactReport) -> bool:
    """Tell whether all of an artifact is there: weights, graph and vocabularies, and no web page in their place."""
    return report.error is None or (
        report.error.code_name != Incomplete.code_name and report.artifact.format not in _NO_MODELS
    )


def _counts(reports: Sequence[ArtifactReport]) -> Iterator[str]:
    whole = [report for report in reports if is_whole(report)]
    converted = [report for report in whole if report.error is None]
    proven = [report for report in converted if report.parity and report.parity.verdict == "passed"]
    lacking = len(reports) - len(whole)
    yield f"- {len(reports)} artifacts, of which {lacking} lack parts or cannot be opened and {len(whole)} are whole"
    yield f"- {len(converted)} of the whole were converted ({_share(converted, whole)})"
    yield f"- {len(proven)} of the whole passed parity ({_share(proven, whole)})"


def _share(part: Sequence[object], whole: Sequence[object]) -> str:
    return f"{100 * len(part) / len(whole):.1f} %" if whole else "none"


def _causes(reports: Sequence[ArtifactReport]) -> Iterator[tuple[str, ...]]:
    codes = Counter((report.error.code_name, report.error.exit_code) for report in reports if report.error)
    for (name, code), count in codes.most_common():
        yield f"{name} ({code})", str(count)


def _unseen(report: ArtifactReport) -> Inspected:
    """Return what stands for an artifact that came after the inspection."""
    return Inspected(artifact=report.artifact, will_convert=None)


def _foresight(pairs: Sequence[tuple[Inspected, ArtifactReport]]) -> str:
    """Say for which artifacts `inspect` and the run differ; only a run can know that answers differ."""
    missed = [report.artifact.name for one, report in pairs if one.will_convert != _did_convert(report)]
    return f"`inspect` did not foresee: {', '.join(missed)}." if missed else "`inspect` foresaw what became of each."


def _did_convert(report: ArtifactReport) -> bool:
    return report.error is None or report.error.code_name == ParityFailed.code_name


def _row(one: Inspected, report: ArtifactReport) -> tuple[str, ...]:
    return (
        report.artifact.name,
        wording.FORMAT_NAMES[report.artifact.format],
        (one.summary.producer if one.summary else "") or wording.NOTHING,
        wording.size(report.artifact.size_bytes),
        "will convert" if one.will_convert else f"will not: {one.error.code_name}" if one.error else wording.NOTHING,
        f"{report.error.code_name} ({report.error.exit_code})" if report.error else "published",
        report.parity.verdict.replace("_", " ") if report.parity else wording.NOTHING,
        wording.parity(report.parity) if _was_run(report.parity) else wording.NOTHING,
        _notes(one, report),
    )


def _was_run(parity: ParityResult | None) -> bool:
    return parity is not None and parity.verdict != "not_run"


def _notes(one: Inspected, report: ArtifactReport) -> str:
    """Return why it was not converted or not compared, else the codes of what was found."""
    if report.error is not None:
        return report.error.what
    if report.parity is not None and report.parity.reason:
        return report.parity.reason
    return ", ".join(dict.fromkeys(finding.code for finding in one.summary.findings)) if one.summary else ""


def _table(head: Sequence[str], rows: Iterator[tuple[str, ...]]) -> Iterator[str]:
    for row in (head, ("---",) * len(head), *rows):
        yield f"| {' | '.join(map(_cell, row))} |"


def _cell(text: str) -> str:
    """Keep a name from ending a cell, a row or the text."""
    return printable(redacted(text)).replace("|", "\\|").replace("<", "&lt;")
