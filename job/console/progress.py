"""What a run tells a person while it lasts: at a terminal by a display, elsewhere nothing, since the log tells it."""

import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from job.console.lines import ended_line
from job.logs import Outlet, is_drawable, is_terminal
from job.records import ArtifactReport

DISPLAYED: Final = frozenset(
    {
        *("run_started", "device_chosen", "lanes_opened", "run_ended"),
        *("artifact_started", "artifact_published", "artifact_already_published", "artifact_failed", "archive_opened"),
        *("stage_ended", "tuned", "variant_dropped", "report_published"),
    }
)
"""The events that a display tells in its own way."""

Moved = Callable[[], int]
"""Tells how many bytes have come or gone so far."""


class Progress:
    """What a run tells while it lasts; this one, for a log file or a pipe, keeps silent."""

    def phase(self, what: str) -> None:
        """Show what the whole run is at, while no artifact is at work."""

    def expect(self, count: int) -> None:
        """Show how many artifacts there are."""

    def artifact_started(self, name: str) -> None:
        """Show that work on an artifact begins."""

    def stage(self, name: str, stage: str, *, about_s: float = 0, waits: bool = False) -> None:
        """Show the stage that an artifact has reached or `waits` for; `about_s` where it is known how long it takes."""

    def transfer(self, name: str, stage: str, total_bytes: int, moved: Moved) -> None:
        """Show that bytes come or go."""

    def artifact_finished(self, report: ArtifactReport) -> None:
        """Count the artifact as done, and leave a line on what became of it."""

    def archive_opened(self, name: str, count: int) -> None:
        """Count the artifacts in an archive in place of it."""

    def abandon(self) -> None:
        """Leave the terminal as it should be, from whatever thread: the process is ending, wherever it is."""


@contextmanager
def progress(*, is_shown: bool) -> Iterator[Progress]:
    """Show a run's progress on stderr for as long as the context lasts, if that `is_shown` and a terminal."""
    if not is_shown or not is_terminal(sys.stderr):
        yield Progress()
    elif not is_drawable(sys.stderr):
        yield _Lines()
    else:
        from job.console.live import live  # noqa: PLC0415 - only a terminal needs rich

        with live() as shown:
            yield shown


class _Lines(Progress):
    """A line for each artifact that has ended: all that a terminal gets which cannot move its cursor."""

    def __init__(self) -> None:
        self._outlet = Outlet(lambda: sys.stderr)
        self._began_s = dict[str, float]()

    def artifact_started(self, name: str) -> None:
        self._began_s[name] = time.monotonic()

    def artifact_finished(self, report: ArtifactReport) -> None:
        wall_s = time.monotonic() - self._began_s.pop(report.artifact.name, time.monotonic())
        is_ascii = not (getattr(sys.stderr, "encoding", None) or "").lower().startswith("utf")
        width = shutil.get_terminal_size().columns
        self._outlet.line(ended_line(report, wall_s, is_ascii=is_ascii).plain(width - 1))
