"""Throughput and latency of contenders, interleaved; NumPy only."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np

from job.results import BatchMeasurement, Contender, Latency, Ratio

AGREEMENT: Final = 0.10
"""Windows agree when the slowest is at most this much slower than the fastest (design: 10 %)."""

AGREEING_WINDOWS: Final = 3
"""How many windows in a row must agree before a contender counts as warm, as in Triton's perf_analyzer."""

SETTLED_SHARE: Final = 0.8
"""How many of the windows that count must be within 10 % of their median."""

SATURATION_GAIN: Final = 0.05
"""A larger batch must bring at least this much more throughput (Triton's Model Navigator stops there)."""

ROUNDS: Final = 10
"""How many rounds a budget is cut into; a window is at least one call."""

RESAMPLES: Final = 2000
"""Bootstrap resamples; enough to place the ends of a 95 % interval."""

INTERVAL: Final = (2.5, 97.5)
"""The percentiles of the resamples that are the ends of an interval at 95 %."""

UNSETTLED: Final = "windows differ by more than 10 %"

Call = Callable[[], None]
"""Runs one batch; it returns when its answer is there, or what comes after a window waits for it."""


@dataclass(frozen=True, kw_only=True)
class Window:
    """The raw latencies of some calls of one contender in a row, and how long the last answers came after that."""

    latencies_s: tuple[float, ...]
    settling_s: float = 0.0

    @property
    def duration_s(self) -> float:
        """Return the time of all calls; at least a nanosecond, so that rates are finite."""
        return max(sum(self.latencies_s) + self.settling_s, 1e-9)

    @property
    def call_s(self) -> float:
        """Return the mean time of one call."""
        return self.duration_s / len(self.latencies_s)


Round = Mapping[str, Window]
"""One window of each contender, by name, one right after the other."""


@dataclass(frozen=True, kw_only=True)
class Timing:
    """How windows are timed: by which clock, what waits for the answers of calls that do not, and who looks on.

    `settle` runs once at a window's end, and counts; `look` runs after that, and does not.
    """

    clock: Callable[[], float] = time.perf_counter
    settle: Callable[[], None] | None = None
    look: Callable[[], None] = lambda: None

    def window(self, call: Call, calls: int) -> Window:
        """Run some calls in a row."""
        latencies_s = []
        for _ in range(calls):
            start_s = self.clock()
            call()
            latencies_s.append(self.clock() - start_s)
        settled_s = self._settled_s()
        self.look()
        return Window(latencies_s=tuple(latencies_s), settling_s=settled_s)

    def _settled_s(self) -> float:
        if self.settle is None:
            return 0.0
        start_s = self.clock()
        self.settle()
        return self.clock() - start_s


WALL: Final = Timing()
"""Calls that return when their answer is there, timed by the machine's clock."""


def measure_interleaved(  # noqa: PLR0913 - the contenders, what is said of them, and how they are timed
    calls: Mapping[str, Call],
    *,
    batch_size: int,
    budget_s: float,
    feeding: Literal["host", "device"] = "host",
    seed: int = 0,
    timing: Timing = WALL,
) -> BatchMeasurement:
    """Run windows of all contenders in turn until `budget_s` has passed; the first is the baseline.

    The second is the candidate, to which those after it are compared, too. Windows count as `settled` says. The
    budget may be exceeded by one round, and one is always run.
    """
    measured, stable = settled(run_rounds(calls, budget_s, timing))
    return BatchMeasurement(
        batch_size=batch_size,
        feeding=feeding,
        contenders=tuple(_contender(name, tuple(calls), measured, batch_size, timing, seed) for name in calls),
        stable=stable,
        reason="" if stable else UNSETTLED,
    )


def run_rounds(calls: Mapping[str, Call], budget_s: float, timing: Timing = WALL) -> list[Round]:
    """Run rounds until `budget_s` has passed, the first of one call each; that one is always run."""
    end_s = timing.clock() + budget_s
    window_s = budget_s / (len(calls) * ROUNDS)
    rounds: list[Round] = [{name: timing.window(call, 1) for name, call in calls.items()}]
    while timing.clock() < end_s:
        before = rounds[-1]
        rounds.append(
            {name: timing.window(call, calls_to_fill(window_s, before[name])) for name, call in calls.items()}
        )
    return rounds


def calls_to_fill(window_s: float, before: Window) -> int:
    """Return how many calls fill a window; at most ten times the last, which one lucky reading may mislead."""
    return max(1, min(round(window_s / before.call_s), 10 * len(before.latencies_s)))


def agree(windows: Sequence[Window]) -> bool:
    """Tell whether enough windows are given and the mean times of their calls are within 10 %."""
    calls_s = [window.call_s for window in windows]
    return len(windows) >= AGREEING_WINDOWS and max(calls_s) <= (1 + AGREEMENT) * min(calls_s)


