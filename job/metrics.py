"""What a run counts, in Prometheus' text format, for a collector that reads files (``--metrics FILE``).

The file is written whole after every artifact and at the end, so that it can be scraped at any time. Names and
units follow https://prometheus.io/docs/practices/naming/.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Protocol

import structlog

from job.errors import JobError
from job.records import ArtifactReport
from job.summary import RunSummary

log = structlog.get_logger()

PREFIX: Final = "tf1lift_"


class Meter(Protocol):
    """What counts a run."""

    def count(self, report: ArtifactReport) -> None:
        """Count an artifact that is done."""

    def end(self, summary: RunSummary) -> None:
        """Note how the run ended."""

    def fail(self, exit_code: int) -> None:
        """Note that the run ended before or beside its artifacts."""


class Silent:
    """The meter of a run that nobody asked for metrics."""

    def count(self, report: ArtifactReport) -> None:
        """See `Meter`."""

    def end(self, summary: RunSummary) -> None:
        """See `Meter`."""

    def fail(self, exit_code: int) -> None:
        """See `Meter`."""


class PrometheusFile:
    """A meter that keeps `path` up to date; that it cannot be written costs the metrics and not the run."""

    def __init__(self, path: Path) -> None:
        import prometheus_client as prometheus  # noqa: PLC0415 - only those who ask for metrics need it

        self._path, self._write = path, prometheus.write_to_textfile
        self._registry = prometheus.CollectorRegistry()
        self._lock = threading.Lock()
        self._artifacts = self._made(prometheus.Counter, "artifacts", "Artifacts by how they ended.", "status")
        self._failures = self._made(prometheus.Counter, "failures", "Failed artifacts by exit code.", "code", "name")
        said = "Artifacts by parity verdict, and by how they ended."
        self._parity = self._made(prometheus.Counter, "parity", said, "verdict", "status")
        self._pulled = self._made(prometheus.Counter, "pulled_bytes", "Bytes pulled from the source.")
        self._stages = self._made(prometheus.Summary, "stage_seconds", "Wall time of stages.", "stage")
        self._memory = self._made(prometheus.Gauge, "stage_peak_memory_bytes", "Largest peak of a stage.", "stage")
        self._wall = self._made(prometheus.Gauge, "run_seconds", "Wall time of the run, once it has ended.")
        self._code = self._made(prometheus.Gauge, "run_exit_code", "Exit code of the run; -1 while it lasts.")
        self._code.set(-1)
        self._save()

    def count(self, report: ArtifactReport) -> None:
        """See `Meter`; artifacts end in several threads."""
        with self._lock:
            self._count(report)
            self._save()

    def _count(self, report: ArtifactReport) -> None:
        self._artifacts.labels(status=report.status).inc()
        if report.parity is not None:
            self._parity.labels(verdict=report.parity.verdict, status=report.status).inc()
        if report.error is not None:
            self._failures.labels(code=str(report.error.exit_code), name=report.error.code_name).inc()
        self._pulled.inc(sum(source.size_bytes for source in report.sources))
        for timing in report.timings:
            self._stages.labels(stage=timing.stage).observe(timing.wall_s)
            peak = self._memory.labels(stage=timing.stage)
            peak.set(max(peak._value.get(), timing.peak_memory_bytes))  # noqa: SLF001 - a gauge has no public reader

    def end(self, summary: RunSummary) -> None:
        """See `Meter`."""
        self._wall.set(summary.wall_s)
        self._code.set(summary.exit_code)
        self._save()

    def fail(self, exit_code: int) -> None:
        """See `Meter`."""
        self._code.set(exit_code)
        self._save()

    def _made(self, kind: Callable[..., Any], name: str, says: str, *labels: str) -> Any:
        return kind(PREFIX + name, says, labelnames=labels, registry=self._registry)

    def _save(self) -> None:
        try:
            self._write(str(self._path), self._registry)
        except OSError as error:
            log.warning("metrics_failed", reason=f"{self._path}: {error.strerror or error}")


def meter_at(path: str) -> Meter:
    """Return what counts a run into the file `path`; empty: nothing."""
    return PrometheusFile(Path(path)) if path else Silent()


@contextmanager
def metered(path: str) -> Iterator[Meter]:
    """Count a run into the file `path`, in place of the run before; what ends it early is told there, too."""
    meter = meter_at(path)
    try:
        yield meter
    except JobError as error:
        meter.fail(error.exit_code)
        raise
