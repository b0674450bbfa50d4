import time

import pytest

from job.intake import Closed, Intake
from job.interrupts import Interrupts


def test_open_until_a_signal_comes() -> None:
    """After it nothing more is begun, wherever it came."""
    interrupts = Interrupts(grace_s=8)
    intake = Intake(interrupts)
    intake.check()
    interrupts.cause = "SIGTERM came"
    with pytest.raises(Closed, match="SIGTERM came"), intake.one():
        raise AssertionError


def test_closes_when_most_artifacts_take_longer_than_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that would be dropped at the deadline is not begun: the 95th percentile of those before it decides."""
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    intake = Intake(Interrupts(grace_s=8, deadline_s=100))
    for _ in range(2):
        with intake.one():
            now[0] += 40
    with pytest.raises(Closed, match="the deadline is 20 s away and artifacts took up to 40 s"), intake.one():
        raise AssertionError


def test_crowding_counts_until_those_that_were_first_have_ended() -> None:
    """The first ones found their lanes free; the times of those that come after them are with waiting already."""
    intake = Intake(Interrupts(grace_s=8, deadline_s=100), at_work=2, crowding=2)
    intake._took_s = [60.0]
    with pytest.raises(Closed, match="took up to 120 s"):
        intake.check()
    intake._took_s = [60.0, 90.0]
    intake.check()


def test_one_long_artifact_of_many_does_not_count() -> None:
    """Of forty artifacts the longest is beyond the 95th percentile."""
    interrupts = Interrupts(grace_s=8, deadline_s=1000)
    intake = Intake(interrupts)
    intake._took_s = [1.0] * 39 + [5000.0]
    intake.check()
    intake._took_s = [1.0] * 18 + [5000.0] * 2
    with pytest.raises(Closed):
        intake.check()
