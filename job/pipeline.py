"""The order of the stages: the only file that knows it."""

import shutil
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TypeVar

import structlog

from job import codec, gate, integrity, keras_file, publishing, speed, warm_up
from job.asking import Asking
from job.efforts import measuring_s
from job.errors import Internal, JobError, LocalIOError, ParityFailed, from_record
from job.logs import capture
from job.plan import deciding, plan_of, versions
from job.records import (
    Artifact,
    ArtifactOptions,
    ArtifactReport,
    Commit,
    ConvertResult,
    Finding,
    KerasResult,
    StageTiming,
)
from job.redaction import as_known
from job.report import render_html
from job.report.reproduction import command_for
from job.requests import SourceRequest
from job.results import BenchmarkResult, ParityResult, TuningResult, WarmUpResult
from job.stage_runs import StageRuns, stage_name
from job.storage.files import held_below, local_io
from job.storage.outgoing import forget_below, sent_below
from job.worker_environment import Mode
from job.workshop import Workshop

log = structlog.get_logger()

Result = TypeVar("Result")


def process(shop: Workshop, artifact: Artifact, options: ArtifactOptions) -> ArtifactReport:
    """Take one artifact from its source to its publication, and report on it whatever happens.

    Its errors end in its report, bugs of ours included: another artifact may well convert.
    """
    shop.progress.artifact_started(artifact.name)
    work = shop.scratch / uuid.uuid4().hex
    with ExitStack() as cleanup:
        for directory in (work, shop.ahead.directory_of(artifact)):
            cleanup.callback(shutil.rmtree, directory, ignore_errors=True)
        try:
            with local_io(work):
                (work / "out").mkdir(parents=True)
            with capture(work / "out" / "log.jsonl", artifact=artifact.name):
                report = Attempt(shop, artifact, options, work).run()
        except LocalIOError as error:  # not even a directory or a log can be made
            log.error("artifact_failed", artifact=artifact.name, code=error.exit_code, reason=str(error))  # noqa: TRY400 - it is no bug
            report = ArtifactReport(artifact=artifact, status="not_published", error=error.to_record())
    shop.progress.artifact_finished(report)
    shop.meter.count(report)
    return report


