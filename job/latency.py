"""Throughput and latency of baseline and candidate, interleaved; NumPy only."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np

from job.results import BatchMeasurement, Contender, Latency

AGREEMENT: Final = 0.10
"""Windows agree when the slowest is at most this much slower than the fastest (design: 10 %)."""

AGREEING_WINDOWS: Final = 3
"""How many windows in a row must agree before a contender counts as warm, as in Triton's perf_analyzer."""

SATURATION_GAIN: Final = 0.05
"""A larger batch must bring at least this much more throughput (Triton's Model Navigator stops there)."""

WINDOW_PAIRS: Final = 10
"""How many pairs of windows a budget is cut into; a pair is at least one call of each."""

RESAMPLES: Final = 2000
"""Bootstrap resamples; enough to place the ends of a 95 % interval."""


@dataclass(frozen=True, kw_only=True)
class Window:
    """The raw latencies of some calls of one contender in a row."""

    latencies_s: tuple[float, ...]

    @property
    def duration_s(self) -> float:
        """Return the time of all calls; at least a nanosecond, so that rates are finite."""
        return max(sum(self.latencies_s), 1e-9)

    @property
    def call_s(self) -> float:
        """Return the mean time of one call."""
        return self.duration_s / len(self.latencies_s)


WindowPair = tuple[Window, Window]
"""A window of the baseline and the candidate's that came right after it."""


@dataclass(frozen=True, kw_only=True)
class Ratio:
    """Candidate throughput over baseline throughput, within `low` and `high` at 95 %."""

    value: float
    low: float
    high: float


def measure_interleaved(  # noqa: PLR0913 - the two contenders, what is said of them, and the clock a test turns
    baseline: Callable[[], None],
    candidate: Callable[[], None],
    *,
    batch_size: int,
    budget_s: float,
    feeding: Literal["host", "device"] = "host",
    seed: int = 0,
    clock: Callable[[], float] = time.perf_counter,
) -> BatchMeasurement:
    """Run windows of baseline and candidate in turn until `budget_s` has passed.

    Each call must run one batch and return when its answer is there. Windows count from where
    three in a row agree, for both contenders; without that, or if the last three disagree, the
    measurement is not stable. The budget may be exceeded by one pair of windows, and one pair is always run.
    """
    pairs = _run_pairs(baseline, candidate, budget_s, clock)
    start = warm_from(pairs)
    measured = pairs[len(pairs) // 2 :] if start is None else pairs[start:]
    ratio = throughput_ratio(measured, seed=seed)
    return BatchMeasurement(
        batch_size=batch_size,
        feeding=feeding,
        baseline=_contender("baseline", [pair[0] for pair in measured], batch_size),
        candidate=_contender("candidate", [pair[1] for pair in measured], batch_size),
        ratio=ratio.value,
        ratio_low=ratio.low,
        ratio_high=ratio.high,
        stable=start is not None and _both_agree(pairs[-AGREEING_WINDOWS:]),
    )


def agree(windows: Sequence[Window]) -> bool:
    """Tell whether enough windows are given and the mean times of their calls are within 10 %."""
    calls_s = [window.call_s for window in windows]
    return len(windows) >= AGREEING_WINDOWS and max(calls_s) <= (1 + AGREEMENT) * min(calls_s)


def warm_from(pairs: Sequence[WindowPair]) -> int | None:
    """Return where the first three pairs begin that agree for both contenders, or `None`."""
    starts = range(len(pairs) - AGREEING_WINDOWS + 1)
    return next((start for start in starts if _both_agree(pairs[start : start + AGREEING_WINDOWS])), None)


def throughput_per_s(windows: Sequence[Window], batch_size: int) -> float:
    """Return examples a second: all calls over all their time."""
    calls = sum(len(window.latencies_s) for window in windows)
    return batch_size * calls / sum(window.duration_s for window in windows)


def percentiles(windows: Sequence[Window]) -> Latency:
    """Return percentiles over the raw latencies of all calls; never over those of windows."""
    raw_ms = np.concatenate([window.latencies_s for window in windows]) * 1e3
    p50, p90, p95, p99 = (float(value) for value in np.percentile(raw_ms, (50, 90, 95, 99)))
    return Latency(p50_ms=p50, p90_ms=p90, p95_ms=p95, p99_ms=p99, calls=len(raw_ms))


def throughput_ratio(pairs: Sequence[WindowPair], *, seed: int = 0) -> Ratio:
    """Return the ratio of throughputs with its bootstrap interval, 95 % by percentiles.

    Pairs are drawn, not single windows: what slowed the machine for a moment slowed both.
    With few pairs the interval is too narrow; a measurement of less than three is never stable.
    """
    speeds = np.array([[(len(window.latencies_s), window.duration_s) for window in pair] for pair in pairs])
    draws = np.random.default_rng(seed).integers(len(pairs), size=(RESAMPLES, len(pairs)))
    low, high = np.percentile(_ratios(speeds[draws]), (2.5, 97.5))
    return Ratio(value=float(_ratios(speeds[None])[0]), low=float(low), high=float(high))


def saturated(throughputs_per_s: Sequence[float]) -> bool:
    """Tell whether the last of growing batch sizes gained less than 5 % over the best before it."""
    *before, last = throughputs_per_s
    return bool(before) and last < (1 + SATURATION_GAIN) * max(before)


def _ratios(speeds: "np.ndarray[Any, Any]") -> "np.ndarray[Any, Any]":
    """Return the ratio of each row of pairs; axes: resample, pair, contender, (calls, seconds)."""
    calls, seconds = np.moveaxis(speeds.sum(axis=1), -1, 0)
    rates = calls / seconds
    return np.asarray(rates[:, 1] / rates[:, 0])


def _both_agree(pairs: Sequence[WindowPair]) -> bool:
    return agree([pair[0] for pair in pairs]) and agree([pair[1] for pair in pairs])


def _run_pairs(
    baseline: Callable[[], None],
    candidate: Callable[[], None],
    budget_s: float,
    clock: Callable[[], float],
) -> list[WindowPair]:
    end_s = clock() + budget_s
    window_s = budget_s / (2 * WINDOW_PAIRS)
    pairs = [(_run_window(baseline, 1, clock), _run_window(candidate, 1, clock))]
    while clock() < end_s:
        calls = [_calls_to_fill(window_s, window) for window in pairs[-1]]
        pairs.append((_run_window(baseline, calls[0], clock), _run_window(candidate, calls[1], clock)))
    return pairs


def _calls_to_fill(window_s: float, before: Window) -> int:
    """Return how many calls fill a window; at most ten times the last, which one lucky reading may mislead."""
    return max(1, min(round(window_s / before.call_s), 10 * len(before.latencies_s)))


def _run_window(call: Callable[[], None], calls: int, clock: Callable[[], float]) -> Window:
    latencies_s = []
    for _ in range(calls):
        start_s = clock()
        call()
        latencies_s.append(clock() - start_s)
    return Window(latencies_s=tuple(latencies_s))


def _contender(name: Literal["baseline", "candidate"], windows: Sequence[Window], batch_size: int) -> Contender:
    return Contender(name=name, throughput_per_s=throughput_per_s(windows, batch_size), latency=percentiles(windows))
