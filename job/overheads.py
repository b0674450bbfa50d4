"""The graph's own time, told from what a call costs that computes nothing; NumPy only."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from job.latency import RESAMPLES, Round
from job.results import OwnTime, Ratio

MATTERS: Final = 0.02
"""Of a call: below this, overhead is less than what windows differ by."""


def own_times(rounds: Sequence[Round], empty: Mapping[str, str], *, seed: int = 0) -> tuple[OwnTime, ...]:
    """Return each contender's own time; `empty` names, by contender, the one that computes nothing by the same way.

    The first of `empty` is the baseline. Times are the means over the windows of `rounds`.
    """
    calls_s = {name: np.array([each[name].call_s for each in rounds]) for name in rounds[0]}
    own_s = {name: calls_s[name] - calls_s[nothing] for name, nothing in empty.items()}
    baseline = next(iter(empty))
    return tuple(
        OwnTime(
            name=name,
            call_ms=float(calls_s[name].mean()) * 1e3,
            overhead_ms=float(calls_s[nothing].mean()) * 1e3,
            own_ms=float(own_s[name].mean()) * 1e3,
            ratio=None if name == baseline else _ratio(own_s[baseline], own_s[name], seed),
        )
        for name, nothing in empty.items()
    )


def matters(call_s: float, overhead_s: float) -> bool:
    """Tell whether overhead is so much of a call that it has to be told apart."""
    return overhead_s > MATTERS * call_s


def _ratio(baseline_s: NDArray[Any], own_s: NDArray[Any], seed: int) -> Ratio | None:
    """Return the ratio with its bootstrap interval; none where a graph's own time is lost in the noise."""
    draws = np.random.default_rng(seed).integers(len(own_s), size=(RESAMPLES, len(own_s)))
    drawn_s, drawn_baseline_s = own_s[draws].mean(axis=1), baseline_s[draws].mean(axis=1)
    if min(drawn_s.min(), drawn_baseline_s.min()) <= 0:
        return None
    low, high = np.percentile(drawn_baseline_s / drawn_s, (2.5, 97.5))
    return Ratio(value=float(baseline_s.mean() / own_s.mean()), low=float(low), high=float(high))
