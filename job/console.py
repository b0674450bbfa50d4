"""What a person sees on a terminal: progress while a run lasts, listings and a summary on stdout.

`rich` is imported only where there is a terminal. Nothing here fails for want of a reader.
"""

import io
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

from job import wording
from job.forms import is_bare
from job.inspection import Inspected
from job.logs import Outlet, is_terminal
from job.records import Artifact, ArtifactReport, Finding, Format, Listing, Signature, SourceSummary
from job.redaction import printable, redacted

if TYPE_CHECKING:
    import rich.progress

Row = tuple[str, ...]


class Progress:
    """What a run tells while it lasts; this one, for a log file or a pipe, keeps silent."""

    def artifact_started(self, name: str) -> None:
        """Show that work on an artifact begins."""

    def stage(self, name: str, stage: str) -> None:
        """Show the stage that an artifact has reached."""

    def artifact_finished(self, report: ArtifactReport) -> None:
        """Count the artifact as done and show it no longer."""

    def archive_opened(self, name: str, count: int) -> None:
        """Count the artifacts in an archive in place of it."""


@contextmanager
def progress(total: int) -> Iterator[Progress]:
    """Show the progress of `total` artifacts on stderr for as long as the context lasts, if that is a terminal."""
    if not is_terminal(sys.stderr):
        yield Progress()
        return
    from rich.console import Console  # noqa: PLC0415 - only a terminal needs it
    from rich.progress import Progress as Bars  # noqa: PLC0415
    from rich.progress import SpinnerColumn, TextColumn, TimeElapsedColumn  # noqa: PLC0415

    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        TextColumn("{task.fields[stage]}", markup=False),
        TimeElapsedColumn(),
    )
    with Bars(*columns, console=Console(stderr=True), transient=True) as bars:
        yield _TerminalProgress(bars, total)


class _TerminalProgress(Progress):
    """One line for the whole run and one for each artifact at work."""

    def __init__(self, bars: "rich.progress.Progress", total: int) -> None:
        self._bars = bars
        self._total = total
        self._finished = 0
        self._lock = threading.Lock()  # artifacts end in several threads
        self._whole = bars.add_task(self._count(), total=None, stage="")
        self._artifacts: dict[str, rich.progress.TaskID] = {}

    def artifact_started(self, name: str) -> None:
        self._artifacts[name] = self._bars.add_task(_safe(name), total=None, stage="")

    def stage(self, name: str, stage: str) -> None:
        if name in self._artifacts:
            self._bars.update(self._artifacts[name], stage=_safe(stage))

    def artifact_finished(self, report: ArtifactReport) -> None:
        if report.artifact.name in self._artifacts:
            self._bars.remove_task(self._artifacts.pop(report.artifact.name))
        with self._lock:
            self._finished += 1
            self._bars.update(self._whole, description=self._count())

    def archive_opened(self, name: str, count: int) -> None:
        self._bars.remove_task(self._artifacts.pop(name))
        with self._lock:
            self._total += count - 1
            self._bars.update(self._whole, description=self._count())

    def _count(self) -> str:
        return f"{self._finished} of {self._total} artifacts done"


def print_summary(reports: Sequence[ArtifactReport]) -> None:
    """Print a line for each artifact, then why some failed; not for runs whose output a machine reads."""
    head = ("artifact", "status", "relative error", "throughput, TF2 to TF1")
    _print(_table(head, [_summary_row(report) for report in reports]))
    for report in reports:
        if report.error is not None:
            _print(f"\n{_safe(report.artifact.name)}: {_safe(wording.error(report.error))}")


def print_line(text: str) -> None:
    """Print one line of a command's result."""
    _print(_safe(text))


def print_index(index: str, left_alone: int) -> None:
    """Print where the index of a run's reports lies, and what else it tells."""
    objects = "1 object was" if left_alone == 1 else f"{left_alone:,} objects were"
    why = f"; it says why {objects} left alone" if left_alone else ""
    _print(f"\nAll reports: {_safe(index)}{why}")


