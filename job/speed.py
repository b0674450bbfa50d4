"""Make a proven model fast, and tell how fast it is; what fails here costs the speed or its figures, not the model."""

import shutil
from dataclasses import replace

import structlog

from job.errors import JobError
from job.records import ArtifactReport
from job.requests import BenchmarkRequest
from job.results import BatchMeasurement, BenchmarkResult, TuningResult
from job.settings import Settings
from job.tuning import RunStage, Search, search

log = structlog.get_logger()


def why_untuned(settings: Settings, report: ArtifactReport) -> str:
    """Return why no faster variant is looked for; empty where one is."""
    if settings.benchmark == "off":
        return "--benchmark off"
    if not settings.tune_budget:
        return "--tune-budget 0"
    if report.parity is None or report.parity.verdict != "passed":
        return "the faithful model is not proven, so that nothing can be held to it"
    return ""


def tuned(wanted: Search, stage: RunStage) -> TuningResult:
    """Return what the search for a faster variant came to."""
    try:
        return search(wanted, stage)
    except (JobError, OSError) as error:
        log.warning("tuning_failed", reason=str(error))
        return TuningResult(verdict="not_run", reason=str(error))
    finally:
        shutil.rmtree(wanted.scratch, ignore_errors=True)  # room for what is published next


def benchmarked(wanted: BenchmarkRequest, stage: RunStage) -> BenchmarkResult:
    """Return what the benchmark measured."""
    try:
        return stage("as_run", "benchmark", wanted, BenchmarkResult)
    except JobError as error:
        log.warning("benchmark_failed", reason=str(error))
        return BenchmarkResult(verdict="not_run", reason=str(error))


def withdrawn(tuning: TuningResult, measured: BenchmarkResult) -> TuningResult:
    """Take back a variant that won the race and is slower than the faithful model in the benchmark."""
    sizes = [str(one.batch_size) for one in measured.measurements if one.stable and _is_slower(one)]
    if not tuning.published or not sizes:
        return tuning
    reason = f"{tuning.published} won the race and was slower in the benchmark, at batch {', '.join(sizes)}"
    variants = tuple(
        replace(one, verdict="slower", reason=reason, laps=()) if one.verdict == "published" else one
        for one in tuning.variants
    )
    return TuningResult(verdict="none_faster", reason=reason, variants=variants)


def _is_slower(measured: BatchMeasurement) -> bool:
    over = next((one.over_candidate for one in measured.contenders if one.name == "fast"), None)
    return over is not None and over.high < 1
