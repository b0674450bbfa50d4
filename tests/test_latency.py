from collections.abc import Callable, Sequence
from functools import partial

import pytest

from job.latency import (
    Timing,
    Window,
    agree,
    measure_interleaved,
    percentiles,
    saturation,
    settled,
    throughput_ratio,
    warm_from,
)
from job.results import BatchMeasurement, Contender, Latency
from tests.clocks import Clock


def measured(
    baseline_s: Callable[[int], float],
    candidate_s: Callable[[int], float],
    *,
    budget_s: float = 2.0,
) -> tuple[BatchMeasurement, Clock]:
    clock = Clock()
    measurement = measure_interleaved(
        {"baseline": clock.contender("A", baseline_s), "candidate": clock.contender("B", candidate_s)},
        batch_size=8,
        budget_s=budget_s,
        timing=Timing(clock=clock.read),
    )
    return measurement, clock


def both(measured: BatchMeasurement) -> tuple[Contender, Contender]:
    baseline, candidate = measured.contenders
    assert (baseline.name, candidate.name) == ("baseline", "candidate")
    return baseline, candidate


def ratio_of(measured: BatchMeasurement) -> tuple[float, float, float]:
    """Return the candidate's ratio with its bounds; the baseline has none."""
    baseline, candidate = both(measured)
    assert baseline.ratio is None
    assert candidate.ratio is not None
    return candidate.ratio.value, candidate.ratio.low, candidate.ratio.high


def latency_of(contender: Contender) -> Latency:
    assert contender.latency is not None
    return contender.latency


def steady(call_s: float, _before: int) -> float:
    return call_s


def window(*latencies_s: float) -> Window:
    return Window(latencies_s=latencies_s)


def test_steady_contenders_are_measured_exactly() -> None:
    """10 ms against 5 ms a batch of 8 is 800 and 1600 examples a second, ratio 2, without doubt."""
    result, _ = measured(lambda _: 0.010, lambda _: 0.005)
    assert result.stable
    baseline, candidate = both(result)
    assert baseline.throughput_per_s == pytest.approx(800)
    assert candidate.throughput_per_s == pytest.approx(1600)
    assert ratio_of(result) == pytest.approx((2, 2, 2))
    assert (latency_of(candidate).p50_ms, latency_of(candidate).p99_ms) == pytest.approx((5, 5))


