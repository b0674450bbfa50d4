import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from job import logs, pipeline, publishing, running
from job.errors import JobError, LocalIOError, StorageError
from job.pipeline import Attempt
from job.publishing import PublishOutcome
from job.records import DeviceReport
from job.report import render_html
from tests.fakes import ends, put, run_here, use_fake_stages
from tests.jobs import WITHOUT_TENSORFLOW, run_job
from tests.sources import GRAPH_DEF


@pytest.fixture(autouse=True)
def without_tensorflow(monkeypatch: pytest.MonkeyPatch) -> None:
    use_fake_stages(monkeypatch)


def published(tmp_path: Path, name: str) -> dict[str, Any]:
    """Return the report at the destination, of what was published or else of what failed."""
    (path,) = (tmp_path / "out").rglob(f"{name}/*/*/report.json")
    report: dict[str, Any] = json.loads(path.read_text())
    return report


def test_report_says_what_was_done_and_from_what(tmp_path: Path) -> None:
    """The report beside the model has the source's digests, each stage's time and both verdicts."""
    put(tmp_path / "in", "a.pb")
    summary = run_here(tmp_path)
    report = published(tmp_path, "a.pb")
    assert [timing["stage"] for timing in report["timings"]] == ["pull", "convert", "verify", "verify as run"]
    assert [timing.stage for timing in summary.reports[0].timings][-1] == "publish"
    assert (report["status"], report["error"]) == ("published", None)
    assert [(source["key"], source["size_bytes"]) for source in report["sources"]] == [("a.pb", len(GRAPH_DEF))]
    assert (report["parity"]["verdict"], report["as_run"]["verdict"]) == ("passed", "passed")
    assert report["benchmark"]["reason"] == "--benchmark off"
    assert {"sandbox", "tensorflow", "tf1lift"} <= set(report["environment"])


def test_what_the_job_added_and_cannot_prove_costs_itself_alone(tmp_path: Path) -> None:
    """A signature of the job's own that fails its parity is left out of a second conversion, which is published."""
    put(tmp_path / "in", "second.pb")
    run_here(tmp_path)
    report = published(tmp_path, "second.pb")
    assert [timing["stage"] for timing in report["timings"]].count("convert") == 2
    assert (report["status"], report["parity"]["verdict"]) == ("published", "passed")
    assert [signature["key"] for signature in report["summary"]["signatures"]] == ["y"]


def test_a_recognised_architecture_is_published_for_keras_too(tmp_path: Path) -> None:
    """The file for Keras 3 is written and proven after the SavedModel, and lies beside it; no other model has one."""
    put(tmp_path / "in", "recognised.pb", "a.pb")
    run_here(tmp_path)
    report = published(tmp_path, "recognised.pb")
    stages = [timing["stage"] for timing in report["timings"]]
    assert stages[-3:] == ["verify as run", "write_keras", "verify_keras"]
    assert report["summary"]["findings"][-1]["code"] == "keras_file"
    (file,) = (tmp_path / "out").rglob("model.keras")
    assert (file.parent / "saved_model").is_dir()
    assert file.name in (file.parent.parent / "commit.json").read_text()


def test_log_of_an_artifact_holds_its_events_alone(tmp_path: Path) -> None:
    """Whoever gets the model gets the log that made it, and nothing of its neighbours."""
    put(tmp_path / "in", "a.pb", "b.pb")
    arguments = ("--source", str(tmp_path / "in"), "--dest", str(tmp_path / "out"), "--benchmark", "off")
    assert run_job("run", *arguments, program=WITHOUT_TENSORFLOW).code == 0
    (log,) = (tmp_path / "out" / "a.pb").rglob("log.jsonl")
    events = [json.loads(line) for line in log.read_text().splitlines()]
    assert {event["artifact"] for event in events} == {"a.pb"}
    assert events[0]["event"] == "artifact_started"


