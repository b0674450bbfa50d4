import re
from dataclasses import replace
from pathlib import Path

import pytest
import structlog
from structlog.testing import capture_logs

from job.errors import BadInput, UsageError
from job.metrics import meter_at
from job.records import ArtifactReport, Digest, StageTiming
from job.running import run
from job.settings import Settings
from job.summary import RunSummary
from tests import samples
from tests.jobs import ROOT
from tests.samples import ARTIFACT

PUBLISHED = ArtifactReport(
    artifact=ARTIFACT,
    status="published",
    sources=(Digest(key="x", size_bytes=700, sha256="0"), Digest(key="y", size_bytes=300, sha256="1")),
    timings=(
        StageTiming(stage="convert", wall_s=2.0, peak_memory_bytes=500),
        StageTiming(stage="convert", wall_s=1.5, peak_memory_bytes=400),
    ),
)
FAILED = ArtifactReport(artifact=ARTIFACT, status="not_published", error=BadInput("cut").to_record())
ENDED = RunSummary(run="r", shard_index=0, shard_count=1, exit_code=40, wall_s=9.5, reports=(PUBLISHED, FAILED))


def read(path: Path) -> dict[str, float]:
    """Return the samples of a file in Prometheus' text format."""
    lines = [line.rpartition(" ") for line in path.read_text().splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in lines}


def test_a_file_says_how_far_a_run_is(tmp_path: Path) -> None:
    """Artifacts, failures, bytes, and time and memory of stages are counted after each artifact."""
    meter = meter_at(str(tmp_path / "job.prom"))
    meter.count(PUBLISHED)
    meter.count(FAILED)
    found = read(tmp_path / "job.prom")
    assert found['tf1lift_artifacts_total{status="published"}'] == 1
    assert found['tf1lift_failures_total{code="40",name="bad_input"}'] == 1
    assert found["tf1lift_pulled_bytes_total"] == 1000
    assert found['tf1lift_stage_seconds_sum{stage="convert"}'] == 3.5
    assert found['tf1lift_stage_seconds_count{stage="convert"}'] == 2
    assert found['tf1lift_stage_peak_memory_bytes{stage="convert"}'] == 500
    assert found["tf1lift_run_exit_code"] == -1


def test_a_file_says_what_is_proven(tmp_path: Path) -> None:
    """An alert needs the models that were published uncompared, apart from those that were not published."""
    meter = meter_at(str(tmp_path / "job.prom"))
    for report in (samples.PUBLISHED, samples.UNPROVEN, samples.UNPROVEN, samples.PARITY_FAILED, FAILED):
        meter.count(report)
    counted = {name: value for name, value in read(tmp_path / "job.prom").items() if "parity_total" in name}
    assert counted == {
        'tf1lift_parity_total{status="published",verdict="passed"}': 1,
        'tf1lift_parity_total{status="published",verdict="not_run"}': 2,
        'tf1lift_parity_total{status="not_published",verdict="failed"}': 1,
    }


def test_a_file_says_how_a_run_ended(tmp_path: Path) -> None:
    """The exit code tells a run that has ended from one that lasts or died."""
    meter = meter_at(str(tmp_path / "job.prom"))
    meter.end(ENDED)
    found = read(tmp_path / "job.prom")
    assert (found["tf1lift_run_exit_code"], found["tf1lift_run_seconds"]) == (40, 9.5)
    assert [path.name for path in tmp_path.iterdir()] == ["job.prom"]


def test_a_run_that_ends_before_its_artifacts_says_so(tmp_path: Path) -> None:
    """The figures of the run before do not stay, which may have ended well."""
    path = tmp_path / "job.prom"
    meter_at(str(path)).end(replace(ENDED, exit_code=0))
    with pytest.raises(UsageError):
        run(Settings(source=str(tmp_path), dest=str(tmp_path), metrics=str(path)), {})
    found = read(path)
    assert (found["tf1lift_run_exit_code"], found["tf1lift_run_seconds"]) == (UsageError.exit_code, 0)


def test_a_file_that_cannot_be_written_costs_the_metrics_alone(tmp_path: Path) -> None:
    """The run goes on, and its log says why there are no metrics."""
    structlog.reset_defaults()
    with capture_logs() as events:
        meter_at(str(tmp_path / "missing" / "job.prom")).count(PUBLISHED)
    assert {event["event"] for event in events} == {"metrics_failed"}


def test_nobody_asked_nothing_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without ``--metrics`` there is no file, and a run costs nothing more."""
    monkeypatch.chdir(tmp_path)
    meter = meter_at("")
    meter.count(replace(PUBLISHED))
    meter.end(ENDED)
    assert list(tmp_path.iterdir()) == []


def test_documentation_names_every_metric(tmp_path: Path) -> None:
    """docs/events.md lists the metrics that a file holds."""
    meter = meter_at(str(tmp_path / "job.prom"))
    meter.count(PUBLISHED)
    meter.count(FAILED)
    document = (ROOT / "docs" / "events.md").read_text(encoding="utf-8")
    families = set(re.findall(r"^# TYPE (\w+)", (tmp_path / "job.prom").read_text(), re.MULTILINE))
    created = {family for family in families if family.endswith("_created")}
    assert families - created
    assert [family for family in families - created if family not in document] == []
