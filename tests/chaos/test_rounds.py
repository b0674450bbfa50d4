"""A short form of scripts/chaos: two jobs at the same artifacts, killed at random moments, and one more run."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.chaos.blows import Blow, Victim
from tests.chaos.campaign import plan, played_in, run, table
from tests.chaos.lots import one_of_each
from tests.chaos.proxy import STORM
from tests.chaos.rounds import Round, draw_round, play
from tests.chaos.shelves import Bucket, Folder, server

pytest_plugins = ["tests.storage.stores"]
pytestmark = pytest.mark.slow

NAMES = one_of_each(0).artifacts


def round_of(*blows: Blow | None) -> Round:
    """Return a round without a bad network."""
    return Round(number=0, seed=7, engine="fake", blows=blows)


@pytest.mark.parametrize(
    ("victim", "codes"),
    [("supervisor", {-9}), ("all", {-9}), ("child", {0}), ("forkserver", {0, 70}), ("zygote", {0, 70})],
)
def test_kill_leaves_whole_results_or_none_and_one_more_run_completes(
    tmp_path: Path, victim: Victim, codes: set[int]
) -> None:
    """Whoever of a job is killed while another works on the same: nothing is lost, partial, mixed or done twice."""
    blow = Blow(victim=victim, event="artifact_started", seconds=0.2, late_s=0.02)
    played = play(round_of(blow, None), Folder(tmp_path / "shelf"), tmp_path / "home")
    assert played.violations == ()
    assert [one.landed for one in played.struck] == [True]
    assert played.codes[0] in codes
    assert played.codes[1:] == (0, 0)


def test_container_that_is_killed_goes_on_where_it_was(tmp_path: Path) -> None:
    """The kernel ends everything at once for want of memory; what was committed is not done again."""
    blow = Blow(victim="all", event="artifact_published", seconds=0.1)
    played = play(replace(round_of(blow), pause_s=0.1), Folder(tmp_path / "shelf"), tmp_path / "home")
    assert (played.violations, played.codes, played.struck[0].landed) == ((), (-9, 0), True)
    assert played.endings.get("artifact_already_published", 0) == played.midway.commits
    assert 0 < played.midway.commits < len(NAMES)


def test_two_jobs_at_a_directory_without_any_harm(tmp_path: Path) -> None:
    """Both end well; each artifact has one commit, whoever made it."""
    played = play(round_of(None, None), Folder(tmp_path / "shelf"), tmp_path / "home")
    assert (played.violations, played.codes, played.midway.commits) == ((), (0, 0, 0), len(NAMES))
    assert played.midway.orphans == 0


def test_job_behind_a_bad_network_is_killed(endpoint: str, tmp_path: Path) -> None:
    """503, resets, truncation and lost responses on the way, and a kill -9 among them."""
    told = replace(draw_round(0, 11), blows=(Blow(victim="supervisor", requests=25),), chances=STORM)
    played = play(told, Bucket(endpoint), tmp_path / "home")
    assert (played.violations, played.codes) == ((), (-9, 0))
    assert sum(played.faults.values()) > 0


@pytest.mark.s3
@pytest.mark.usefixtures("server_uri")
def test_short_campaign_can_be_stopped_and_gone_on_with(tmp_path: Path) -> None:
    """Two workers at a real S3 server, twice; what is in the state file is not played again."""
    endpoint, state = server(), tmp_path / "state"
    rounds = plan(rounds=2, tensorflow_rounds=0, seed=3)
    played = list(run(rounds, endpoint, parallel=2, state=state))
    assert [one.violations for one in played] == [(), ()]
    with state.open("a") as file:
        file.write('{"number": 2, "se')
    assert sorted(one.number for one in played_in(state)) == [0, 1]
    assert len(list(table(played_in(state)))) > 10


def test_rounds_follow_from_their_seed() -> None:
    """A round that went wrong is played again alone."""
    assert plan(rounds=3, tensorflow_rounds=1, seed=2)[1] == draw_round(1, 200_001)
    assert plan(rounds=3, tensorflow_rounds=1, seed=2)[3].engine == "tensorflow"
    assert draw_round(1, 5) != draw_round(1, 6)
