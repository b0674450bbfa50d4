"""The lines of a run's display: one for each artifact at work, one that stays when it has ended, as wide as is room."""

from dataclasses import dataclass
from typing import Final

from rich.cells import cell_len, set_cell_size

from job import wording
from job.console.printing import safe
from job.records import ArtifactReport

TIME_WIDTH: Final = 7
NARROWEST_NAME, WIDEST_NAME = 16, 44
PROOFS: Final = {"none": "no error", "passed": "proven", "not run": "not proven", wording.NOTHING: "not proven"}
SPEEDS: Final = {"candidate": "", "fast": "fast "}
CUT: Final = ".."  # which every terminal can show


@dataclass(frozen=True, kw_only=True)
class Line:
    """A mark with its style, an artifact's name, how long it has taken, and what is told of it."""

    mark: str
    style: str
    name: str
    wall_s: float
    told: str

    def text(self, width: int) -> str:
        """Return what follows the mark: the name's end, the time and what is told, in columns, cut at `width` cells."""
        name_width = min(max(3 * width // 10, NARROWEST_NAME), WIDEST_NAME)
        name = set_cell_size(_end_of(safe(self.name), name_width), name_width)
        return cut(f"{name} {duration(self.wall_s):>{TIME_WIDTH}}  {safe(self.told)}".rstrip(), width)

    def plain(self, width: int) -> str:
        """Return the whole line for a terminal without colours."""
        return f"{self.mark} {self.text(width - cell_len(self.mark) - 1)}"


def ended_line(report: ArtifactReport, wall_s: float, *, is_ascii: bool = False) -> Line:
    """Return the line that stays: of what is published error and throughput, TF2 to TF1, else why not."""
    mark, style = ("+" if is_ascii else "✓", "green")
    if report.error is not None:
        mark, style = ("x" if is_ascii else "✗", "bold red")
    return Line(mark=mark, style=style, name=report.artifact.name, wall_s=wall_s, told=_ended(report))


def duration(wall_s: float) -> str:
    """Write a time as one says it: ``42 s``, ``3 min``, ``2.5 h``."""
    if wall_s < 100:
        return f"{wall_s:.0f} s"
    return f"{wall_s / 60:.0f} min" if wall_s < 100 * 60 else f"{wall_s / 3600:.1f} h"


def cut(text: str, width: int) -> str:
    """Return as much of a text's beginning as has room."""
    return text if cell_len(text) <= width else f"{set_cell_size(text, max(0, width - len(CUT))).rstrip()}{CUT}"


def _end_of(name: str, width: int) -> str:
    """Return as much of a name's end as has room: there names differ."""
    if cell_len(name) <= width:
        return name
    start = next(start for start in range(len(name)) if cell_len(name[start:]) <= width - len(CUT))
    return f"{CUT}{name[start:]}"


def _ended(report: ArtifactReport) -> str:
    if report.error is not None:
        return f"{report.error.code_name}: {report.error.what}"
    if report.status == "already_published":
        return "published before"
    error = wording.parity(report.parity)
    return ", ".join([PROOFS.get(error, f"error {error}"), *_speeds(report)])


def _speeds(report: ArtifactReport) -> list[str]:
    """Write the ratios of throughputs, TF2 to TF1; nothing where none was measured."""
    if wording.why_no_speed(report):
        return []
    return [f"{SPEEDS[one.name]}{one.ratio.value:.2f}x" for one in wording.best(report)] or ["speed unstable"]
