from dataclasses import replace
from typing import Any

import pytest

from job import speed
from job.errors import JobError, Poison
from job.records import Format
from job.requests import BenchmarkRequest, SourceRequest, VerifyRequest
from job.results import BenchmarkResult, TuningResult
from job.settings import Settings
from job.tuning import Search
from tests import samples
from tests.samples import measurement, with_fast

SOURCE = SourceRequest(format=Format.GRAPH_DEF, directory="in", entry="a.pb")


def failing(error: Exception) -> Any:
    """Return what runs a stage, and fails."""

    def stage(*_: object) -> None:
        raise error

    return stage


@pytest.mark.parametrize(
    ("throughput_per_s", "stable", "stays"), [(20.0, True, False), (40.0, True, True), (20.0, False, True)]
)
def test_a_fast_model_that_is_slower_in_the_benchmark_is_taken_back(
    throughput_per_s: float,
    stable: bool,  # noqa: FBT001 - a case's measurement
    stays: bool,  # noqa: FBT001 - a case's answer
) -> None:
    """It is, where a stable measurement tells so beyond its interval; the report says at which batch size."""
    measured = with_fast(measurement(8, 34.6, 1.18, stable=stable), throughput_per_s, 1.0)
    told = speed.withdrawn(samples.TUNING, BenchmarkResult(verdict="measured", measurements=(measured,)))
    assert (told == samples.TUNING) is stays
    if not stays:
        assert (told.verdict, told.published) == ("none_faster", "")
        assert told.reason == "folded won the race and was slower in the benchmark, at batch 8"
        assert (told.variants[0].verdict, told.variants[0].laps) == ("slower", ())


@pytest.mark.parametrize("error", [Poison("out of memory"), OSError(28, "No space left on device")])
def test_a_search_that_fails_costs_the_speed_alone(error: JobError | OSError, tmp_path: Any) -> None:
    """Whatever ends it is the reason why there is no fast model, and what it has made is removed."""
    scratch = tmp_path / "variants"
    (scratch / "folded").mkdir(parents=True)
    wanted = Search(
        source=SOURCE,
        saved_model=tmp_path / "saved_model",
        fast=tmp_path / "fast",
        scratch=scratch,
        proof=VerifyRequest(source=SOURCE, saved_model="", mode="as_run", tolerance=1e-5),
        precision="exact",
        budget_s=9,
    )
    assert speed.tuned(wanted, failing(error)) == TuningResult(verdict="not_run", reason=str(error))
    assert not scratch.exists()


def test_a_benchmark_that_fails_says_why() -> None:
    """There are no figures then, and the reason takes their place."""
    wanted = BenchmarkRequest(source=SOURCE, saved_model="s")
    found = speed.benchmarked(wanted, failing(Poison("the worker ended")))
    assert (found.verdict, found.reason) == ("not_run", "the worker ended")


def test_nothing_is_searched_for_a_model_that_is_not_proven() -> None:
    """A variant can be held to nothing there."""
    assert speed.why_untuned(Settings(), samples.PUBLISHED) == ""
    assert "not proven" in speed.why_untuned(Settings(), samples.UNPROVEN)
    assert "not proven" in speed.why_untuned(Settings(), replace(samples.PUBLISHED, parity=None))