def settled(rounds: Sequence[Round]) -> tuple[Sequence[Round], bool]:
    """Return the rounds that count, and whether they are stable, for every contender.

    They begin where three in a row agree; without that, the second half counts, and is not stable. The last three
    must agree as well, their mean with that of the first, and most in between with the median of all.
    """
    start = warm_from(rounds)
    if start is None:
        return rounds[len(rounds) // 2 :], False
    return rounds[start:], all(_is_steady([each[name] for each in rounds[start:]]) for name in rounds[0])


def _is_steady(windows: Sequence[Window]) -> bool:
    """Tell whether windows, of which the first three agree, end as they began and stay there in between."""
    calls_s = np.array([window.call_s for window in windows])
    ends_s = calls_s[:AGREEING_WINDOWS].mean(), calls_s[-AGREEING_WINDOWS:].mean()
    median_s = np.median(calls_s)
    near = np.abs(calls_s - median_s) <= AGREEMENT * median_s
    return (
        agree(windows[-AGREEING_WINDOWS:])
        and max(ends_s) <= (1 + AGREEMENT) * min(ends_s)
        and bool(near.mean() >= SETTLED_SHARE)
    )


def warm_from(rounds: Sequence[Round]) -> int | None:
    """Return where the first three rounds begin that agree for all contenders, or `None`."""
    starts = range(len(rounds) - AGREEING_WINDOWS + 1)
    return next((start for start in starts if _all_agree(rounds[start : start + AGREEING_WINDOWS])), None)


def throughput_per_s(windows: Sequence[Window], batch_size: int) -> float:
    """Return examples a second: all calls over all their time."""
    calls = sum(len(window.latencies_s) for window in windows)
    return batch_size * calls / sum(window.duration_s for window in windows)


def throughput_interval(windows: Sequence[Window], batch_size: int, *, seed: int = 0) -> tuple[float, float]:
    """Return the ends of the bootstrap interval of `throughput_per_s`, 95 %; single windows are drawn."""
    speeds = np.array([(len(window.latencies_s), window.duration_s) for window in windows])
    calls, seconds = np.moveaxis(speeds[_draws(len(windows), seed)].sum(axis=1), -1, 0)
    low, high = np.percentile(batch_size * calls / seconds, INTERVAL)
    return float(low), float(high)


def percentiles(windows: Sequence[Window]) -> Latency:
    """Return percentiles over the raw latencies of all calls; never over those of windows."""
    raw_ms = np.concatenate([window.latencies_s for window in windows]) * 1e3
    p50, p90, p95, p99 = (float(value) for value in np.percentile(raw_ms, (50, 90, 95, 99)))
    return Latency(p50_ms=p50, p90_ms=p90, p95_ms=p95, p99_ms=p99, calls=len(raw_ms))


def throughput_ratio(pairs: Sequence[tuple[Window, Window]], *, seed: int = 0) -> Ratio:
    """Return the throughput of each pair's second over that of its first, with its bootstrap interval, 95 %.

    Pairs of a round are drawn, not single windows: what slowed the machine for a moment slowed both.
    With few pairs the interval is too narrow; a measurement of less than three is never stable.
    """
    speeds = np.array([[(len(window.latencies_s), window.duration_s) for window in pair] for pair in pairs])
    low, high = np.percentile(_ratios(speeds[_draws(len(pairs), seed)]), INTERVAL)
    return Ratio(value=float(_ratios(speeds[None])[0]), low=float(low), high=float(high))


def saturation(throughputs_per_s: Mapping[int, float]) -> int:
    """Return the batch size, of growing ones, after which the next gained less than 5 %; 0 if each gained more."""
    best, at = 0.0, 0
    for size, throughput in throughputs_per_s.items():
        if at and throughput < (1 + SATURATION_GAIN) * best:
            return at
        best, at = throughput, size
    return 0


def _draws(count: int, seed: int) -> "np.ndarray[Any, Any]":
    """Return which windows each resample holds."""
    return np.random.default_rng(seed).integers(count, size=(RESAMPLES, count))


def _ratios(speeds: "np.ndarray[Any, Any]") -> "np.ndarray[Any, Any]":
    """Return the ratio of each row of pairs; axes: resample, pair, contender, (calls, seconds)."""
    calls, seconds = np.moveaxis(speeds.sum(axis=1), -1, 0)
    rates = calls / seconds
    return np.asarray(rates[:, 1] / rates[:, 0])


def _all_agree(rounds: Sequence[Round]) -> bool:
    return bool(rounds) and all(agree([each[name] for each in rounds]) for name in rounds[0])


def _contender(  # noqa: PLR0913, PLR0917 - all that is known of it
    name: str, names: Sequence[str], rounds: Sequence[Round], batch_size: int, timing: Timing, seed: int
) -> Contender:
    windows = [each[name] for each in rounds]
    ratios = [
        throughput_ratio([(each[other], each[name]) for each in rounds], seed=seed)
        for other in names[: min(names.index(name), 2)]
    ]
    low_per_s, high_per_s = throughput_interval(windows, batch_size, seed=seed)
    return Contender(
        name=name,
        throughput_per_s=throughput_per_s(windows, batch_size),
        latency=percentiles(windows) if timing.settle is None else None,
        ratio=ratios[0] if ratios else None,
        over_candidate=ratios[1] if len(ratios) > 1 else None,
        low_per_s=low_per_s,
        high_per_s=high_per_s,
    )