@pytest.mark.parametrize(
    ("name", "code", "stages"), [("refused.pb", 42, ["pull"]), ("wrong.pb", 41, ["pull", "convert"])]
)
def test_what_fails_leaves_its_report_and_no_model(tmp_path: Path, name: str, code: int, stages: list[str]) -> None:
    """The report says why, and how far it came; it does not lie where a model would."""
    put(tmp_path / "in", name)
    assert ends(run_here(tmp_path)) == {name: code}
    report = published(tmp_path, f"_failed/{name}")
    assert (report["status"], report["error"]["exit_code"]) == ("not_published", code)
    assert [timing["stage"] for timing in report["timings"]][: len(stages)] == stages
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["_failed", "_runs"]
    files = {path.name for path in (tmp_path / "out" / "_failed").rglob("*") if path.is_file()}
    assert files == {"report.json", "report.html", "log.jsonl"}


def test_what_could_not_be_compared_is_published_and_told(tmp_path: Path) -> None:
    """Who watches the log sees the verdict of each model, of one that an earlier run has published too."""
    put(tmp_path / "in", "unproven.pb", "a.pb")
    for status in ("published", "already_published"):
        with capture_logs() as events:
            assert set(ends(run_here(tmp_path)).values()) == {status}
        told = [event["parity"] for event in events if event["event"] == f"artifact_{status}"]
        assert sorted(told) == ["not_run", "passed"]
        assert [event["unproven"] for event in events if event["event"] == "run_ended"] == [1]


def test_what_could_not_be_compared_is_no_result_where_proof_is_required(tmp_path: Path) -> None:
    """It ends with the code of a failed parity, says why and what to do, and nobody is told that answers differ."""
    put(tmp_path / "in", "unproven.pb", "a.pb")
    summary = run_here(tmp_path, require_proof=True)
    assert ends(summary) == {"unproven.pb": 41, "a.pb": "published"}
    report = published(tmp_path, "_failed/unproven.pb")
    assert report["error"]["what"] == "the answers were not compared: no sample could be run"
    assert "`samples`" in report["error"]["remedy"]
    assert "--require-proof" in report["error"]["remedy"]
    assert (report["error"]["stage"], report["parity"]["verdict"]) == ("verify", "not_run")
    assert "--require-proof" in report["command"]
    (page,) = (tmp_path / "out" / "_failed").rglob("report.html")
    assert "the answers differ" not in page.read_text()
    assert not (tmp_path / "out" / "unproven.pb").exists()


def test_what_was_published_without_proof_is_not_done_where_it_is_required(tmp_path: Path) -> None:
    """The plan is the same: it stays as it is and is not made again, and the error says where it lies."""
    put(tmp_path / "in", "unproven.pb", "a.pb")
    first = {report.artifact.name: report for report in run_here(tmp_path).reports}
    latest = tmp_path / "out" / "unproven.pb" / "latest.json"
    before = latest.read_bytes()
    second = run_here(tmp_path, require_proof=True)
    assert ends(second) == {"unproven.pb": 41, "a.pb": "already_published"}
    report = next(one for one in second.reports if one.artifact.name == "unproven.pb")
    assert report.plan == first["unproven.pb"].plan
    assert report.error is not None
    assert report.error.where.endswith(first["unproven.pb"].place)
    assert [timing.stage for timing in report.timings] == ["pull"]
    assert latest.read_bytes() == before
    assert ends(run_here(tmp_path)) == {"unproven.pb": "already_published", "a.pb": "already_published"}


def test_report_of_a_failure_says_what_was_read(tmp_path: Path) -> None:
    """What was found in an artifact before its conversion failed is in its report."""
    put(tmp_path / "in", "refused.pb")
    (report,) = run_here(tmp_path).reports
    assert report.error is not None
    assert report.summary is not None
    assert report.summary.node_count == 2


