"""Throughput, its ratio and latency over batch size, TF1 against what is published, with intervals."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from job import wording
from job.records import ArtifactReport
from job.report.panel import Panel, Plot, nice, short
from job.results import BatchMeasurement, Contender

MARKERS: Final = {"baseline": "s", "candidate": "o", "fast": "^"}

_FED: Final = {"host": "", "device": ", fed on the GPU"}
_APART: Final = 0.07
"""How far contenders stand from each other, of the distance of two batch sizes: their whiskers shall not overlap."""


@dataclass(frozen=True, kw_only=True)
class Point:
    """A figure at one batch size, with its interval; not `sure` where the measurement was not stable."""

    batch_size: int
    value: float
    low: float
    high: float
    sure: bool


Series = dict[str, list[Point]]
"""By contender."""


@dataclass(frozen=True, kw_only=True)
class Kind:
    """What is plotted: how a point is read from a contender, and how that is called."""

    name: str
    title: str
    unit: str
    point: Callable[[BatchMeasurement, Contender], Point | None]


def has_curves(report: ArtifactReport) -> bool:
    """Tell whether there is anything to plot: of one batch size a table tells all, and wrong answers have no speed."""
    return bool(_drawn(report))


def plots(report: ArtifactReport, figure: Any) -> Iterator[Plot]:
    """Draw each kind of figure, for inputs from the host and for those that stay on a GPU."""
    for kind, feeding in _drawn(report):
        yield _plot(figure, kind, feeding, _series(report, kind, feeding))


def _drawn(report: ArtifactReport) -> list[tuple[Kind, str]]:
    if wording.why_no_speed(report):
        return []
    pairs = ((kind, feeding) for feeding in _FED for kind in KINDS)
    return [(kind, feeding) for kind, feeding in pairs if _is_curve(_series(report, kind, feeding))]


def _is_curve(series: Series) -> bool:
    return any(len(points) > 1 for points in series.values())


def _series(report: ArtifactReport, kind: Kind, feeding: str) -> Series:
    measurements = report.benchmark.measurements if report.benchmark else ()
    found: Series = {name: [] for name in MARKERS}
    for measured in sorted(measurements, key=lambda one: one.batch_size):
        for one in measured.contenders if measured.feeding == feeding else ():
            point = kind.point(measured, one)
            found[one.name] += [point] if point else []
    return {name: points for name, points in found.items() if points}


def _plot(figure: Any, kind: Kind, feeding: str, series: Series) -> Plot:
    sizes = sorted({point.batch_size for points in series.values() for point in points})
    least = 0.0 if kind is not RATIO else min(1.0, *(point.low for points in series.values() for point in points))
    most = max(1.0 if kind is RATIO else 0.0, *(point.high for points in series.values() for point in points))
    ticks = nice(least, most)
    panel = Panel(figure, x=(-0.3, len(sizes) - 0.7), y=(ticks[0], ticks[-1]))
    panel.rules({tick: short(tick) for tick in ticks})
    panel.below({float(at): short(size) for at, size in enumerate(sizes)}, "batch size")
    panel.above(kind.unit)
    if kind is RATIO:
        panel.mark(y=1.0)
    for number, (name, points) in enumerate(series.items()):
        _draw(panel, name, points, [sizes.index(one.batch_size) + (number - 1) * _APART for one in points])
    told = "; ".join(_told(name, points) for name, points in series.items())
    names = {name: wording.CONTENDERS[name] for name in series}
    title = f"{kind.title}{_FED[feeding]}"
    return panel.plot(f"{kind.name}-{feeding}", title=title, description=f"{kind.unit}. {told}.", series=names)


def _draw(panel: Panel, name: str, points: list[Point], places: list[float]) -> None:
    panel.line(places, [point.value for point in points], colour=name)
    panel.whiskers(places, [(point.low, point.high) for point in points], colour=name)
    for is_sure in (True, False):
        told = [(place, point.value) for place, point in zip(places, points, strict=True) if point.sure == is_sure]
        if told:
            xs, ys = zip(*told, strict=True)
            panel.points(xs, ys, colour=name, marker=MARKERS[name], is_hollow=not is_sure)


def _told(name: str, points: list[Point]) -> str:
    figures = ", ".join(f"{wording.figure(point.value)} at batch {point.batch_size}" for point in points)
    return f"{wording.CONTENDERS[name]}: {figures}"


def _throughput(measured: BatchMeasurement, one: Contender) -> Point:
    value = one.throughput_per_s
    low, high = value if one.low_per_s is None else one.low_per_s, value if one.high_per_s is None else one.high_per_s
    return Point(batch_size=measured.batch_size, value=value, low=low, high=high, sure=measured.stable)


def _ratio(measured: BatchMeasurement, one: Contender) -> Point | None:
    """Tell none that is not stable, as nowhere in the report."""
    if one.ratio is None or not measured.stable:
        return None
    found = one.ratio
    return Point(batch_size=measured.batch_size, value=found.value, low=found.low, high=found.high, sure=True)


def _latency(measured: BatchMeasurement, one: Contender) -> Point | None:
    if one.latency is None:
        return None
    p50_ms, p99_ms = one.latency.p50_ms, one.latency.p99_ms
    return Point(batch_size=measured.batch_size, value=p50_ms, low=p50_ms, high=p99_ms, sure=measured.stable)


RATIO: Final = Kind(name="ratio", title="Throughput over TF1's", unit="times the TF1 graph, 95 %", point=_ratio)
KINDS: Final = (
    Kind(name="throughput", title="Throughput", unit="examples a second, 95 %", point=_throughput),
    RATIO,
    Kind(name="latency", title="Latency", unit="ms a call: p50, up to p99", point=_latency),
)
