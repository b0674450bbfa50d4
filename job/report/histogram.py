"""The errors of a model's answers by decade: as a plot, as a table, and in words."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from job.records import ArtifactReport
from job.report.panel import Panel, Plot
from job.results import ErrorHistogram, ParityResult

COMPARISONS: Final = {"exact": "conversion alone", "as_run": "as run"}
COLOUR_OF: Final = {"exact": "exact", "as_run": "as-run"}

UNEQUAL: Final = "≠"
_SUPERSCRIPTS: Final = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
_MOST_LABELS: Final = 8
_SHOWN: Final = 0.35
"""How high a bar for a single value is, where ten are one higher."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """How many values of an output, or of all in a comparison, are off by how much."""

    name: str
    comparison: str
    histogram: ErrorHistogram
    is_whole: bool = False


def whole(parity: ParityResult | None) -> ErrorHistogram:
    """Return the histogram of everything that a comparison compared."""
    outputs = parity.outputs if parity else ()
    return sum((output.histogram for output in outputs), ErrorHistogram())


def rows(report: ArtifactReport) -> tuple[Row, ...]:
    """Return each comparison and then, where there are several, its outputs."""
    return tuple(row for parity in _compared(report) for row in _rows(parity))


def exponents(report: ArtifactReport) -> range:
    """Return the decades from the least error to the largest, of all comparisons."""
    seen = [decade.exponent for parity in _compared(report) for decade in whole(parity).decades]
    return range(min(seen), max(seen) + 1) if seen else range(0)


def power(exponent: int) -> str:
    """Write a power of ten: ``10⁻⁷``."""
    return f"10{str(exponent).translate(_SUPERSCRIPTS)}"


def counts(histogram: ErrorHistogram, decades: range) -> tuple[int, ...]:
    """Return how many values are equal, off by each decade, and unequal."""
    return histogram.equal, *map(histogram.at, decades), histogram.unequal


def told(report: ArtifactReport) -> str:
    """Say in words what the histogram shows; empty where no values were compared."""
    return " ".join(_sentence(parity) for parity in _compared(report))


def has_errors(report: ArtifactReport) -> bool:
    """Tell whether there is anything to plot: that all are equal is said in a sentence."""
    return bool(exponents(report))


def plot(report: ArtifactReport, figure: Any) -> Plot:
    """Draw how many values are off by how much, in each comparison, on logarithmic scales."""
    decades, compared = exponents(report), _compared(report)
    unequal = any(whole(parity).unequal for parity in compared)
    highest = max(max(counts(whole(parity), decades)) for parity in compared)
    top = math.ceil(math.log10(highest)) + _SHOWN
    beside = 1 + len(decades) / 8  # of the bar for the equal ones, so that its label has room
    first, last = decades[0] - beside, decades[-1] + beside
    panel = Panel(figure, x=(first - 0.6, last + 1 if unequal else decades[-1] + 1), y=(0, top), left=52)
    panel.rules({place + _SHOWN: _count(place) for place in range(0, int(top) + 1, 1 if top < 6 else 2)})
    _bars(panel, compared, decades, (first - 0.5, *decades, last))
    step = 1 if len(decades) < _MOST_LABELS else 2
    places = {first: "equal"} | {float(at): power(at) for at in range(decades[0], decades[-1] + 2, step)}
    panel.below(places | ({last + 0.5: UNEQUAL} if unequal else {}), "error, relative to the output's scale")
    panel.above("values")
    _tolerance(panel, report, decades, top)
    series = {COLOUR_OF[parity.mode]: COMPARISONS[parity.mode] for parity in compared}
    title = "How many values are off by how much"
    return panel.plot("errors", title=title, description=told(report), series=series, marks="bars")


def _bars(panel: Panel, compared: tuple[ParityResult, ...], decades: range, starts: tuple[float, ...]) -> None:
    width = 0.84 / len(compared)
    for number, parity in enumerate(compared):
        found = zip(starts, counts(whole(parity), decades), strict=True)
        bars = [(start + 0.08 + number * width, _height(count)) for start, count in found]
        seen = [(left, height) for left, height in bars if height]
        if seen:
            lefts, heights = zip(*seen, strict=True)
            panel.bars(lefts, heights, width=width, colour=COLOUR_OF[parity.mode])


def _tolerance(panel: Panel, report: ArtifactReport, decades: range, top: float) -> None:
    """Mark what the conversion may be off, where that is one number and in sight."""
    limits = {output.tolerance for output in report.parity.outputs if output.tolerance} if report.parity else set()
    place = math.log10(max(limits)) if len(limits) == 1 else math.inf
    if decades[0] <= place <= decades[-1] + 1:
        panel.mark(place)
        is_left = place < (decades[0] + decades[-1]) / 2
        panel.text(place, top, "tolerance", across="left" if is_left else "right", along="bottom", up=8)


def _compared(report: ArtifactReport) -> tuple[ParityResult, ...]:
    """Return the comparisons in which there were values to compare."""
    return tuple(parity for parity in (report.parity, report.as_run) if whole(parity).elements and parity)


def _rows(parity: ParityResult) -> Iterator[Row]:
    comparison = COMPARISONS[parity.mode]
    yield Row(name="All outputs", comparison=comparison, histogram=whole(parity), is_whole=True)
    for output in parity.outputs if len(parity.outputs) > 1 else ():
        name = f"{output.output} of {output.signature}" if output.signature else output.output
        yield Row(name=name, comparison=comparison, histogram=output.histogram)


def _height(count: int) -> float:
    return math.log10(count) + _SHOWN if count else 0.0


def _count(place: int) -> str:
    return f"{10**place:,}" if place < 5 else power(place)


def _sentence(parity: ParityResult) -> str:
    counted, name = whole(parity), COMPARISONS[parity.mode].capitalize()
    if counted.equal == counted.elements:
        return f"{name}: all {counted.elements:,} compared values are equal."
    off = sum(decade.count for decade in counted.decades)
    most = power(max((decade.exponent for decade in counted.decades), default=0) + 1)
    parts = (
        (counted.equal, "are equal"),
        (off, f"are off by less than {most} of the scale"),
        (counted.unequal, "differ without a measure"),
    )
    told = [f"{count:,} {what}" for count, what in parts if count]
    if len(told) == 1:
        return f"{name}: all {told[0]}."
    return f"{name}: of {counted.elements:,} compared values {', '.join(told)}."
