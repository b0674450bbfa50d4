"""The live display on stderr: what is at work, the whole run's line below it, and above it what has ended."""

import os
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Final

from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.text import Text

from job import wording
from job.console.lines import Line, cut, duration, ended_line
from job.console.pace import CERTAIN, Pace, Rate
from job.console.printing import safe
from job.console.progress import Moved, Progress
from job.logs import is_terminal, takes
from job.records import ArtifactReport

DRAWN_PER_S: Final = 4
SPINNERS: Final = ("⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏", "|/-\\")
BAR_CELLS: Final = 10

PATIENCE_S: Final = 1.0
"""How long a run that is over waits for a terminal that is stopped, or whose line hangs, to take its last picture."""

STAGES: Final = {
    "make_variants as run": "make variants",
    "race as run": "race variants",
    "benchmark as run": "benchmark",
}
"""What people call stages that have one way of running."""


@dataclass(kw_only=True)
class _Transfer:
    """Bytes on their way, and what they are all together, 0 where nobody knows."""

    total_bytes: int
    moved: Moved
    rate: Rate = field(default_factory=Rate)

    def told(self, now_s: float, *, with_bar: bool) -> str:
        """Say how much has come, how fast, and how long the rest takes at that rate."""
        if self.rate.is_due(now_s):
            with suppress(OSError):  # a directory that goes while it is looked through
                self.rate.note(now_s, self.moved())
        moved, total, per_s = self.rate.moved_bytes, self.total_bytes, self.rate.bytes_per_s
        if not total:
            return wording.size(moved)
        share = min(1.0, moved / total)
        bar = f"{'#' * round(BAR_CELLS * share):.<{BAR_CELLS}} " if with_bar else ""
        left = f", {duration(max(0, total - moved) / per_s)} left" if per_s else ""
        speed = f", {wording.size(per_s)}/s" if per_s else ""
        return f"{bar}{share:.0%} of {wording.size(total)}{left}{speed}"


@dataclass(kw_only=True)
class _Work:
    """An artifact at work."""

    name: str
    began_s: float
    since_s: float
    stage: str = ""
    about_s: float = 0.0
    waits: bool = False
    transfer: _Transfer | None = None

    def told(self, now_s: float, *, with_bar: bool) -> str:
        """Say which stage it has reached, and how far that is."""
        if not self.stage:
            return ""
        spent_s = now_s - self.since_s
        if self.waits:
            how_far = "waits for its turn"
        elif self.transfer:
            how_far = self.transfer.told(now_s, with_bar=with_bar)
        elif self.about_s:
            more = " of about" if spent_s < self.about_s else ", expected were"
            how_far = f"{duration(spent_s)}{more} {duration(self.about_s)}"
        else:
            how_far = duration(spent_s)
        return f"{self.stage}, {how_far}"


