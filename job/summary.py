"""What a run leaves behind beside its artifacts: ``_runs/<run>/shard-<n>.json``, and an index of the reports."""

import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import structlog

from job import codec, wording
from job.errors import JobError
from job.records import ArtifactReport, LeftAlone
from job.report import render_index
from job.storage.base import Storage

log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True)
class RunSummary:
    """What one shard of a run ended with: ``shard-<n>.json`` is this record.

    `left_alone` is what is no part of any artifact: in the archives of this shard, and of the
    source itself where it is the first one. `schema_version` is as in `ArtifactReport`.
    """

    run: str
    shard_index: int
    shard_count: int
    exit_code: int
    wall_s: float
    reports: tuple[ArtifactReport, ...]
    left_alone: tuple[LeftAlone, ...] = ()
    schema_version: Literal[1] = 1

    @property
    def index(self) -> str:
        """Return where the index of the reports lies, below the destination."""
        return f"_runs/{self.run}/index-{self.shard_index}.html"


def new_run() -> str:
    """Return a name for a run that no other one has; names sort by time."""
    return f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{uuid.uuid4().hex[:6]}"


def publish_summary(dest: Storage, summary: RunSummary) -> None:
    """Publish what a run ended with; that this fails changes nothing about what is published."""
    document = f"_runs/{summary.run}/shard-{summary.shard_index}.json"
    index = render_index(
        summary.reports,
        left_alone=summary.left_alone,
        links=_links(summary.reports),
        told=_told(summary),
        document=document.rpartition("/")[2],
    )
    try:
        dest.create(document, codec.document(summary))
        dest.create(summary.index, index.encode())
    except JobError as error:
        log.warning("summary_upload_failed", reason=str(error))


def counts(reports: Sequence[ArtifactReport]) -> dict[str, int]:
    """Return how many artifacts ended with each status."""
    statuses = [report.status for report in reports]
    return {status: statuses.count(status) for status in ("published", "already_published", "not_published")}


def unproven(reports: Sequence[ArtifactReport]) -> int:
    """Return how many of the published, by this run or before it, were not compared."""
    return sum(one.error is None and one.parity is not None and one.parity.verdict == "not_run" for one in reports)


def totals(reports: Sequence[ArtifactReport]) -> dict[str, int]:
    """Return the counts, how many of the published are unproven, and what the run has pulled in bytes."""
    pulled_bytes = sum(source.size_bytes for one in reports for source in one.sources)
    return {**counts(reports), "unproven": unproven(reports), "pulled_bytes": pulled_bytes}


def _told(summary: RunSummary) -> dict[str, str]:
    """Return what the index says of a run as a whole."""
    return {
        "Run": summary.run,
        "Shard": f"{summary.shard_index} of {summary.shard_count}, counted from 0",
        "Exit code": str(summary.exit_code),
        "Took": f"{wording.figure(summary.wall_s)} s",
    }


def _links(reports: Sequence[ArtifactReport]) -> dict[str, str]:
    """Return where each report lies, seen from the run's index."""
    return {report.artifact.name: f"../../{report.place}/report.html" for report in reports if report.place}
