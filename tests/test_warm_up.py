from pathlib import Path

import pytest

from job import Settings, convert
from job.errors import Poison
from job.plan import deciding
from job.records import ArtifactOptions, DeviceReport, Finding, Format
from job.requests import SourceRequest, WarmUpRequest
from job.results import WarmUpResult
from job.warm_up import FILE, hold
from tests.fakes import put, run_here, use_fake_stages
from tests.jobs import GOLDENS


@pytest.fixture
def request_(tmp_path: Path) -> WarmUpRequest:
    source = SourceRequest(format=Format.GRAPH_DEF, directory=str(tmp_path), entry="frozen.pb")
    return WarmUpRequest(source=source, saved_model=str(tmp_path / "saved_model_fast"), reference="")


def held(request: WarmUpRequest, result: WarmUpResult | Poison) -> tuple[Finding, bool]:
    """Return what is said when the stage ends so, and whether what it wrote is still there."""

    def stage() -> WarmUpResult:
        path = Path(request.saved_model, FILE)
        path.parent.mkdir(parents=True)
        path.touch()
        if isinstance(result, Poison):
            raise result
        return result

    return hold(request, stage), Path(request.saved_model, FILE).exists()


def test_requests_that_were_answered_stay(request_: WarmUpRequest) -> None:
    """The report says which model has how many, and how large they are."""
    finding, is_there = held(request_, WarmUpResult(requests=12, size_bytes=2500))
    assert (finding.code, is_there) == ("warm_up_written", True)
    assert "saved_model_fast holds 12 warm-up requests for TF Serving, 2.5 kB" in finding.cause


@pytest.mark.parametrize("result", [WarmUpResult(reason="too large"), Poison("too large")], ids=["refused", "crashed"])
def test_what_did_not_end_is_not_published(request_: WarmUpRequest, result: WarmUpResult | Poison) -> None:
    """Half a file, or a request that was never answered, would keep servers from loading the model."""
    finding, is_there = held(request_, result)
    assert (finding.code, is_there) == ("warm_up_left_out", False)
    assert finding.cause.endswith("has no warm-up requests for TF Serving: too large")


def test_warm_up_decides_a_plan() -> None:
    """Who asks for requests afterwards gets a model with them, and not the one without that is there."""
    device = DeviceReport(device="cpu", name="")
    plans = [deciding(Settings(serving_warmup=asked), ArtifactOptions(), device) for asked in (False, True)]
    assert plans[0] != plans[1]


@pytest.mark.parametrize(("is_asked", "is_fast"), [(True, True), (True, False), (False, True)])
def test_both_models_are_warmed_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, is_asked: bool, is_fast: bool
) -> None:
    """The fast model is another one, which must answer for itself; a report tells of no model that is not there."""
    use_fake_stages(monkeypatch)
    put(tmp_path / "in", "a.pb" if is_fast else "tired.pb")
    (report,) = run_here(tmp_path, benchmark="quick", serving_warmup=is_asked).reports
    found = [path.relative_to(tmp_path / "out" / report.place).parts[0] for path in (tmp_path / "out").rglob(FILE)]
    models = ["saved_model", *(["saved_model_fast"] if is_fast else [])] if is_asked else []
    assert sorted(found) == models
    assert report.summary is not None
    told = [one.cause.split()[0] for one in report.summary.findings if one.code == "warm_up_written"]
    assert told == models


@pytest.mark.slow
@pytest.mark.parametrize("is_asked", [False, True])
def test_requests_are_published_with_the_model(tmp_path: Path, *, is_asked: bool) -> None:
    """They are among the bytes that the commit lists, and only where they were asked for."""
    settings = Settings(device="cpu", benchmark="off", tune_budget=0, sandbox="best-effort", serving_warmup=is_asked)
    converted = convert(GOLDENS / "while_loop_frozen" / "frozen.pb", tmp_path / "out", settings)
    converted.check()
    (artifact,) = converted.artifacts
    assert Path(artifact.saved_model, FILE).is_file() is is_asked
    findings = artifact.report.summary.findings if artifact.report.summary else ()
    assert ("warm_up_written" in {finding.code for finding in findings}) is is_asked
