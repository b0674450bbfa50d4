from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
from structlog.testing import capture_logs

from job.errors import BadInput, DeviceError, Poison
from job.lanes import Lane, Lanes
from job.machine import Place
from job.records import ConvertResult, Format, Signature, SourceSummary, StageTiming
from job.requests import BenchmarkRequest, ConvertRequest, SourceRequest, VerifyRequest
from job.results import BenchmarkResult, ParityResult
from job.settings import Settings
from job.stage_runs import StageRuns
from job.tasks import Crashed
from job.watch import Overstayed
from job.workers import Forkserver

SOURCE = SourceRequest(format=Format.GRAPH_DEF, directory="d", entry="e")
VERIFY = VerifyRequest(source=SOURCE, saved_model="s", mode="as_run", tolerance=1e-5)
BENCHMARK = BenchmarkRequest(source=SOURCE, saved_model="s", effort="quick")
PASSED = ParityResult(mode="as_run", verdict="passed", notes=("a note",))


class Scripted:
    """A forkserver whose stages end one after another as they are told."""

    def __init__(self, *ends: object) -> None:
        self.ends, self.asked, self.shares = list(ends), list[tuple[Any, float]](), list[float]()

    def run(self, stage: str, request: object, _: object, *, timeout_s: float, place: Place) -> tuple[Any, StageTiming]:
        """Note what is asked for."""
        self.asked.append((request, timeout_s))
        self.shares.append(place.share)
        end = self.ends.pop(0)
        if isinstance(end, Exception):
            raise end
        return end, StageTiming(stage=stage, wall_s=1.0)


def runs(*ends: object, settings: Settings | None = None, count: int = 1) -> tuple[StageRuns, Scripted]:
    """Return an artifact's stages on a scripted forkserver for either mode, in one of so many lanes."""
    scripted = Scripted(*ends)
    forkserver = cast("Forkserver", scripted)
    lanes = Lanes([Lane(forkservers={"exact": forkserver, "as_run": forkserver}) for _ in range(count)])
    return StageRuns(lanes, settings or Settings(), 0), scripted


@pytest.mark.parametrize("error", [Crashed("signal SIGSEGV"), DeviceError("CUDA_ERROR_ECC_UNCORRECTABLE")])
def test_what_may_be_the_machines_is_tried_once_more(error: Exception) -> None:
    """A crash, or a GPU that failed, may not come again in a fresh worker; the second one of its kind is final."""
    stages, scripted = runs(error, BenchmarkResult(verdict="measured"))
    with capture_logs() as events:
        assert stages.run("as_run", "benchmark", BENCHMARK, BenchmarkResult)[0].verdict == "measured"
    assert [(event["event"], event["stage"]) for event in events] == [("stage_retried", "benchmark as run")]
    assert [request for request, _ in scripted.asked] == [BENCHMARK, BENCHMARK]
    stages, scripted = runs(error, error, PASSED)
    with pytest.raises(type(error)):
        stages.run("exact", "verify", VERIFY, ParityResult)
    assert len(scripted.asked) == 2


def test_a_stage_is_told_of_when_its_turn_has_come() -> None:
    """With what it is asked: a display says how long that may take; a second try is another beginning."""
    told = list[tuple[str, object]]()
    scripted = cast("Forkserver", Scripted(Crashed("signal SIGSEGV"), BenchmarkResult(verdict="measured")))
    lanes = Lanes([Lane(forkservers={"exact": scripted, "as_run": scripted})])
    stages = StageRuns(lanes, Settings(), 0, lambda stage, request: told.append((stage, request)))
    stages.run("as_run", "benchmark", BENCHMARK, BenchmarkResult)
    assert told == [("benchmark as run", BENCHMARK)] * 2


@pytest.mark.parametrize(
    ("mode", "request_", "error"),
    [
        ("exact", VERIFY, Overstayed("did not end")),
        ("as_run", BENCHMARK, Overstayed("did not end")),
        ("as_run", VERIFY, Poison("out of memory: 9 GiB held, 8 GiB allowed")),
        ("as_run", VERIFY, Poison("no sign of life")),
        ("exact", VERIFY, BadInput("truncated")),
    ],
)
def test_what_would_end_so_again_is_not_tried_again(mode: Any, request_: object, error: Exception) -> None:
    """Time, memory and what a stage says of the artifact are the artifact's own."""
    stages, scripted = runs(error, PASSED)
    with pytest.raises(type(error)) as caught:
        stages.run(mode, "verify", request_, ParityResult)
    assert caught.value is error
    assert len(scripted.asked) == 1


NO_MEMORY = Poison("out of memory in the convert stage: 9 GiB", where="20 % of it", remedy="a larger machine")
UNFINISHED = ConvertResult(summary=SourceSummary(format=Format.GRAPH_DEF), error=NO_MEMORY.to_record())


