"""Whether two models that draw random numbers draw them from the same distribution; NumPy only.

Each draw of an output becomes some numbers: up to `MOST_PLACES` of its elements, their mean and their
root mean square. For each of those the two-sample Kolmogorov-Smirnov distance of both sides' draws is compared
with what chance alone exceeds less than once in a million outputs. The two summaries are what finds
a small difference that all elements share.

For n draws on each side the distance exceeds d by chance with at most e * exp(-n * d**2), for every n
(Wei and Dudley 2012, "Two-sample Dvoretzky-Kiefer-Wolfowitz inequalities", theorem 1a); ties make it rarer.
"""

import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

Array = np.ndarray[Any, Any]

FALSE_ALARM: Final = 1e-6
"""How likely at most an output is refused whose distributions are the same, over all of its numbers."""

MOST_PLACES: Final = 62
DRAWS: Final = 400
"""Draws of each side: enough to tell means that are 0.6 standard deviations apart."""


@dataclass(frozen=True, kw_only=True)
class Distance:
    """The largest Kolmogorov-Smirnov distance of an output's numbers, and the most that chance allows."""

    largest: float
    limit: float
    draws: int

    @property
    def is_same(self) -> bool:
        """Whether chance explains the distance."""
        return self.largest <= self.limit


def numbers_of(output: Array) -> Array:
    """Return what stands for one draw: some of its elements, their mean and root mean square.

    NaN counts as the largest number.
    """
    values = np.nan_to_num(output.astype(np.float64).ravel(), nan=np.finfo(np.float64).max)
    places = np.linspace(0, max(values.size - 1, 0), min(values.size, MOST_PLACES)).astype(int)
    with np.errstate(over="ignore"):
        summaries = [values.mean(), np.sqrt(np.mean(values**2))] if values.size else []
    return np.array([*values[places], *summaries])


def distance(baseline: Array, candidate: Array, *, tolerance: float) -> Distance:
    """Compare as many draws of each side, a row of `numbers_of` each.

    Values within `tolerance` of the scale count as equal, so that rounding is no difference.
    """
    draws, count = baseline.shape
    limit = math.sqrt(math.log(math.e * max(count, 1) / FALSE_ALARM) / draws)
    pairs = zip(baseline.T, candidate.T, strict=True)
    return Distance(largest=max((_largest(*pair, tolerance) for pair in pairs), default=0.0), limit=limit, draws=draws)


def _largest(baseline: Array, candidate: Array, tolerance: float) -> float:
    """Return how far the two distribution functions are apart, after moving either by the tolerance."""
    with np.errstate(over="ignore"):
        slack = float(np.abs(baseline).max()) * tolerance
    return max(_exceeds(baseline, candidate, slack), _exceeds(candidate, baseline, slack))


def _exceeds(one: Array, other: Array, slack: float) -> float:
    """Return by how much more of `one` than of `other` lies below a value, at most."""
    one, other = np.sort(one), np.sort(other)
    below = np.arange(1, one.size + 1) / one.size
    return float(np.max(below - np.searchsorted(other, one + slack, side="right") / other.size))