def print_listing(listing: Listing) -> None:
    """Print the artifacts with what a run would do with each, then what is no part of any, with the reason."""
    if listing.artifacts:
        head = ("artifact", "format", "size", "what would be done")
        _print(_table(head, [_listing_row(artifact) for artifact in listing.artifacts]))
    else:
        _print("No TF1 model found.")
    if listing.left_alone:
        _print("")
        _print(_table(("left alone", "reason"), [(left.key, left.reason) for left in listing.left_alone]))


def print_details(one: Inspected) -> None:
    """Print what is in one artifact, what its owner should know of it, and at last whether it will convert."""
    artifact, error = one.artifact, one.error
    _print(f"\n{_safe(artifact.name)}: {wording.FORMAT_NAMES[artifact.format]}, {wording.size(artifact.size_bytes)}")
    if one.summary is not None:
        _print_summary_of(one.summary)
    if error is None:
        _print("  will convert")
    else:
        _print(f"  will not convert, code {error.exit_code} ({error.code_name}): {_safe(wording.error(error))}")


def _print_summary_of(summary: SourceSummary) -> None:
    if summary.node_count:
        _print(f"  produced by {_safe(summary.producer) or 'an unnamed version'}; {summary.node_count:,} nodes")
    if summary.signatures:  # else it is not known which variables the model needs
        _print(f"  {summary.variable_count:,} variables, {wording.size(summary.variables_bytes)}")
    for signature in summary.signatures:
        _print(f"  signature {_safe(signature.key)} ({_safe(signature.method)})")
        _print(_indented(_table(("", "key", "tensor", "type and shape"), _tensor_rows(signature))))
    for finding in wording.weightiest_first(summary.findings):
        _print(f"  {finding.severity}: {_safe(_finding(finding))}")


def _summary_row(report: ArtifactReport) -> Row:
    status = report.status.replace("_", " ")
    return (report.artifact.name, status, wording.parity(report.parity), wording.speed(report))


def _listing_row(artifact: Artifact) -> Row:
    problem = artifact.problem
    plan = "open, and convert what it holds" if artifact.format is Format.ARCHIVE else "convert, verify, publish"
    if is_bare(artifact):
        plan = "a checkpoint without its graph: convert, if its architecture is known"
    if problem:
        plan = f"nothing, code {problem.exit_code}: {wording.error(problem)}"
    return (artifact.name, wording.FORMAT_NAMES[artifact.format], wording.size(artifact.size_bytes), plan)


def _tensor_rows(signature: Signature) -> list[Row]:
    roles = (("input", signature.inputs), ("output", signature.outputs))
    return [(role, spec.key, spec.tensor, wording.tensor(spec)) for role, specs in roles for spec in specs]


def _finding(finding: Finding) -> str:
    remedy = f"; {finding.remedy}" if finding.remedy else ""
    return f"{finding.cause}{remedy} [{finding.code}]"


def _safe(text: str) -> str:
    return printable(redacted(text))


def _indented(text: str) -> str:
    return "\n".join(f"    {line}" for line in text.splitlines())


def _table(head: Row, rows: Sequence[Row]) -> str:
    safe = [tuple(_safe(cell) for cell in row) for row in rows]
    return _terminal_table(head, safe, sys.stdout) if is_terminal(sys.stdout) else _plain_table(head, safe)


def _plain_table(head: Row, rows: Sequence[Row]) -> str:
    """Align columns by spaces, so that ``cut`` and ``grep`` are of use."""
    lines = [head, *rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    padded = ([cell.ljust(width) for cell, width in zip(line, widths, strict=True)] for line in lines)
    return "\n".join("  ".join(cells).rstrip() for cells in padded)


def _terminal_table(head: Row, rows: Sequence[Row], terminal: TextIO) -> str:
    from rich.console import Console  # noqa: PLC0415 - only a terminal needs it
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = Table(*head, box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for column in table.columns:
        column.overflow = "fold"
    for row in rows:
        table.add_row(*map(Text, row))
    measured = Console(file=terminal)  # knows the terminal's width, its colours and NO_COLOR
    drawn = Console(file=io.StringIO(), force_terminal=True, width=measured.width, no_color=measured.no_color)
    with drawn.capture() as captured:
        drawn.print(table)
    return captured.get().rstrip("\n")


def _print(text: str) -> None:
    _stdout.line(text)


_stdout = Outlet(lambda: sys.stdout)