def test_windows_take_turns() -> None:
    """A window of the baseline is always followed by one of the candidate."""
    _, clock = measured(lambda _: 0.010, lambda _: 0.005)
    turns = [name for place, name in enumerate(clock.order) if place == 0 or clock.order[place - 1] != name]
    assert turns == ["A", "B"] * (len(turns) // 2)
    assert len(turns) >= 20


def test_windows_are_sized_by_time() -> None:
    """The faster contender gets more calls, so that both are measured for as long."""
    result, _ = measured(lambda _: 0.010, lambda _: 0.001)
    baseline, candidate = map(latency_of, both(result))
    assert candidate.calls == pytest.approx(10 * baseline.calls, rel=0.15)


def test_warm_up_is_not_measured() -> None:
    """Slow first calls are in no percentile and in no throughput."""
    result, _ = measured(lambda before: 0.200 if before < 2 else 0.010, lambda _: 0.010)
    assert result.stable
    assert latency_of(both(result)[0]).p99_ms == pytest.approx(10)
    assert ratio_of(result)[0] == pytest.approx(1)


def test_ever_slower_is_unstable() -> None:
    """A contender that never settles is measured, and called unstable."""
    result, _ = measured(lambda before: 0.005 * 1.2**before, lambda _: 0.005)
    assert not result.stable
    assert result.reason == "windows differ by more than 10 %"
    assert latency_of(both(result)[0]).calls > 0


def test_restless_candidate_is_unstable() -> None:
    """It takes both to be stable."""
    result, _ = measured(lambda _: 0.1, lambda before: 0.1 if before % 2 else 0.2)
    assert not result.stable


def test_disturbance_at_the_end_is_unstable() -> None:
    """Having agreed once is not enough: the last three windows must agree."""
    result, _ = measured(lambda _: 0.1, lambda before: 0.1 if before < 9 else 0.3)
    assert not result.stable


def test_budget_is_exceeded_by_one_pair_at_most() -> None:
    """A call that takes longer than the whole budget is made once by each, and is unstable."""
    result, clock = measured(lambda _: 5.0, lambda _: 7.0, budget_s=1.0)
    assert clock.order == ["A", "B"]
    assert clock.now_s == 12
    assert not result.stable
    assert ratio_of(result)[0] == pytest.approx(5 / 7)


def test_budget_is_kept_with_short_calls() -> None:
    """With calls much shorter than the budget, the budget is what it takes, and one pair of windows more."""
    _, clock = measured(lambda _: 0.001, lambda _: 0.001, budget_s=1.0)
    assert 1.0 <= clock.now_s <= 1.1


def test_a_coarse_clock_divides_by_nothing() -> None:
    """Calls far below the clock's resolution, which read as 0 s, end neither in a division by zero nor in hours."""
    clock = Clock()
    call = clock.contender("A", lambda _: 0.0001)
    timing = Timing(clock=lambda: round(clock.now_s, 2))
    coarse = measure_interleaved({"baseline": call, "candidate": call}, batch_size=1, budget_s=1.0, timing=timing)
    assert both(coarse)[0].throughput_per_s == pytest.approx(10_000, rel=0.3)
    assert clock.now_s < 2


@pytest.mark.parametrize(
    ("calls_s", "verdict"),
    [((1.0, 1.05, 1.1), True), ((1.0, 1.05, 1.11), False), ((1.0, 1.0), False), ((1.0, 1.3, 1.0), False)],
)
def test_three_windows_agree_within_a_tenth(calls_s: Sequence[float], verdict: bool) -> None:  # noqa: FBT001 - the expected outcome
    """Three windows agree if the slowest is at most 10 % slower than the fastest; two never do."""
    assert agree([window(call_s) for call_s in calls_s]) is verdict


def test_warm_from_names_the_first_agreement() -> None:
    """The two slow pairs in front are skipped, and without agreement there is no start."""
    rounds = [{"A": window(each), "B": window(1.0)} for each in (3.0, 2.0, 1.0, 1.0, 1.0)]
    assert warm_from(rounds) == 2
    assert warm_from(rounds[:4]) is None


@pytest.mark.parametrize(
    ("calls_s", "verdict"),
    [
        ([1.0] * 10, True),
        ([1.0] * 4 + [1.5] * 2 + [1.0] * 4, True),
        ([1.0] * 4 + [1.5] * 3 + [1.0] * 4, False),
        ([1.0 + 0.02 * step for step in range(10)], False),
        ([1.0] * 5 + [1.09] * 5, True),
        ([1.0] * 5 + [1.12] * 5, False),
        ([1.0] * 7 + [1.3] * 1, False),
    ],
)
def test_stable_is_the_same_throughout(calls_s: Sequence[float], verdict: bool) -> None:  # noqa: FBT001 - the expected outcome
    """The end agrees with the beginning and 80 % in between with the median; a slow drift is no stability."""
    rounds = [{"A": window(1.0), "B": window(each)} for each in calls_s]
    assert settled(rounds) == (rounds, verdict)


def test_without_agreement_the_second_half_counts() -> None:
    """And is not stable."""
    rounds = [{"A": window(each)} for each in (1.0, 2.0, 1.0, 2.0)]
    assert settled(rounds) == (rounds[2:], False)


def test_percentiles_are_of_calls_and_not_of_windows() -> None:
    """One slow call among a hundred is the 99th percentile's business, though its window's mean hides it."""
    latency = percentiles([window(*[0.010] * 50), window(*[0.010] * 49, 1.0)])
    assert latency.calls == 100
    assert latency.p50_ms == latency.p95_ms == pytest.approx(10)
    assert latency.p99_ms > 10


def test_percentiles_interpolate_between_calls() -> None:
    """Of 1 to 101 ms, the percentiles are what they are by definition."""
    latency = percentiles([window(*(each / 1000 for each in range(1, 102)))])
    assert (latency.p50_ms, latency.p90_ms, latency.p95_ms, latency.p99_ms) == pytest.approx((51, 91, 96, 100))


def test_interval_holds_the_ratio_and_widens_with_the_spread() -> None:
    """Restless windows give a wider interval around the same ratio than quiet ones."""
    quiet = throughput_ratio([(window(1.0), window(0.5 + spread)) for spread in (-0.01, 0.01) * 5])
    restless = throughput_ratio([(window(1.0), window(0.5 + spread)) for spread in (-0.1, 0.1) * 5])
    assert quiet.low < quiet.value < quiet.high
    assert quiet.value == pytest.approx(restless.value) == pytest.approx(2)
    assert restless.high - restless.low > 5 * (quiet.high - quiet.low)


def test_what_slows_both_does_not_widen_the_interval() -> None:
    """Windows are drawn in pairs: a machine that was slow for a while is no doubt about the ratio."""
    pairs = [(window(slow), window(slow / 2)) for slow in (1.0, 3.0, 1.0, 2.0)]
    ratio = throughput_ratio(pairs)
    assert (ratio.low, ratio.value, ratio.high) == pytest.approx((2, 2, 2))


def test_interval_is_the_same_for_the_same_seed() -> None:
    """The bootstrap is drawn from a seed."""
    pairs = [(window(1.0), window(each)) for each in (0.4, 0.5, 0.6, 0.7)]
    assert throughput_ratio(pairs, seed=3) == throughput_ratio(pairs, seed=3)
    assert throughput_ratio(pairs, seed=3) != throughput_ratio(pairs, seed=4)


@pytest.mark.parametrize(
    ("throughputs", "size"),
    [
        ((100.0,), 0),
        ((100.0, 106.0), 0),
        ((100.0, 104.0), 1),
        ((100.0, 90.0), 1),
        ((100.0, 50.0, 60.0), 1),
        ((100.0, 200.0, 204.0), 2),
    ],
)
def test_saturation_is_where_the_next_gains_less_than_five_percent(throughputs: Sequence[float], size: int) -> None:
    """The batch size after which doubling gains less than 5 % is named; where each gains more, none is."""
    assert saturation(dict(zip((1, 2, 4), throughputs, strict=False))) == size


def test_three_contenders_take_turns_and_are_held_to_the_first() -> None:
    """Each round has a window of every one, in the same order; every one but the first has its ratio to that."""
    clock, order = Clock(), ("baseline", "candidate", "fast")
    speeds_s = {"baseline": 0.02, "candidate": 0.01, "fast": 0.005}
    calls = {name: clock.contender(name, partial(steady, speeds_s[name])) for name in order}
    result = measure_interleaved(calls, batch_size=1, budget_s=3.0, timing=Timing(clock=clock.read))
    turns = [name for place, name in enumerate(clock.order) if place == 0 or clock.order[place - 1] != name]
    assert tuple(turns) == order * (len(turns) // 3)
    assert [one.ratio.value if one.ratio else None for one in result.contenders] == pytest.approx([None, 2, 4])
    assert [one.over_candidate is None for one in result.contenders] == [True, True, False]
    assert result.contenders[2].over_candidate is not None
    assert result.contenders[2].over_candidate.value == pytest.approx(2)


def test_one_restless_contender_among_three_is_unstable() -> None:
    """It takes all to be stable."""
    clock = Clock()
    calls = {name: clock.contender(name, lambda _: 0.1) for name in ("baseline", "candidate")}
    calls["fast"] = clock.contender("fast", lambda before: 0.1 if before % 2 else 0.2)
    assert not measure_interleaved(calls, batch_size=1, budget_s=6.0, timing=Timing(clock=clock.read)).stable


def test_answers_that_come_later_are_waited_for_and_counted() -> None:
    """Calls that only begin the work cost what their window waits at its end; of single ones no latency is known."""
    clock, begun = Clock(), list[float]()

    def settle() -> None:
        clock.now_s += sum(begun)
        begun.clear()

    calls = {"baseline": lambda: begun.append(0.02), "candidate": lambda: begun.append(0.01)}
    timing = Timing(clock=clock.read, settle=settle)
    result = measure_interleaved(calls, batch_size=1, budget_s=1.0, feeding="device", timing=timing)
    assert ratio_of(result) == pytest.approx((2, 2, 2))
    assert [one.latency for one in result.contenders] == [None, None]


def test_who_looks_on_looks_after_every_window_and_is_not_timed() -> None:
    """A look that takes a second changes no figure."""
    clock, looks = Clock(), list[int]()

    def look() -> None:
        looks.append(len(clock.order))
        clock.now_s += 1.0

    calls = {"baseline": clock.contender("A", lambda _: 0.1), "candidate": clock.contender("B", lambda _: 0.1)}
    result = measure_interleaved(calls, batch_size=1, budget_s=9.0, timing=Timing(clock=clock.read, look=look))
    assert both(result)[0].throughput_per_s == pytest.approx(10)
    assert looks[:3] == [1, 2, 2 + looks[2] - looks[1]]
    assert len(looks) == len(set(looks))
