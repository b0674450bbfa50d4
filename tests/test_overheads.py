from collections.abc import Sequence

import pytest

from job.latency import Round, Window
from job.overheads import matters, own_times

EMPTY = {"baseline": "empty session", "candidate": "empty model"}


def rounds(**calls_s: Sequence[float]) -> list[Round]:
    """Return rounds of one call each, by contender."""
    names = {"baseline": "baseline", "candidate": "candidate", "session": "empty session", "model": "empty model"}
    lists = {names[name]: each for name, each in calls_s.items()}
    return [
        {name: Window(latencies_s=(each[number],)) for name, each in lists.items()}
        for number in range(len(next(iter(lists.values()))))
    ]


def test_own_time_is_the_call_without_the_empty_call() -> None:
    """1.2 ms with 0.2 of entry against 1.1 ms with 0.6: by themselves, the graphs take 1 ms and 0.5, ratio 2."""
    told = own_times(
        rounds(baseline=[0.0012] * 4, candidate=[0.0011] * 4, session=[0.0002] * 4, model=[0.0006] * 4), EMPTY
    )
    assert [(one.name, one.ratio is None) for one in told] == [("baseline", True), ("candidate", False)]
    assert (told[0].call_ms, told[0].overhead_ms, told[0].own_ms) == pytest.approx((1.2, 0.2, 1.0))
    assert (told[1].call_ms, told[1].overhead_ms, told[1].own_ms) == pytest.approx((1.1, 0.6, 0.5))
    assert told[1].ratio is not None
    assert (told[1].ratio.value, told[1].ratio.low, told[1].ratio.high) == pytest.approx((2, 2, 2))


def test_a_spread_is_in_the_interval() -> None:
    """What differs between rounds widens it, around the ratio of the means."""
    noisy = [0.0009, 0.0013, 0.0010, 0.0012]
    told = own_times(rounds(baseline=[0.0012] * 4, candidate=noisy, session=[0.0002] * 4, model=[0.0006] * 4), EMPTY)
    assert told[1].ratio is not None
    assert told[1].ratio.value == pytest.approx(2)
    assert told[1].ratio.low < 1.8
    assert told[1].ratio.high > 2.2


def test_a_graph_that_does_nothing_has_no_ratio() -> None:
    """Where a call takes no longer than an empty one, a ratio would be of noise."""
    told = own_times(
        rounds(baseline=[0.0002] * 4, candidate=[0.0007] * 4, session=[0.0002] * 4, model=[0.0006] * 4), EMPTY
    )
    assert told[1].ratio is None
    assert told[0].own_ms == pytest.approx(0.0)


def test_two_percent_matter() -> None:
    """Overhead of 3 % of a call is told apart, and of 1 % is not."""
    assert matters(0.001, 0.00003)
    assert not matters(0.001, 0.00001)
