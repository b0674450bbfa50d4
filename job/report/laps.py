"""The race among variants: each one's throughput over the faithful model's, with its interval."""

from typing import Any, Final, NamedTuple

from job import wording
from job.records import ArtifactReport
from job.report.panel import BOTTOM, TOP, Panel, Plot, nice, short
from job.results import RaceLap, VariantResult

_ROW: Final = 34
"""Pixels: the variant's name and, below it, its interval."""

_MOST: Final = 24


class Lap(NamedTuple):
    """What a row of the plot shows."""

    variant: VariantResult
    lap: RaceLap


def has_laps(report: ArtifactReport) -> bool:
    """Tell whether there is anything to plot."""
    return bool(_laps(report))


def plot(report: ArtifactReport, figure: Any) -> Plot:
    """Draw a row for each variant and batch size, the interval on a line of its own below the name."""
    laps = _laps(report)
    ticks = nice(min(1.0, *(lap.low for _, lap in laps)), max(1.0, *(lap.high for _, lap in laps)))
    height = TOP + BOTTOM + _ROW * len(laps)
    panel = Panel(figure, x=(ticks[0], ticks[-1]), y=(0, len(laps)), left=10, height=height)
    panel.below({tick: short(tick) for tick in ticks}, "times saved_model's throughput, 95 %")
    for row, (variant, lap) in zip(reversed(range(len(laps))), laps, strict=True):
        colour = "fast" if variant.verdict == "published" else "baseline"
        panel.text(ticks[0], row + 0.62, f"{variant.name}, batch {lap.batch_size}", colour="ink")
        panel.whiskers([1.0], [(row + 0.05, row + 0.55)], colour="line")
        panel.whiskers([row + 0.3], [(lap.low, lap.high)], colour=colour, lying=True)
        panel.points([lap.ratio], [row + 0.3], colour=colour, marker="o", is_hollow=False)
    told = "; ".join({variant.name: f"{variant.name} {wording.gains(variant)}" for variant, _ in laps}.values())
    series = {"fast": "published", "baseline": "not published"}
    return panel.plot("race", title="The race among variants", description=f"{told}.", series=series)


def _laps(report: ArtifactReport) -> list[Lap]:
    """Return what is settled and may be told, the first ones of very many."""
    variants = report.tuning.variants if report.tuning else ()
    told = [Lap(one, lap) for one in variants for lap in one.laps if lap.high <= wording.SETTLED * lap.low]
    return told[:_MOST]
