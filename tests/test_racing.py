from collections.abc import Callable, Mapping

import numpy as np
import pytest

from job.latency import Timing
from job.racing import GaveUpError, Race, independent
from job.results import Runner
from job.tuning import wins
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
    """Of variants 3, 15 and 30 % faster, the last is left, and wins."""
    means_s = {"faithful": 0.1, "little": 0.097, "some": 0.087, "most": 0.077}
    runners, _ = raced(field(0.02, seed, **means_s), field(0.02, 50 + seed, **means_s))
    assert not runners["most"].reason
    assert wins(runners["most"])
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


def test_faster_at_one_batch_size_alone_leaves() -> None:
    """What is slower at batch 1 cannot win with what it gains at 8, and costs no more time."""
    runners, clock = raced(
        field(0.02, 1, faithful=0.1, mixed=0.12), field(0.02, 2, faithful=0.1, mixed=0.08), budget_s=40.0
    )
    assert runners["mixed"].reason == "faster at one batch size and slower at another"
    assert clock.now_s < 40


def test_slower_at_one_batch_size_leaves() -> None:
    """Where nothing is gained at the other, the size is named."""
    runners, _ = raced(field(0.02, 1, faithful=0.1, half=0.12), field(0.02, 2, faithful=0.1, half=0.1))
    assert runners["half"].reason == "slower than the faithful model at batch 1"


def test_who_cannot_win_drives_nobody_out() -> None:
    """Constants gain 3 % everywhere and win, though what folds gains 10 % in the mean: it loses 7 % at batch 8."""
    speeds = {"faithful": (1.0, 1.0), "constants": (1.03, 1.03), "folded": (1.30, 0.93)}
    courses = [field(0.005, size, **{name: 0.1 / each[size] for name, each in speeds.items()}) for size in (0, 1)]
    runners, _ = raced(*courses)
    assert runners["folded"].reason == "faster at one batch size and slower at another"
    assert not wins(runners["folded"])
    assert runners["constants"].reason == ""
    assert wins(runners["constants"])


def drifting(
    mean_s: float, rng: np.random.Generator, spread: float = 0.05, alike: float = 0.7
) -> Callable[[int], float]:
    """Return times of which each is like the one before."""
    state = rng.normal(0, spread)

    def call_s(_: int) -> float:
        nonlocal state
        state = alike * state + rng.normal(0, spread * (1 - alike**2) ** 0.5)
        return float(mean_s * np.exp(state))

    return call_s


def drifting_field(seed: int, spread: float, **means_s: float) -> list[Speeds]:
    rng = np.random.default_rng(seed)
    return [{name: drifting(mean_s, rng, spread) for name, mean_s in means_s.items()} for _ in (1, 8)]


def winners(*courses: Speeds) -> list[str]:
    """Return who would be published, of a race of one call a window."""
    runners, _ = raced(*courses, budget_s=5.0 * len(courses[0]))
    return [name for name, one in runners.items() if name != "faithful" and wins(one)]


def test_slow_drift_makes_hardly_anybody_win() -> None:
    """Of two variants as fast as the model, with 5 % of slow drift each, one wins in a tenth of the races at most."""
    same = dict.fromkeys(("faithful", "a", "b"), 0.1)
    assert sum(bool(winners(*drifting_field(seed, 0.05, **same))) for seed in range(200)) <= 20


def test_what_is_faster_wins_in_spite_of_drift() -> None:
    """A gain of 20 % is found in four races of five where speeds drift by 2 %, alone and among others."""
    quick = {"faithful": 0.1, "quick": 0.1 / 1.2}
    among = {**quick, "a": 0.1, "b": 0.1}
    assert sum("quick" in winners(*drifting_field(seed, 0.02, **quick)) for seed in range(40)) >= 32
    assert sum("quick" in winners(*drifting_field(seed, 0.02, **among)) for seed in range(40)) >= 32


def test_rounds_that_are_alike_count_for_less() -> None:
    """Rounds that differ by chance all count, those that follow each other hardly."""
    rng = np.random.default_rng(0)
    assert independent(list(rng.normal(size=2000))) == pytest.approx(2000, rel=0.2)
    call_s = drifting(1.0, rng)
    assert independent([call_s(0) for _ in range(2000)]) == pytest.approx(2000 * 0.3 / 1.7, rel=0.2)
    assert independent(range(40)) < 2


def test_each_round_has_its_own_order() -> None:
    """Who runs first changes from round to round, by the seed, and everyone runs once a round."""

    def order(seed: int) -> list[str]:
        clock = Clock()
        calls = {name: clock.contender(name, lambda _: 0.1) for name in ("faithful", "a", "b")}
        Race({1: calls}, Timing(clock=clock.read), seed=seed).run(7.5)
        return clock.order

    rounds = [tuple(order(1)[start : start + 3]) for start in range(0, 60, 3)]
    assert {frozenset(each) for each in rounds} == {frozenset(("faithful", "a", "b"))}
    assert {each[0] for each in rounds} == {"faithful", "a", "b"}
    assert order(1) == order(1) != order(2)


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
