"""A short form of scripts/interrupt-stages: SIGTERM once in each phase of a job."""

import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.chaos.interrupting import GRACE_S, INTERRUPTED, PHASES, Ended, Told, interrupt, table
from tests.chaos.shelves import Bucket

pytest_plugins = ["tests.storage.stores"]
pytestmark = pytest.mark.slow

MAY_BE_DONE = ("summary", "between artifacts")


@pytest.fixture(scope="module")
def all_ended(moto_endpoint: str) -> dict[str, Ended]:
    """One job for each phase, some at a time."""
    with pytest.MonkeyPatch.context() as monkeypatch, tempfile.TemporaryDirectory() as home:
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testkey")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testsecret")

        def one(phase: str) -> Ended:
            return interrupt(Told(phase=phase, seed=1), Bucket(moto_endpoint), Path(home, phase))

        with ThreadPoolExecutor(3) as pool:
            return dict(zip(PHASES, pool.map(one, PHASES), strict=True))


@pytest.mark.parametrize("phase", PHASES)
def test_sigterm_in_each_phase_is_75_within_the_grace_and_the_next_run_completes(
    all_ended: dict[str, Ended], phase: str
) -> None:
    """A machine is taken away at any time; what is published stays whole, and what is left is done by the next."""
    ended = all_ended[phase]
    assert ended.violations == ()
    assert ended.stopped.wall_s < GRACE_S
    assert ended.stopped.code in ((INTERRUPTED, 0) if phase in MAY_BE_DONE else (INTERRUPTED,))


def test_table_has_a_line_for_each_phase(all_ended: dict[str, Ended]) -> None:
    """The figures of the documentation are printed by the script."""
    assert len(list(table(list(all_ended.values())))) == 2 + len(PHASES)
