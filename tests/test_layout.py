"""Which keys are whose."""

import pytest

from job.layout import is_ours, is_report, may_be_commit, place_in
from tests.publications import HOME, NAME, ONE, PLAN

NESTED = f"{HOME}/{ONE}/saved_model/assets"
"""Where a model may hold files that look like another publication."""


@pytest.mark.parametrize(
    ("key", "place"),
    [
        (f"{HOME}/{ONE}/saved_model/variables/variables.index", f"{HOME}/{ONE}"),
        (f"{HOME}/{ONE}/saved_model_fast/saved_model.pb", f"{HOME}/{ONE}"),
        (f"{HOME}/{ONE}/model.keras", f"{HOME}/{ONE}"),
        (f"{PLAN[:12]}/{ONE}/log.jsonl", f"{PLAN[:12]}/{ONE}"),
        (f"_failed/{NAME}/unplanned/{ONE}/report.html", f"_failed/{NAME}/unplanned/{ONE}"),
        (f"{NESTED}/{PLAN[:12]}/{ONE}/report.json", f"{HOME}/{ONE}"),
        (f"{HOME}/{ONE}/notes.txt", ""),
        (f"{HOME}/commit.json", ""),
        (f"{NAME}/latest.json", ""),
        (f"{NAME}/{ONE}/report.json", ""),
        (f"{HOME}/ONE/report.json", ""),
        ("_runs/20261122T000000Z-abcdef/shard-0.json", ""),
        ("0123456789ab/0123456789ab/data.csv", ""),
    ],
)
def test_a_key_belongs_to_the_outermost_attempt(key: str, place: str) -> None:
    """By its form alone, what lies in a model is that model's; what the job never writes is no attempt's."""
    assert place_in(key) == place


def test_a_commit_above_a_key_decides() -> None:
    """Where a plan is known to be committed, its attempts are told whatever their names look like."""
    inner = f"{NESTED}/{PLAN[:12]}"
    assert place_in(f"{inner}/{ONE}/report.json", {HOME, inner}) == f"{inner}/{ONE}"
    assert place_in(f"{HOME}/one/notes.txt", {HOME}) == f"{HOME}/one"
    assert place_in(f"{HOME}/notes.txt", {HOME}) == ""


def test_only_what_the_job_writes_is_ours() -> None:
    """Somebody's file in an attempt's directory is theirs, and so is everything in a directory of another form."""
    assert is_ours(f"{HOME}/{ONE}/saved_model/saved_model.pb", f"{HOME}/{ONE}")
    assert not is_ours(f"{HOME}/{ONE}/notes.txt", f"{HOME}/{ONE}")
    assert not is_ours(f"{HOME}/one/report.json", f"{HOME}/one")
    assert not is_ours("report.json", "")


def test_commits_and_reports_are_told_by_their_keys() -> None:
    """Twelve hexadecimal digits make a plan's directory; reports of failures lie apart."""
    assert may_be_commit(f"{HOME}/commit.json")
    assert may_be_commit(f"{PLAN[:12]}/commit.json")
    assert not may_be_commit(f"{NAME}/commit.json")
    assert is_report(f"_failed/{HOME}/{ONE}")
    assert not is_report(f"{HOME}/{ONE}")
