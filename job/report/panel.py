"""One plot: a small panel with its scales, drawn by matplotlib, as wide as a phone's page."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from markupsafe import Markup

from job.report.drawing import written
from job.report.svg import COLOURS, inlined

WIDTH: Final = 328
"""In CSS pixels: what a screen of 360 leaves; wider pages place several side by side, with letters of the same size."""

TOP: Final = 24
BOTTOM: Final = 36
RIGHT: Final = 10

Limits = tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class Plot:
    """A drawn panel, with what a page writes above it; `series` are colours with what is drawn in them, as `marks`."""

    title: str
    svg: Markup
    series: Mapping[str, str]
    marks: Literal["points", "bars"]


class Panel:
    """A plot in the making; places are those of its scales, and `right` and `up` move a text by pixels."""

    def __init__(self, figure: Any, *, x: Limits, y: Limits, left: int = 44, height: int = 210) -> None:
        self._figure = figure(figsize=(WIDTH / 72, height / 72))
        self._inner = (WIDTH - left - RIGHT, height - TOP - BOTTOM)
        self._x, self._y = x, y
        self._figure.patch.set_visible(False)
        bounds = (left / WIDTH, BOTTOM / height, self._inner[0] / WIDTH, self._inner[1] / height)
        self._axes = self._figure.add_axes(bounds)
        self._axes.set_axis_off()  # matplotlib's own take three times as long as these rules and texts
        self._axes.set_xlim(x)
        self._axes.set_ylim(y)

    def rules(self, labels: Mapping[float, str]) -> None:
        """Draw a horizontal rule at each height, with its label to the left."""
        self._axes.hlines(list(labels), *self._x, color=COLOURS["line"], linewidth=1, clip_on=False, zorder=0)
        for height, label in labels.items():
            self.text(self._x[0], height, label, across="right", along="center_baseline", right=-6)

    def below(self, labels: Mapping[float, str], title: str) -> None:
        """Write labels below the panel, and what they are of under them."""
        for place, label in labels.items():
            self.text(place, self._y[0], label, across="center", along="top", up=-5)
        self.text(self._x[1], self._y[0], title, across="right", along="top", up=-21)

    def above(self, title: str) -> None:
        """Write what the heights are of, over the panel."""
        self.text(self._x[0], self._y[1], title, along="bottom", right=-38, up=8)

    def text(  # noqa: PLR0913 - where it stands
        self,
        x: float,
        y: float,
        words: str,
        *,
        across: str = "left",
        along: str = "baseline",
        right: float = 0,
        up: float = 0,
        colour: str = "soft",
    ) -> None:
        """Write words at a place; `across` and `along` say which of their edges is there."""
        width, height = self._inner
        at = (x + right * (self._x[1] - self._x[0]) / width, y + up * (self._y[1] - self._y[0]) / height)
        self._axes.text(*at, words, ha=across, va=along, color=COLOURS[colour])

    def bars(self, lefts: Sequence[float], heights: Sequence[float], *, width: float, colour: str) -> None:
        """Draw bars from the floor up."""
        floor = self._y[0]
        corners = [
            [(left, floor), (left, height), (left + width, height), (left + width, floor)]
            for left, height in zip(lefts, heights, strict=True)
        ]
        from matplotlib.collections import PolyCollection

        self._axes.add_collection(PolyCollection(corners, facecolors=COLOURS[colour], clip_on=False))

    def line(self, xs: Sequence[float], ys: Sequence[float], *, colour: str) -> None:
        """Draw a line through points."""
        self._axes.plot(xs, ys, color=COLOURS[colour], linewidth=1.5, clip_on=False)

    def points(self, xs: Sequence[float], ys: Sequence[float], *, colour: str, marker: str, is_hollow: bool) -> None:
        """Draw points, hollow where they are not sure."""
        ink, face = COLOURS[colour], COLOURS["ground" if is_hollow else colour]
        looks = {"color": ink, "markerfacecolor": face, "markersize": 6, "markeredgewidth": 1.5}
        self._axes.plot(xs, ys, linestyle="none", marker=marker, clip_on=False, **looks)

    def whiskers(self, xs: Sequence[float], spans: Iterable[Limits], *, colour: str, lying: bool = False) -> None:
        """Draw an interval at each place; with `lying` the places are heights."""
        lows, highs = zip(*spans, strict=True)
        draw = self._axes.hlines if lying else self._axes.vlines
        draw(xs, lows, highs, color=COLOURS[colour], linewidth=1.5, clip_on=False)

    def mark(self, x: float | None = None, *, y: float | None = None, colour: str = "soft") -> None:
        """Draw a broken rule across the panel, at `x` or at `y`."""
        looks = {"color": COLOURS[colour], "linewidth": 1, "linestyle": (0, (4, 3)), "clip_on": False}
        if x is not None:
            self._axes.vlines([x], *self._y, **looks)
        if y is not None:
            self._axes.hlines([y], *self._x, **looks)

    def plot(
        self,
        name: str,
        *,
        title: str,
        description: str,
        series: Mapping[str, str],
        marks: Literal["points", "bars"] = "points",
    ) -> Plot:
        """Return what was drawn, with `description` for who cannot see it; `name` is unique in the page."""
        svg = inlined(written(self._figure), name=name, title=title, description=description)
        return Plot(title=title, svg=svg, series=series, marks=marks)


def nice(low: float, high: float) -> list[float]:
    """Return some round numbers that enclose an interval."""
    from matplotlib.ticker import MaxNLocator

    return [float(value) for value in MaxNLocator(nbins=4, steps=[1, 2, 2.5, 5, 10]).tick_values(low, high)]


def short(value: float) -> str:
    """Write a number of an axis: ``0.5``, ``250``, ``12k``."""
    for least, unit, name in ((1e9, 1e9, "G"), (1e6, 1e6, "M"), (1e4, 1e3, "k")):
        if abs(value) >= least:
            return f"{value / unit:.3g}{name}"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
