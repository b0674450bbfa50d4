"""One fault at one place, between the job and its store: what comes of each."""

import os
from collections.abc import Callable
from itertools import count
from random import Random
from typing import Any

import pytest
from structlog.testing import capture_logs

from job.running import run
from job.settings import Settings
from job.summary import RunSummary
from tests.chaos.checks import Reader
from tests.chaos.lots import two_small
from tests.chaos.proxy import CALM, Asked, Chances, Fault, Plan, Proxy, proxied
from tests.chaos.shelves import Bucket
from tests.fakes import ends, use_fake_stages
from tests.jobs import WITHOUT_TENSORFLOW, Finished, run_job
from tests.sources import node

pytest_plugins = ["tests.storage.stores"]

LARGE = b"".join(node(f"n{number}") for number in range(20_000))
"""A graph of some hundred kilobytes."""


@pytest.fixture
def bucket(endpoint: str) -> Bucket:
    """Two artifacts to convert."""
    bucket = Bucket(endpoint)
    two_small().put(bucket)
    return bucket


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retries wait for nothing: that they wait is tested beside them."""
    use_fake_stages(monkeypatch)
    monkeypatch.setattr("botocore.endpoint.time.sleep", lambda _: None)
    monkeypatch.setattr("job.storage.retrying.time.sleep", lambda _: None)


def run_behind(
    plan: Plan | Chances, bucket: Bucket, monkeypatch: pytest.MonkeyPatch, **chosen: Any
) -> tuple[RunSummary, Proxy]:
    """Run the job behind a network."""
    with proxied(bucket.extra["AWS_ENDPOINT_URL_S3"], plan, delay_s=0) as proxy:
        for name, value in {**bucket.extra, "AWS_ENDPOINT_URL_S3": proxy.endpoint}.items():
            monkeypatch.setenv(name, value)
        plain = {"source": f"{bucket.uri}/in", "dest": f"{bucket.uri}/out", "benchmark": "off", "device": "cpu"}
        return run(Settings(**plain | chosen), dict(os.environ)), proxy


def first(times: int, fault: Fault, where: Callable[[Asked], bool], *, after: int = 0) -> Plan:
    """Return a plan that spoils so many of the requests that are meant, but for some at the start."""
    numbers = count()

    def draw(asked: Asked, _dice: Random) -> Fault:
        return fault if where(asked) and after <= next(numbers) < after + times else ""

    return draw


def any_request(_: Asked) -> bool:
    """Tell that all are meant, from the very first."""
    return True


def reads(asked: Asked) -> bool:
    """Tell whether a source is read: its head, when it is discovered, and then all of it."""
    return asked.method == "GET" and asked.path.endswith("/in/b.pb")


def commits(asked: Asked) -> bool:
    """Tell whether something is committed."""
    return asked.method == "PUT" and asked.path.endswith("/commit.json")


def seen(bucket: Bucket) -> Reader:
    """Read what is published, closely; all of it must be whole."""
    reader = Reader(bucket, {**two_small().models, "b.pb": bucket.read("in/b.pb")})
    reader.look_closely()
    assert reader.violations == []
    return reader


ALWAYS = 10_000
DONE = {"a.pb": "published", "b.pb": "published"}


@pytest.mark.parametrize("fault", ["reset_in_body", "truncated"])
def test_body_that_breaks_off_is_read_on_where_it_did(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch, fault: Fault
) -> None:
    """A reset at some byte, or a body that ends too early: its bytes come, and nobody hears of it."""
    bucket.put("in/b.pb", LARGE)
    with capture_logs() as logs:
        summary, proxy = run_behind(first(3, fault, reads), bucket, monkeypatch)
    assert (ends(summary), proxy.faults()) == (DONE, {fault: 3})
    assert seen(bucket).artifacts() == {"a.pb", "b.pb"}
    assert [event for event in logs if event["log_level"] != "info" and event["event"] != "no_gpu"] == []


@pytest.mark.parametrize("fault", ["reset_in_body", "truncated"])
def test_body_that_always_breaks_off_costs_its_artifact(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch, fault: Fault
) -> None:
    """Tries end: the code is 74, another machine may have a better network, and the other artifact is published."""
    bucket.put("in/b.pb", LARGE)
    summary, _ = run_behind(first(ALWAYS, fault, reads, after=1), bucket, monkeypatch)
    assert (ends(summary), summary.exit_code) == ({"a.pb": "published", "b.pb": 74}, 74)
    assert seen(bucket).artifacts() == {"a.pb"}


@pytest.mark.parametrize("fault", ["slow_down", "internal_error", "reset_before", "lost_response"])
def test_some_errors_are_met_by_trying_again(bucket: Bucket, monkeypatch: pytest.MonkeyPatch, fault: Fault) -> None:
    """Stores throttle and connections break every day; whatever comes three times, be it at once, is no news."""
    summary, proxy = run_behind(first(3, fault, any_request), bucket, monkeypatch)
    assert (ends(summary), proxy.faults()) == (DONE, {fault: 3})
    assert seen(bucket).artifacts() == {"a.pb", "b.pb"}


def test_storm_of_503_is_74_and_what_is_done_stays(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    """The store throttles everything from the first commit on: that one stands, and a later run does the rest."""
    stormy: list[Asked] = []

    def storm(asked: Asked, _dice: Random) -> Fault:
        stormy.extend([asked] if commits(asked) else [])
        return "slow_down" if stormy and not commits(asked) else ""

    summary, proxy = run_behind(storm, bucket, monkeypatch, lanes=1)
    assert summary.exit_code == 74
    assert proxy.faults()["slow_down"] > 8
    assert seen(bucket).artifacts() == {"a.pb"}
    again, _ = run_behind(CALM, bucket, monkeypatch)
    assert ends(again) == {"a.pb": "already_published", "b.pb": "published"}


@pytest.mark.parametrize("times", [1, 2, 4])
def test_commit_whose_answer_is_lost_is_known_as_ones_own(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch, times: int
) -> None:
    """The second try meets what the first one stored: it is no other job's, and nothing of it may be deleted."""
    with capture_logs() as logs:
        summary, proxy = run_behind(first(times, "lost_response", commits), bucket, monkeypatch)
    assert (ends(summary), proxy.faults()) == (DONE, {"lost_response": times})
    assert [event["outcome"] for event in logs if event["event"] == "artifact_published"] == ["committed"] * 2
    assert set(proxy.stored("commit.json").values()) == {1}
    assert (seen(bucket).artifacts(), seen(bucket).orphans()) == ({"a.pb", "b.pb"}, {})


