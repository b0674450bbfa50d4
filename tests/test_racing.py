from collections.abc import Callable, Mapping

import numpy as np
import pytest

from job.latency import Timing
from job.racing import GaveUpError, Race
from job.results import Runner
from tests.clocks import Clock

Speeds = Mapping[str, Callable[[int], float]]
"""Seconds a call takes, by the number of calls before it; the first is the faithful model's."""


def raced(*courses: Speeds, budget_s: float = 60.0) -> tuple[dict[str, Runner], Clock]:
    """Race on one course for each batch size, 1 and 8."""
    clock, names = Clock(), list(courses[0])
    calls = {
        size: {name: clock.contender(f"{name} {size}", course[name]) for name in names}
        for size, course in zip((1, 8), courses, strict=False)
    }
    race = Race(calls, Timing(clock=clock.read))
    race.run(budget_s)
    return {name: race.runner(name, 1.0) for name in names}, clock


def noisy(mean_s: float, spread: float, seed: int) -> Callable[[int], float]:
    """Return times that are spread around a mean, the logarithm normally."""
    rng = np.random.default_rng(seed)
    return lambda _: float(mean_s * np.exp(rng.normal(0, spread)))


def field(spread: float, seed: int, **means_s: float) -> Speeds:
    return {name: noisy(mean_s, spread, 100 * seed + place) for place, (name, mean_s) in enumerate(means_s.items())}


def low(runner: Runner) -> float:
    return min(lap.low for lap in runner.laps)


@pytest.mark.parametrize("seed", range(5))
def test_the_fastest_wins(seed: int) -> None:
    """Of variants 3, 15 and 30 % faster, the last is left and its lower bounds are above 1 at both batch sizes."""
    means_s = {"faithful": 0.1, "little": 0.097, "some": 0.087, "most": 0.077}
    runners, _ = raced(field(0.02, seed, **means_s), field(0.02, 50 + seed, **means_s))
    assert not runners["most"].reason
    assert low(runners["most"]) > 1
    assert runners["most"].laps[0].ratio == pytest.approx(1.3, rel=0.05)
    assert (runners["little"].reason, runners["some"].reason) == ("slower than most", "slower than most")


def test_the_slower_leaves_early() -> None:
    """A variant at half the speed costs a few windows of the whole, and the race ends when all have left."""
    runners, clock = raced(field(0.02, 1, faithful=0.1, slow=0.2), field(0.02, 2, faithful=0.1, slow=0.2))
    assert runners["slow"].reason == "slower than the faithful model at every batch size"
    assert clock.now_s < 30
    assert all(lap.high < 1 for lap in runners["slow"].laps)


def test_a_race_that_is_won_ends() -> None:
    """With one left, and that one beyond its interval, the budget is not used up."""
    _, clock = raced(field(0.01, 1, faithful=0.1, fast=0.05), field(0.01, 2, faithful=0.1, fast=0.05))
    assert clock.now_s < 30


def test_noise_alone_makes_nobody_win() -> None:
    """Of races among five variants that are all as fast as the model, hardly one in twenty has a winner at any size."""
    same = dict.fromkeys(("faithful", "a", "b", "c", "d", "e"), 0.1)
    won = 0
    for seed in range(40):
        runners, _ = raced(field(0.05, seed, **same), field(0.05, 50 + seed, **same))
        won += any(
            max(lap.low for lap in one.laps) > 1
            for name, one in runners.items()
            if name != "faithful" and not one.reason
        )
    assert won <= 2


def test_faster_at_one_batch_size_stays() -> None:
    """What is slower at batch 1 and faster at 8 can win still, and stays to the end."""
    runners, clock = raced(
        field(0.02, 1, faithful=0.1, mixed=0.12), field(0.02, 2, faithful=0.1, mixed=0.09), budget_s=20.0
    )
    assert not runners["mixed"].reason
    assert clock.now_s >= 20


def test_who_fails_is_out_and_the_race_goes_on() -> None:
    """A call that fails in the middle costs its runner alone, and says at which batch and how."""

    def failing(before: int) -> float:
        if before > 9:
            raise GaveUpError("OOM when allocating")
        return 0.01

    sound = field(0.02, 1, faithful=0.1, fast=0.05)
    runners, _ = raced({**sound, "frail": lambda _: 0.09}, {**sound, "frail": failing})
    assert runners["frail"].reason == "batch 8: OOM when allocating"
    assert not runners["fast"].reason
    assert low(runners["fast"]) > 1


def test_the_faithful_models_failure_ends_the_race() -> None:
    """Without it there is nothing to compare to."""

    def failing(_: int) -> float:
        raise GaveUpError("lost its device")

    with pytest.raises(GaveUpError, match="batch 1: lost its device"):
        raced({"faithful": failing, "other": lambda _: 0.1})


def test_too_short_a_race_tells_nothing() -> None:
    """When the budget ends before there are enough rounds, nobody has a lap, and nobody has won."""
    runners, clock = raced(field(0.02, 1, faithful=1.0, fast=0.5), budget_s=3.0)
    assert (runners["fast"].laps, runners["fast"].reason) == ((), "")
    assert clock.now_s < 6


def test_the_faithful_model_is_1() -> None:
    """Its laps are its own speed over itself."""
    runners, _ = raced(field(0.02, 1, faithful=0.1, fast=0.05))
    assert [(lap.batch_size, lap.ratio, lap.low, lap.high) for lap in runners["faithful"].laps] == [(1, 1.0, 1.0, 1.0)]
