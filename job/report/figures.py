"""The plots of a report, by the section that shows them."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

from job.records import ArtifactReport
from job.report import curves, histogram, laps
from job.report.drawing import drawing
from job.report.panel import Plot


class Drawer(NamedTuple):
    """What draws a section's plots, and whether there is anything to draw."""

    section: str
    applies: Callable[[ArtifactReport], bool]
    draw: Callable[[ArtifactReport, Any], Iterator[Plot]]


def _histogram(report: ArtifactReport, figure: Any) -> Iterator[Plot]:
    yield histogram.plot(report, figure)


def _laps(report: ArtifactReport, figure: Any) -> Iterator[Plot]:
    yield laps.plot(report, figure)


DRAWERS: Final = (
    Drawer("parity", histogram.has_errors, _histogram),
    Drawer("speed", curves.has_curves, curves.plots),
    Drawer("variants", laps.has_laps, _laps),
)


def plots_of(report: ArtifactReport, scratch: Path | None = None) -> dict[str, list[Plot]]:
    """Return the plots by section; where there are none, matplotlib is not loaded. `scratch` as in `drawing`."""
    wanted = [drawer for drawer in DRAWERS if drawer.applies(report)]
    if not wanted:
        return {}
    with drawing(scratch) as figure:
        return {drawer.section: list(drawer.draw(report, figure)) for drawer in wanted}