def test_commit_of_which_no_answer_ever_comes_is_known_too(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every try is stored or refused unheard; what lies there then tells that it is done."""
    summary, proxy = run_behind(first(ALWAYS, "lost_response", commits), bucket, monkeypatch)
    assert ends(summary) == DONE
    assert set(proxy.stored("commit.json").values()) == {1}
    assert seen(bucket).orphans() == {}


def test_conflicts_at_the_commit_are_tried_again(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    """409 says that another write was under way, and not how it ended."""
    summary, proxy = run_behind(first(3, "conflict", commits), bucket, monkeypatch)
    assert (ends(summary), proxy.faults()) == (DONE, {"conflict": 3})
    assert seen(bucket).artifacts() == {"a.pb", "b.pb"}


def test_endless_conflicts_at_the_commit_are_74(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is committed, and the next run does it."""
    summary, _ = run_behind(first(ALWAYS, "conflict", commits), bucket, monkeypatch)
    assert (ends(summary), summary.exit_code) == ({"a.pb": 74, "b.pb": 74}, 74)
    assert seen(bucket).artifacts() == set()
    assert ends(run_behind(CALM, bucket, monkeypatch)[0]) == DONE


def test_of_two_jobs_one_commits_and_the_other_takes_its_attempt_back(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another job commits the same plan just before: code 0, one whole result, and nothing else beside it."""
    others: list[Finished] = []

    def race(asked: Asked, _dice: Random) -> Fault:
        if commits(asked) and not others:
            arguments = ("--source", f"{bucket.uri}/in", "--dest", f"{bucket.uri}/out", "--device", "cpu")
            others.append(
                run_job("run", *arguments, "--benchmark", "off", extra=bucket.extra, program=WITHOUT_TENSORFLOW)
            )
        return ""

    with capture_logs() as logs:
        summary, proxy = run_behind(race, bucket, monkeypatch, lanes=1)
    assert (summary.exit_code, others[0].code, len(others[0].named("artifact_published"))) == (0, 0, 2)
    assert [event["outcome"] for event in logs if event["event"] == "artifact_published"] == ["lost_race"]
    assert ends(summary) == {"a.pb": "published", "b.pb": "already_published"}
    assert proxy.stored("commit.json") == {}
    assert (seen(bucket).artifacts(), seen(bucket).orphans()) == ({"a.pb", "b.pb"}, {})
