"""What a run prints at its end: a line for each artifact, why some failed and what to do, and where to read on."""

import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

from job import wording
from job.console.printing import Row, drawn, print_drawn, print_line, print_table, safe
from job.logs import is_drawable
from job.records import ArtifactReport, ErrorRecord
from job.summary import RunSummary, counts, unproven

if TYPE_CHECKING:
    from rich.console import RenderableType

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
    """Print why artifacts failed, and what to do: on a terminal in lines of their own, elsewhere in one."""
    failed = [(report.artifact.name, report.error) for report in reports if report.error is not None]
    if not failed:
        return
    if is_drawable(sys.stdout):
        from rich.console import Group  # noqa: PLC0415 - only a terminal needs it

        print_drawn(drawn(Group(*(part for name, error in failed for part in _parts(name, error)))))
        return
    for name, error in failed:
        print_line("")
        print_line(f"{name}: {wording.error(error)}")


def print_last(summary: RunSummary, dest: str) -> None:
    """Print how many artifacts ended in which way, and where the index of their reports lies."""
    told = [f"{count:,} {COUNTED[status]}" for status, count in counts(summary.reports).items() if count]
    if lacking := unproven(summary.reports):
        told.append(f"{lacking:,} of the published unproven")
    left_alone = len(summary.left_alone)
    objects = "1 object was" if left_alone == 1 else f"{left_alone:,} objects were"
    why = f"; it says why {objects} left alone" if left_alone else ""
    code = f", exit code {summary.exit_code}" if summary.exit_code else ""
    reports = f"All reports: {dest.rstrip('/')}/{summary.index}{why}"
    print_line("")
    print_line(f"{', '.join(told) or 'nothing done'}{code}. {reports}")


def _parts(name: str, error: ErrorRecord) -> "Iterator[RenderableType]":
    """Yield an empty line and an error's parts, to be drawn all at once: a pen of its own for each took seconds."""
    from rich.padding import Padding  # noqa: PLC0415 - only a terminal needs it
    from rich.text import Text  # noqa: PLC0415

    yield Text()
    yield Text.assemble(("✗ ", "bold red"), (safe(name), "bold"), f"  {error.code_name}")
    yield Padding(Text(safe("; ".join(filter(None, (error.what, error.where))))), (0, 0, 0, 2))
    if error.remedy:
        yield Padding(Text.assemble(("→ ", "cyan"), safe(error.remedy)), (0, 0, 0, 2))


def _row(report: ArtifactReport) -> Row:
    status = report.status.replace("_", " ")
    return (report.artifact.name, status, wording.parity(report.parity), wording.speed(report))