class Attempt:
    """One try at one artifact; `report` grows as the stages end."""

    def __init__(self, shop: Workshop, artifact: Artifact, options: ArtifactOptions, work: Path) -> None:
        self._shop, self._artifact, self._options = shop, artifact, options
        self._asking = Asking(
            settings=shop.settings,
            options=options,
            artifact=artifact,
            device=shop.device,
            pulled=shop.ahead.directory_of(artifact),
            work=work,
        )
        self._out = self._asking.out
        self._runs = StageRuns(shop.lanes, shop.settings, artifact.size_bytes, self._begun)
        self._id, self._began_s, self._at = uuid.uuid4().hex[:12], time.time(), "pull"
        environment = versions() | {"sandbox": str(shop.lanes.sandbox)}
        again = command_for(replace(shop.settings, device=shop.device.device), artifact.name)
        self.report = ArtifactReport(artifact=artifact, status="not_published", environment=environment, command=again)

    def run(self) -> ArtifactReport:
        """Pull, convert, verify, benchmark, publish."""
        log.info("artifact_started", format=self._artifact.format.value, size_bytes=self._artifact.size_bytes)
        try:
            with local_io(self._out):
                self._work()
        except JobError as error:
            self._fail(error)
        except Exception as error:  # a bug of ours costs this artifact and not the others
            self._shop.interrupts.check()  # else it may be that what it used is closed
            log.exception("bug")
            self._fail(Internal(f"{type(error).__name__}: {error}", remedy="please report it with log.jsonl"))
        return self.report

    def _work(self) -> None:
        self._pull()
        if not self._is_published():
            self._make()
            shutil.rmtree(self._asking.pulled, ignore_errors=True)  # room for what is published
            self._publish()

    def _pull(self) -> None:
        if self._artifact.problem is not None:
            raise from_record(self._artifact.problem)
        coming = partial(held_below, self._asking.pulled)
        self._shop.progress.transfer(self._artifact.name, "pull", self._artifact.size_bytes, coming)
        pulled = self._shop.ahead.take(self._artifact)
        self._ended(StageTiming(stage="pull", wall_s=pulled.wall_s))
        said = deciding(self._shop.settings, self._options, self._shop.device)
        known = self.report.environment | {"source_integrity": integrity.told(pulled.sources)}
        self._update(sources=pulled.sources, plan=plan_of(pulled.sources, versions(), said), environment=known)

    def _is_published(self) -> bool:
        dest, repair = self._shop.dest, self._shop.settings.repair
        with self._shop.lanes.transfer():  # to repair is to digest
            found = publishing.find_commit(dest, self._artifact.name, self.report.plan, repair=repair)
        if isinstance(found, Commit):
            self._update(parity=gate.as_committed(found))
            self._require_proof(f"{dest.uri}/{publishing.place_of(found)}")
            publishing.point_latest(dest, found, began_s=self._began_s)
            self._update(status="already_published", place=publishing.place_of(found))
            log.info("artifact_already_published", plan=self.report.plan, parity=found.verdict)
        return isinstance(found, Commit)

    def _make(self) -> None:
        """Convert and prove, then look for speed; what fails its parity raises `ParityFailed`."""
        source = self._asking.source()
        while unproven := [one for one in self._try(source) if one not in source.unproven]:
            log.warning("made_again", without=unproven)
            shutil.rmtree(self._asking.saved_model, ignore_errors=True)
            self._update(parity=None, as_run=None)
            source = replace(source, unproven=(*source.unproven, *unproven))
        for parity in filter(None, (self.report.parity, self.report.as_run)):
            if parity.verdict == "failed":
                self._at = stage_name(parity.mode, "verify")
                raise ParityFailed(gate.failure(parity), remedy="see the parity table in its report")
        self._require_proof()
        self._hold_in_keras(source)
        self._tune(source)
        self._benchmark(source)
        if self._asking.fast.exists():
            self._warm_up(source, self._asking.fast)

    def _require_proof(self, where: str = "") -> None:
        if self._shop.settings.require_proof:
            self._at = stage_name("exact", "verify")
            gate.check_proven(self.report.parity, where)

    def _try(self, source: SourceRequest) -> list[str]:
        """Convert and compare; return what the job added of its own and could not prove."""
        converted = self._stage("exact", "convert", self._asking.convert(source), ConvertResult)
        self._update(summary=integrity.noted(converted.summary, self.report.sources, self._shop.ahead.source.uri))
        if converted.error is not None:
            raise from_record(converted.error)
        exact = self._verify("exact", source)
        self._update(parity=exact)
        if unproven := gate.unproven(converted.summary, exact, "failed"):
            return unproven
        self._warm_up(source, self._asking.saved_model)
        as_run = self._verify("as_run", source)
        self._update(parity=gate.proven(exact, as_run), as_run=as_run)
        return gate.unproven(converted.summary, as_run, "failed") or gate.unproven(
            converted.summary, gate.proven(exact, as_run), "failed", "not_run"
        )

    def _verify(self, mode: Mode, source: SourceRequest) -> ParityResult:
        return self._stage(mode, "verify", self._asking.proof(mode, source), ParityResult)

    def _hold_in_keras(self, source: SourceRequest) -> None:
        summary = self.report.summary
        if summary is None or not keras_file.is_possible(summary):
            return
        wanted = self._asking.keras(source)
        finding = keras_file.hold(wanted, lambda stage: self._stage("exact", stage, wanted, KerasResult))
        if self._asking.keras_file.exists():
            self._asking.keras_file.rename(self._out / keras_file.NAME)
        self._note(finding)

    def _warm_up(self, source: SourceRequest, saved_model: Path) -> None:
        if not self._shop.settings.serving_warmup:
            return
        wanted = self._asking.warm_up(source, saved_model)
        self._note(warm_up.hold(wanted, lambda: self._stage("as_run", "warm_up", wanted, WarmUpResult)))

    def _note(self, finding: Finding) -> None:
        if self.report.summary is not None:
            findings = (*self.report.summary.findings, finding)
            self._update(summary=replace(self.report.summary, findings=findings))

    def _tune(self, source: SourceRequest) -> None:
        if reason := speed.why_untuned(self._shop.settings, self.report):
            self._update(tuning=TuningResult(verdict="not_run", reason=reason))
            return
        wanted = replace(self._asking.search(source, self.report.as_run), clock=self._runs.stopwatch.now)
        found = speed.tuned(wanted, self._stage)
        log.info("tuned", verdict=found.verdict, published=found.published, reason=found.reason)
        self._update(tuning=found)

    def _benchmark(self, source: SourceRequest) -> None:
        if self._shop.settings.benchmark == "off":
            self._update(benchmark=BenchmarkResult(verdict="not_run", reason="--benchmark off"))
            return
        measured = speed.benchmarked(self._asking.benchmark(source), self._stage)
        self._update(benchmark=measured)
        if self.report.tuning and self.report.tuning.published:
            tuning = speed.withdrawn(self.report.tuning, measured)
            self._update(tuning=tuning)
            if not tuning.published:
                log.info("fast_model_withdrawn", reason=tuning.reason)
                shutil.rmtree(self._asking.fast)

    def _publish(self) -> None:
        self._at, said = "publish", publishing.guarantee(self._shop.dest)
        self._update(status="published", environment=self.report.environment | said)
        self._write_report()
        gate = partial(self._shop.lanes.transfer, is_last=True)
        with self._shop.interrupts.finishing(self._out, gate), self._sending():
            outcome = publishing.publish(
                self._shop.dest,
                self.report,
                attempt=self._id,
                directory=self._out,
                began_s=self._began_s,
                allowed_ops=self._options.allow_ops,
                repair=self._shop.settings.repair,
            )
        self._update(place=publishing.place_of(outcome.commit))
        log.info("artifact_published", outcome=outcome.outcome, place=self.report.place, parity=outcome.commit.verdict)

    def _fail(self, error: JobError) -> None:
        """Publish the report alone; if even that fails, the first error is what counts.

        What fails because the job was told to end, and its scratch is gone, has not failed.
        """
        self._shop.interrupts.check()
        record = as_known(error.to_record(stage=self._at), str(self._asking.pulled))
        self._update(status="not_published", error=record)
        log.error("artifact_failed", code=error.exit_code, name=error.code_name, reason=str(from_record(record)))
        try:
            with local_io(self._out):
                self._write_report()
            with self._shop.lanes.transfer():
                place = publishing.publish_failure(
                    self._shop.dest,
                    artifact=self._artifact.name,
                    plan=self.report.plan,
                    attempt=self._id,
                    directory=self._out,
                )
        except JobError as second:
            log.warning("report_upload_failed", reason=str(second))
        except Exception:  # a report that cannot be written costs the report, and not the run
            log.exception("bug")
        else:
            self._update(place=place)
            log.info("report_published", place=place)

    def _write_report(self) -> None:
        (self._out / "report.json").write_text(codec.dumps(self.report, indent=2) + "\n", encoding="utf-8")
        html = render_html(self.report, directory=self._out, scratch=self._asking.work)
        (self._out / "report.html").write_text(html, encoding="utf-8")

    def _stage(self, mode: Mode, stage: str, request: object, kind: type[Result]) -> Result:
        """Run one stage in a worker and keep its time."""
        self._at = stage_name(mode, stage)
        self._shop.progress.stage(self._artifact.name, self._at, waits=True)
        result, timing = self._runs.run(mode, stage, request, kind)
        self._ended(timing)
        return result

    def _begun(self, stage: str, request: object) -> None:
        self._shop.progress.stage(self._artifact.name, stage, about_s=measuring_s(request))

    @contextmanager
    def _sending(self) -> Iterator[None]:
        """Show and time how what was made goes out."""
        sent = partial(sent_below, self._out)
        self._shop.progress.transfer(self._artifact.name, "publish", held_below(self._out), sent)
        start = time.monotonic()
        try:
            yield
        finally:
            forget_below(self._out)
        self._ended(StageTiming(stage="publish", wall_s=round(time.monotonic() - start, 3)))

    def _ended(self, timing: StageTiming) -> None:
        self._update(timings=(*self.report.timings, timing))
        log.info("stage_ended", stage=timing.stage, wall_s=timing.wall_s, peak_memory_bytes=timing.peak_memory_bytes)

    def _update(self, **changes: object) -> None:
        self.report = replace(self.report, **changes)  # type: ignore[arg-type]