def test_secret_in_an_error_stays_out_of_the_report(tmp_path: Path) -> None:
    """Reports are published: a presigned URL in somebody's message must not travel with them."""
    put(tmp_path / "in", "leak.pb")
    run_here(tmp_path)
    texts = [path.read_text() for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert any("https://h/x?" in text for text in texts)
    assert not any("0123456789abcdef" in text for text in texts)


def test_benchmark_that_fails_costs_the_figures_and_not_the_model(tmp_path: Path) -> None:
    """What was proven is published; the report says why there are no figures."""
    put(tmp_path / "in", "unmeasurable.pb")
    with capture_logs() as events:
        summary = run_here(tmp_path, benchmark="quick")
    assert ends(summary) == {"unmeasurable.pb": "published"}
    assert "out of memory" in published(tmp_path, "unmeasurable.pb")["benchmark"]["reason"]
    assert "benchmark_failed" in [event["event"] for event in events]


def test_upload_that_fails_publishes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without its commit an attempt is in nobody's way; the artifact ends with 74 and may be tried again."""

    def publish(*_: object, **__: object) -> None:
        raise StorageError("503 SlowDown", where="s3://b", remedy="try again")

    with monkeypatch.context() as patched:
        patched.setattr(publishing, "publish", publish)
        put(tmp_path / "in", "a.pb")
        assert ends(run_here(tmp_path)) == {"a.pb": 74}
    assert not list((tmp_path / "out").rglob("commit.json"))
    assert ends(run_here(tmp_path)) == {"a.pb": "published"}


def test_what_was_pulled_is_gone_before_the_result_is_published(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that holds scratch and destination has a large artifact twice at most, beside its source."""
    real, left = publishing.publish, list[Path]()

    def publish(*of: Any, directory: Path, **how: Any) -> PublishOutcome:
        left.extend((directory.parent.parent / "pulled").rglob("*.pb"))
        return real(*of, directory=directory, **how)

    monkeypatch.setattr(publishing, "publish", publish)
    put(tmp_path / "in", "a.pb")
    assert ends(run_here(tmp_path)) == {"a.pb": "published"}
    assert left == []


def test_first_error_counts_where_the_report_cannot_be_stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that fails while a refusal is reported does not turn the refusal into a fault that is tried again."""

    def publish_failure(*_: object, **__: object) -> str:
        raise StorageError("503 SlowDown")

    monkeypatch.setattr(publishing, "publish_failure", publish_failure)
    put(tmp_path / "in", "refused.pb")
    with capture_logs() as events:
        summary = run_here(tmp_path)
    assert ends(summary) == {"refused.pb": 42}
    assert "report_upload_failed" in [event["event"] for event in events]


@pytest.mark.parametrize("step", ["capture", "_write_report"])
def test_full_scratch_is_told_of_the_artifact(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    """No directory, no log and no report can be made on a full disk: code 71, and the next artifact is tried."""
    full: JobError | OSError = LocalIOError("full") if step == "capture" else OSError(28, "No space left on device")
    real = logs.capture

    @contextmanager
    def capture(path: Path, *, artifact: str) -> Iterator[None]:
        if artifact == "a.pb":
            raise full
        with real(path, artifact=artifact):
            yield

    write_report = Attempt._write_report

    def write(self: Attempt) -> None:
        if self._artifact.name == "a.pb":
            raise full
        write_report(self)

    monkeypatch.setattr(pipeline, "capture", capture) if step == "capture" else monkeypatch.setattr(
        Attempt, step, write
    )
    put(tmp_path / "in", "a.pb", "b.pb")
    assert ends(run_here(tmp_path)) == {"a.pb": 71, "b.pb": "published"}


@pytest.mark.parametrize(
    ("name", "words", "retries"), [("kill.pb", "SIGKILL", 1), ("hang.pb", "did not end", 0), ("grow.pb", "memory", 0)]
)
def test_stage_whose_worker_crashed_is_run_once_more(tmp_path: Path, name: str, words: str, retries: int) -> None:
    """A crash may be the machine's, a time-out and what a stage says itself are not: 47 after two crashes."""
    put(tmp_path / "in", name)
    with capture_logs() as events:
        summary = run_here(tmp_path, stage_timeout_s=2)
    assert ends(summary) == {name: 47}
    assert words in (summary.reports[0].error.what if summary.reports[0].error else "")
    assert [event["stage"] for event in events if event["event"] == "stage_retried"] == ["convert"] * retries


def test_graph_that_grappler_does_not_end_is_published_with_a_note(tmp_path: Path) -> None:
    """A chain of 10,000 nodes takes it minutes: compared without it the model is proven, and the report says so."""
    put(tmp_path / "in", "tangled.pb")
    assert ends(run_here(tmp_path, stage_timeout_s=2)) == {"tangled.pb": "published"}
    (note,) = published(tmp_path, "tangled.pb")["as_run"]["notes"]
    assert "without Grappler" in note
    assert "did not end" in note


def test_artifact_has_a_time_for_all_its_stages(tmp_path: Path) -> None:
    """What is left of it is the last stage's; another artifact has a time of its own."""
    put(tmp_path / "in", "hang.pb", "well.pb")
    with capture_logs():
        summary = run_here(tmp_path, item_timeout_s=5)
    assert ends(summary) == {"hang.pb": 47, "well.pb": "published"}
    assert "--item-timeout-s" in (summary.reports[0].error.remedy if summary.reports[0].error else "")


def test_crash_leaves_nothing_in_the_way_of_the_second_try(tmp_path: Path) -> None:
    """What a crashed conversion has half written is gone before the next one writes."""
    put(tmp_path / "in", "halfway.pb")
    with capture_logs() as events:
        assert ends(run_here(tmp_path)) == {"halfway.pb": "published"}
    assert "stage_retried" in [event["event"] for event in events]
    assert not list((tmp_path / "out").rglob("half"))


@pytest.mark.parametrize("fails", ["always", "once"])
def test_report_that_cannot_be_written_costs_its_artifact_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: str
) -> None:
    """A bug in what makes the pages neither ends the run nor keeps its summary from being written."""
    real, calls = render_html, list[str]()

    def render(report: Any, **where: Any) -> str:
        calls.append(report.artifact.name)
        is_bad = report.artifact.name == "a.pb" and (fails == "always" or calls.count("a.pb") == 1)
        return str(1 // 0) if is_bad else real(report, **where)

    monkeypatch.setattr(pipeline, "render_html", render)
    put(tmp_path / "in", "a.pb", "b.pb")
    summary = run_here(tmp_path)
    assert ends(summary) == {"a.pb": 70, "b.pb": "published"}
    assert bool(summary.reports[0].place) == (fails == "once")
    assert (tmp_path / "out" / "_runs" / summary.run / "shard-0.json").is_file()


def test_plan_holds_the_device_that_was_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``auto`` on a machine with a GPU is another result than on one without, which is that of ``cpu``."""
    put(tmp_path / "in", "a.pb")
    plans = [run_here(tmp_path, device=device).reports[0].plan for device in ("cpu", "auto")]
    gpu = DeviceReport(device="gpu", name="G")
    monkeypatch.setattr(running, "probe_device", lambda *_: gpu)
    plans.append(run_here(tmp_path, device="auto").reports[0].plan)
    assert plans[0] == plans[1] != plans[2]


def test_reports_are_utf8_whatever_the_locale(tmp_path: Path) -> None:
    """A slim image may have no locale: no file of a report is written in whatever encoding that means."""
    put(tmp_path / "in", "a.pb")
    arguments = ("--source", str(tmp_path / "in"), "--dest", str(tmp_path / "out"), "--benchmark", "off")
    strict = {"PYTHONWARNDEFAULTENCODING": "1", "PYTHONWARNINGS": "error::EncodingWarning:job.pipeline"}
    ended = run_job("run", *arguments, program=WITHOUT_TENSORFLOW, extra=strict)
    assert ended.code == 0, ended.stderr[-500:]
