from collections.abc import Callable, Sequence

import pytest

from job.latency import Window, agree, measure_interleaved, percentiles, saturated, throughput_ratio, warm_from
from job.results import BatchMeasurement


class Clock:
    """Time that passes only when a call says how long it took."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.order: list[str] = []

    def read(self) -> float:
        """Return the time."""
        return self.now_s

    def contender(self, name: str, duration_s: Callable[[int], float]) -> Callable[[], None]:
        """Return a call that takes `duration_s(number of calls before)`."""
        before = 0

        def call() -> None:
            nonlocal before
            self.order.append(name)
            self.now_s += duration_s(before)
            before += 1

        return call


def measured(
    baseline_s: Callable[[int], float],
    candidate_s: Callable[[int], float],
    *,
    budget_s: float = 2.0,
) -> tuple[BatchMeasurement, Clock]:
    clock = Clock()
    measurement = measure_interleaved(
        clock.contender("A", baseline_s),
        clock.contender("B", candidate_s),
        batch_size=8,
        budget_s=budget_s,
        clock=clock.read,
    )
    return measurement, clock


def window(*latencies_s: float) -> Window:
    return Window(latencies_s=latencies_s)


def test_steady_contenders_are_measured_exactly() -> None:
    """10 ms against 5 ms a batch of 8 is 800 and 1600 examples a second, ratio 2, without doubt."""
    result, _ = measured(lambda _: 0.010, lambda _: 0.005)
    assert result.stable
    assert result.baseline.throughput_per_s == pytest.approx(800)
    assert result.candidate.throughput_per_s == pytest.approx(1600)
    assert (result.ratio, result.ratio_low, result.ratio_high) == pytest.approx((2, 2, 2))
    assert (result.candidate.latency.p50_ms, result.candidate.latency.p99_ms) == pytest.approx((5, 5))


def test_windows_take_turns() -> None:
    """A window of the baseline is always followed by one of the candidate."""
    _, clock = measured(lambda _: 0.010, lambda _: 0.005)
    turns = [name for place, name in enumerate(clock.order) if place == 0 or clock.order[place - 1] != name]
    assert turns == ["A", "B"] * (len(turns) // 2)
    assert len(turns) >= 20


def test_windows_are_sized_by_time() -> None:
    """The faster contender gets more calls, so that both are measured for as long."""
    result, _ = measured(lambda _: 0.010, lambda _: 0.001)
    assert result.candidate.latency.calls == pytest.approx(10 * result.baseline.latency.calls, rel=0.15)


def test_warm_up_is_not_measured() -> None:
    """Slow first calls are in no percentile and in no throughput."""
    result, _ = measured(lambda before: 0.200 if before < 2 else 0.010, lambda _: 0.010)
    assert result.stable
    assert result.baseline.latency.p99_ms == pytest.approx(10)
    assert result.ratio == pytest.approx(1)


def test_ever_slower_is_unstable() -> None:
    """A contender that never settles is measured, and called unstable."""
    result, _ = measured(lambda before: 0.005 * 1.2**before, lambda _: 0.005)
    assert not result.stable
    assert result.baseline.latency.calls > 0


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
    assert result.ratio == pytest.approx(5 / 7)


def test_budget_is_kept_with_short_calls() -> None:
    """With calls much shorter than the budget, the budget is what it takes, and one pair of windows more."""
    _, clock = measured(lambda _: 0.001, lambda _: 0.001, budget_s=1.0)
    assert 1.0 <= clock.now_s <= 1.1


def test_a_coarse_clock_divides_by_nothing() -> None:
    """Calls far below the clock's resolution, which read as 0 s, end neither in a division by zero nor in hours."""
    clock = Clock()
    call = clock.contender("A", lambda _: 0.0001)
    coarse = measure_interleaved(call, call, batch_size=1, budget_s=1.0, clock=lambda: round(clock.now_s, 2))
    assert coarse.baseline.throughput_per_s == pytest.approx(10_000, rel=0.3)
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
    pairs = [(window(each), window(1.0)) for each in (3.0, 2.0, 1.0, 1.0, 1.0)]
    assert warm_from(pairs) == 2
    assert warm_from(pairs[:4]) is None


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
    ("throughputs", "verdict"),
    [
        ((100.0,), False),
        ((100.0, 106.0), False),
        ((100.0, 104.0), True),
        ((100.0, 90.0), True),
        ((100.0, 50.0, 60.0), True),
    ],
)
def test_sweep_stops_below_five_percent_gain(throughputs: Sequence[float], verdict: bool) -> None:  # noqa: FBT001 - the expected outcome
    """A batch size that gains less than 5 % over the best before it is the last."""
    assert saturated(throughputs) is verdict
