import numpy as np
import pytest

from job.distribution import FALSE_ALARM, distance, numbers_of


def draws(seed: int, count: int = 400, shift: float = 0.0, spread: float = 1.0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.stack([numbers_of(rng.normal(shift, spread, (3, 4))) for _ in range(count)])


@pytest.mark.parametrize("seed", range(5))
def test_same_distribution_is_far_from_the_limit(seed: int) -> None:
    """Draws of one distribution stay below the limit by far, as a bound of one in a million needs."""
    found = distance(draws(seed), draws(seed + 100), tolerance=1e-5)
    assert found.is_same
    assert found.largest < 0.75 * found.limit


@pytest.mark.parametrize(("shift", "spread"), [(1.0, 1.0), (0.3, 1.0), (0.0, 1.5), (0.0, 0.7)])
def test_other_means_and_spreads_are_told_apart(shift: float, spread: float) -> None:
    """A shift of one deviation shows in each element, a smaller one and another spread in their summaries."""
    assert not distance(draws(0), draws(1, shift=shift, spread=spread), tolerance=1e-5).is_same


def test_limit_is_the_bound_of_the_rate() -> None:
    """At the limit the published bound, over all numbers of the output, is the rate that is promised."""
    found = distance(draws(0), draws(1), tolerance=0.0)
    count = draws(0).shape[1]
    assert count * np.e * np.exp(-400 * found.limit**2) == pytest.approx(FALSE_ALARM)


def test_rounding_is_no_difference() -> None:
    """Numbers that are always the same but for rounding are equal in distribution; by more they are not."""
    constant = np.full((100, 3), 0.5)
    assert distance(constant, constant * (1 + 1e-7), tolerance=1e-5).largest == 0
    assert distance(constant, constant * (1 + 1e-3), tolerance=1e-5).largest == 1


def test_missing_numbers_count() -> None:
    """A side that draws NaN now and then differs from one that never does."""
    holed = draws(2)
    holed[::2] = numbers_of(np.full((3, 4), np.nan))
    assert not distance(draws(1), holed, tolerance=1e-5).is_same


@pytest.mark.parametrize(("size", "count"), [(0, 0), (1, 3), (5, 7), (1000, 64)])
def test_large_outputs_are_thinned(size: int, count: int) -> None:
    """A draw becomes at most 62 of its elements and two summaries; nothing of an empty one."""
    assert numbers_of(np.arange(size)).shape == (count,)