class _Display(Progress):
    """What is at work, with what the run has come to.

    One thread alone draws it, some times a second: no artifact waits for a terminal, which may be stopped for hours.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._lock = threading.Lock()  # artifacts begin and end in several threads
        self._work = dict[str, _Work]()
        self._ended = deque[Line]()
        self._pace, self._began_s, self._first_s = Pace(), time.monotonic(), 0.0
        self._total = self._done = self._failed = 0
        self._phase, self._phase_s = "starts", self._began_s

    def phase(self, what: str) -> None:
        self._phase, self._phase_s = what, time.monotonic()

    def expect(self, count: int) -> None:
        self._total = count

    def artifact_started(self, name: str) -> None:
        now_s = time.monotonic()
        with self._lock:
            self._first_s = self._first_s or now_s
            self._work[name] = _Work(name=name, began_s=now_s, since_s=now_s)

    def stage(self, name: str, stage: str, *, about_s: float = 0, waits: bool = False) -> None:
        self._at(name, stage, about_s=about_s, waits=waits)

    def transfer(self, name: str, stage: str, total_bytes: int, moved: Moved) -> None:
        self._at(name, stage, transfer=_Transfer(total_bytes=total_bytes, moved=moved))

    def artifact_finished(self, report: ArtifactReport) -> None:
        now_s = time.monotonic()
        with self._lock:
            work = self._work.pop(report.artifact.name, None)
            wall_s = now_s - work.began_s if work else 0.0
            self._pace.ended(wall_s)
            self._done += 1
            self._failed += report.error is not None
        self._ended.append(ended_line(report, wall_s, is_ascii=self._is_ascii))

    def archive_opened(self, name: str, count: int) -> None:
        with self._lock:
            self._work.pop(name, None)
            self._total += count - 1

    def abandon(self) -> None:
        with suppress(OSError, ValueError, AttributeError):
            if takes(sys.__stderr__, 0):  # type: ignore[arg-type] # None is suppressed
                os.write(sys.__stderr__.fileno(), b"\x1b[?25h\n")  # type: ignore[union-attr]

    def print_ended(self) -> None:
        """Print what has ended since the last time."""
        while self._ended:
            line = _drawn(self._ended.popleft(), self._console.width - 1)
            self._console.print(line, no_wrap=True, overflow="ignore", crop=False)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Draw what is at work, as far as there is room, and the whole run's line."""
        now_s, width = time.monotonic(), options.max_width - 1
        with self._lock:
            work = list(self._work.values())
        most = max(1, console.height - 3)
        mark = self._spinner(now_s)
        with_bar = width >= 90
        for one in work[:most]:
            told = one.told(now_s, with_bar=with_bar)
            line = Line(mark=mark, style="cyan", name=one.name, wall_s=now_s - one.began_s, told=told)
            yield _drawn(line, width)
        if work[most:]:
            yield _one_line(f"  and {len(work) - most} more at work", width)
        yield _one_line(self._whole(now_s, len(work)), width, "bold")

    def _whole(self, now_s: float, at_work: int) -> str:
        if not at_work and self._done >= self._total:
            return f"{self._spinner(now_s)} {safe(self._phase)}, {duration(now_s - self._phase_s)}"
        failed = f", {self._failed} failed" if self._failed else ""
        so_far = f"{at_work} at work, {duration(now_s - self._began_s)} so far"
        return f"{self._done} of {self._total} done{failed}; {self._left(now_s)}{so_far}"

    def _left(self, now_s: float) -> str:
        with self._lock:
            bounds = self._pace.left_s(now_s - self._first_s, self._total - self._done)
        if bounds is None:
            return ""
        low_s, high_s = bounds
        if high_s <= CERTAIN * low_s:
            return f"about {duration((low_s + high_s) / 2)} left; "
        return f"{duration(low_s)} to {duration(high_s)} left; " if low_s else f"up to {duration(high_s)} left; "

    def _at(
        self, name: str, stage: str, *, about_s: float = 0, waits: bool = False, transfer: _Transfer | None = None
    ) -> None:
        with self._lock:
            work = self._work.get(name)
            if work is not None:
                work.stage, work.since_s = STAGES.get(stage, stage), time.monotonic()
                work.about_s, work.waits, work.transfer = about_s, waits, transfer

    def _spinner(self, now_s: float) -> str:
        frames = SPINNERS[self._is_ascii]
        return frames[int(DRAWN_PER_S * now_s) % len(frames)]

    @property
    def _is_ascii(self) -> bool:
        return not self._console.encoding.startswith("utf")


@contextmanager
def live() -> Iterator[Progress]:
    """Draw a run's progress on stderr for as long as the context lasts; what others write there comes above it."""
    console = _SerialConsole(stderr=True, highlight=False, markup=False, emoji=False)
    shown = _Display(console)
    picture = Live(shown, console=console, auto_refresh=False, transient=True, redirect_stdout=is_terminal(sys.stdout))
    over = threading.Event()
    painter = threading.Thread(target=_paint, args=(shown, picture, over), daemon=True)
    painter.start()
    try:
        yield shown
    finally:
        over.set()
        try:
            painter.join(PATIENCE_S)  # it waits for its turn if a signal came while another had it
            _end(shown, picture)
        except KeyboardInterrupt:
            shown.abandon()
            raise


class _SerialConsole(Console):
    """One that prints for a thread at a time.

    `Live` measures the old picture before it draws the new one, and of two threads both would measure the same one.
    Raises `TimeoutError`, an `OSError`, where the other's line hangs.
    """

    def __init__(self, **said: Any) -> None:
        self._turn = threading.RLock()
        super().__init__(**said)

    def __enter__(self) -> "_SerialConsole":  # noqa: PYI034 - typing has no Self before Python 3.11
        if not self._turn.acquire(timeout=PATIENCE_S):
            raise TimeoutError("the terminal takes nothing")
        super().__enter__()
        return self

    def __exit__(self, *raised: object) -> None:
        try:
            super().__exit__(*raised)
        finally:
            self._turn.release()


def _paint(shown: _Display, picture: Live, over: threading.Event) -> None:
    """Draw what is shown, over and over, as long as the terminal takes it: one that is stopped stops nobody else."""
    with suppress(OSError, ValueError):  # the terminal has gone; `rich` would keep what it cannot write
        while not over.wait(1 / DRAWN_PER_S):
            if takes(picture.console.file, 0):
                with picture.console:
                    picture.start()
                    shown.print_ended()
                    picture.refresh()


def _end(shown: _Display, picture: Live) -> None:
    """Take the picture away, and print what has ended last; a terminal that takes nothing is left as it is."""
    if not takes(picture.console.file, PATIENCE_S):
        shown.abandon()
        return
    with suppress(OSError, ValueError), picture.console:  # the terminal has gone
        shown.print_ended()
        picture.stop()


def _drawn(line: Line, width: int) -> Text:
    return _plain(Text.assemble((f"{line.mark} ", line.style), line.text(width - 2)))


def _one_line(text: str, width: int, style: str = "") -> Text:
    return _plain(Text(cut(text, width), style))


def _plain(text: Text) -> Text:
    text.no_wrap, text.overflow = True, "ignore"
    return text
