from concurrent.futures import ThreadPoolExecutor

import pytest

from job.storage import retrying
from job.storage.retrying import RetryBudget


def test_a_store_that_always_fails_uses_the_budget_up() -> None:
    """A hundred retries without one good answer are all that a job makes, whichever thread asks."""
    budget = RetryBudget()
    with ThreadPoolExecutor(8) as pool:
        allowed = list(pool.map(lambda _: budget.spend("throttled"), range(150)))
    assert allowed.count(True) == 100
    assert budget.told() == "150 throttled"


def test_good_answers_pay_for_retries() -> None:
    """A store that fails half of the time is never given up, however long the job."""
    budget = RetryBudget()
    for _ in range(1000):
        assert budget.spend("failed")
        budget.earn()


def test_no_more_is_saved_than_fits() -> None:
    """An hour of good answers does not let a job hammer a store that has just broken down."""
    budget = RetryBudget(capacity=10)
    for _ in range(100):
        budget.earn()
    assert [budget.spend("failed") for _ in range(3)] == [True, True, False]


def test_what_was_met_is_told_by_kind() -> None:
    """A message says how often what happened, and nothing where nothing did."""
    budget = RetryBudget()
    assert budget.told() == ""
    for fault in ("throttled", "broken connections", "throttled"):
        budget.spend(fault)
    assert budget.told() == "1 broken connections, 2 throttled"


def test_pauses_grow_and_are_random(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those who failed together come back apart, and nobody waits longer than 20 s."""
    pauses: list[float] = []
    monkeypatch.setattr("job.storage.retrying.time.sleep", pauses.append)
    for attempt in [0] * 50 + [30] * 50:
        retrying.pause(attempt)
    assert max(pauses[:50]) <= 0.1
    assert 10 < max(pauses[50:]) <= 20
    assert len(set(pauses)) > 90
