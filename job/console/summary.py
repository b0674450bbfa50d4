"""What a run prints at its end: a line for each artifact, why some failed and what to do, and where to read on."""

import sys
from collections.abc import Sequence
from typing import Final

from job import wording
from job.console.printing import Row, drawn, print_drawn, print_line, print_table, safe
from job.logs import is_drawable
from job.records import ArtifactReport, ErrorRecord
from job.summary import RunSummary, counts

COUNTED: Final = {"published": "published", "already_published": "published before", "not_published": "failed"}


def print_end(summary: RunSummary, dest: str, *, is_quiet: bool = False) -> None:
    """Print what a run has come to, of a quiet one only what failed and the last line."""
    if not is_quiet and summary.reports:
        if is_drawable(sys.stdout):
            print_line("")  # what ended while it lasted stands above
        print_summary(summary.reports)
    print_failures(summary.reports)
    print_last(summary, dest)


def print_summary(reports: Sequence[ArtifactReport]) -> None:
    """Print a line for each artifact."""
    head = ("artifact", "status", "relative error", "throughput, TF2 to TF1")
    print_table(head, [_row(report) for report in reports])


def print_failures(reports: Sequence[ArtifactReport]) -> None:
    """Print why artifacts failed, and what to do about each."""
    for report in reports:
        if report.error is not None:
            print_line("")
            _print_failure(report.artifact.name, report.error)


def print_last(summary: RunSummary, dest: str) -> None:
    """Print how many artifacts ended in which way, and where the index of their reports lies."""
    told = [f"{count:,} {COUNTED[status]}" for status, count in counts(summary.reports).items() if count]
    left_alone = len(summary.left_alone)
    objects = "1 object was" if left_alone == 1 else f"{left_alone:,} objects were"
    why = f"; it says why {objects} left alone" if left_alone else ""
    code = f", exit code {summary.exit_code}" if summary.exit_code else ""
    reports = f"All reports: {dest.rstrip('/')}/{summary.index}{why}"
    print_line("")
    print_line(f"{', '.join(told) or 'nothing done'}{code}. {reports}")


def _print_failure(name: str, error: ErrorRecord) -> None:
    """Print an error: on a terminal its parts below each other, elsewhere in one line, for ``grep``."""
    if not is_drawable(sys.stdout):
        print_line(f"{name}: {wording.error(error)}")
        return
    from rich.padding import Padding  # noqa: PLC0415 - only a terminal needs it
    from rich.text import Text  # noqa: PLC0415

    what = "; ".join(filter(None, (error.what, error.where)))
    print_drawn(drawn(Text.assemble(("✗ ", "bold red"), (safe(name), "bold"), f"  {error.code_name}")))
    print_drawn(drawn(Padding(Text(safe(what)), (0, 0, 0, 2))))
    if error.remedy:
        print_drawn(drawn(Padding(Text.assemble(("→ ", "cyan"), safe(error.remedy)), (0, 0, 0, 2))))


def _row(report: ArtifactReport) -> Row:
    status = report.status.replace("_", " ")
    return (report.artifact.name, status, wording.parity(report.parity), wording.speed(report))