@pytest.mark.parametrize("end", [NO_MEMORY, UNFINISHED])
def test_what_lacks_memory_in_its_lane_is_tried_with_all_of_it(end: object) -> None:
    """Whether it was stopped or told so itself; where all of it is too little, its own error is the end."""
    request = ConvertRequest(source=SOURCE, saved_model="/nowhere")
    stages, scripted = runs(end, replace(UNFINISHED, error=None), count=4)
    with capture_logs() as events:
        result, _ = stages.run("exact", "convert", request, ConvertResult)
    assert result.error is None
    assert scripted.shares == [0.25, 1]
    assert [(event["event"], event["reason"]) for event in events] == [("stage_retried", str(NO_MEMORY))]
    stages, scripted = runs(end, UNFINISHED, count=4)
    assert stages.run("exact", "convert", request, ConvertResult)[0] == UNFINISHED
    stages, scripted = runs(end, NO_MEMORY, count=4)
    with pytest.raises(Poison) as caught:
        stages.run("exact", "convert", request, ConvertResult)
    assert caught.value is NO_MEMORY


@pytest.mark.parametrize(("error", "how"), [(Overstayed("600 s"), "did not end"), (Crashed("SIGABRT"), "crashed")])
def test_comparison_as_run_is_tried_without_grappler(error: Exception, how: str) -> None:
    """Grappler takes minutes for a chain of 10,000 nodes; without it the comparison ends, and the report says so."""
    stages, scripted = runs(error, PASSED)
    result, timing = stages.run("as_run", "verify", VERIFY, ParityResult)
    assert [request.grappler for request, _ in scripted.asked] == [True, False]
    assert timing.stage == "verify as run"
    note = "compared as run without Grappler, TensorFlow's graph optimizer, because with it the comparison " + how
    assert result.notes[0] == "a note"
    assert result.notes[1].startswith(note)
    assert "{'disable_meta_optimizer': True}" in result.notes[1]


@pytest.mark.parametrize("requests", [[VERIFY], [VERIFY, VERIFY]])
def test_undisturbed_stage_runs_with_grappler_and_without_a_note(requests: Sequence[VerifyRequest]) -> None:
    """A second try leaves no trace in what comes after it."""
    stages, scripted = runs(*[Crashed("x"), PASSED][2 - len(requests) :], PASSED)
    for request in requests:
        result, _ = stages.run("as_run", "verify", request, ParityResult)
    assert scripted.asked[-1][0].grappler
    assert result.notes == PASSED.notes


def test_time_of_a_comparison_grows_with_the_signatures_found() -> None:
    """How many there are is known once the artifact is converted."""
    signatures = tuple(Signature(key=key, inputs=(), outputs=()) for key in "abc")
    converted = ConvertResult(summary=SourceSummary(format=Format.GRAPH_DEF, signatures=signatures))
    stages, scripted = runs(converted, PASSED)
    stages.run("exact", "convert", ConvertRequest(source=SOURCE, saved_model="/nowhere"), ConvertResult)
    stages.run("exact", "verify", VERIFY, ParityResult)
    assert [timeout_s for _, timeout_s in scripted.asked] == [600, 1200]


def test_artifact_whose_time_is_used_up_says_so() -> None:
    """The setting to raise is the artifact's, not the stage's."""
    stages, _ = runs(Overstayed("raise --stage-timeout-s"), settings=Settings(item_timeout_s=0))
    stages._deadlines._end_s = 1e9
    stages._deadlines._clock = iter((1.0, 1e9, 1e9)).__next__
    with pytest.raises(Poison, match="--item-timeout-s"):
        stages.run("exact", "verify", VERIFY, ParityResult)


def test_second_try_finds_nothing_of_the_first(tmp_path: Path) -> None:
    """A conversion writes to a directory that must not be there."""
    (tmp_path / "saved_model").mkdir()
    request = ConvertRequest(source=SOURCE, saved_model=str(tmp_path / "saved_model"))
    stages, _ = runs(Crashed("x"), ConvertResult(summary=SourceSummary(format=Format.GRAPH_DEF)))
    stages.run("exact", "convert", request, ConvertResult)
    assert not (tmp_path / "saved_model").exists()


def test_gpu_that_failed_is_no_fault_of_grappler_s() -> None:
    """The second try is the first one again, and no note blames an optimizer."""
    stages, scripted = runs(DeviceError("CUDA_ERROR_ECC_UNCORRECTABLE"), PASSED)
    result, _ = stages.run("as_run", "verify", VERIFY, ParityResult)
    assert [request.grappler for request, _ in scripted.asked] == [True, True]
    assert result.notes == PASSED.notes
