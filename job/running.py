"""A whole run: find the artifacts, take this shard's, process them, and end with one exit code."""

import signal
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType

import structlog

from job import codec, pipeline, publishing
from job.console import progress
from job.discovery import discover
from job.errors import Denied, Interrupted, JobError, LocalIOError, NoInput, UsageError, exit_code_of
from job.manifest import Manifest, load_manifest
from job.pipeline import Workshop
from job.pulling import pull_file
from job.records import Artifact, ArtifactOptions, ArtifactReport, DeviceReport, DeviceRequest
from job.report import render_index
from job.settings import Settings, shard_from
from job.sharding import share_of
from job.storage import open_source, open_storage
from job.storage.base import Storage
from job.workers import Forkserver

log = structlog.get_logger()

FATAL = (Denied.exit_code, Interrupted.exit_code)
"""Codes after which no other artifact would fare better."""


@dataclass(frozen=True, kw_only=True)
class RunSummary:
    """What a run ended with: ``_runs/<run>/shard-<n>.json``."""

    run: str
    shard_index: int
    shard_count: int
    exit_code: int
    wall_s: float
    reports: tuple[ArtifactReport, ...]


def run(settings: Settings, environment: Mapping[str, str]) -> RunSummary:
    """Convert everything in this shard of the source.

    Raises `UsageError`, `NoInput`, `Denied`, `DeviceError` and what else ends a run before it
    has begun; an artifact's errors are in its report.
    """
    start = time.monotonic()
    index, count = shard_from(settings, environment)
    check_apart(settings.source, settings.dest)
    with ExitStack() as cleanup:
        cleanup.enter_context(_signals())
        scratch = cleanup.enter_context(_scratch(settings))
        forkservers = {
            mode: cleanup.enter_context(Forkserver(mode, scratch, environment)) for mode in ("exact", "as_run")
        }
        source, dest = open_source(settings.source), open_storage(settings.dest)
        listing = discover(source, only=settings.only)
        manifest = read_manifest(settings, [artifact.name for artifact in listing.artifacts], scratch)
        mine = share_of(listing.artifacts, index=index, count=count)
        log.info(
            "run_started",
            artifacts=len(listing.artifacts),
            mine=len(mine),
            left_alone=len(listing.left_alone),
            shard=index,
            shards=count,
        )
        run_id = _begin(dest, index)
        device = probe_device(forkservers["as_run"], settings) if mine else DeviceReport(device="cpu", name="")
        shown = cleanup.enter_context(progress(len(mine)))
        shop = Workshop(
            settings=settings,
            source=source,
            dest=dest,
            scratch=scratch,
            device=device,
            forkservers=forkservers,
            progress=shown,
        )
        reports = _process_all(shop, mine, manifest)
        summary = RunSummary(
            run=run_id,
            shard_index=index,
            shard_count=count,
            exit_code=exit_code_of(_codes(reports, len(mine))),
            wall_s=round(time.monotonic() - start, 3),
            reports=tuple(reports),
        )
        _end(dest, summary)
    log.info("run_ended", exit_code=summary.exit_code, wall_s=summary.wall_s, **_counts(summary.reports))
    return summary


def check_apart(source: str, dest: str) -> None:
    """Raise `UsageError` where results would become sources, or one of the two is not named."""
    for name, uri in (("source", source), ("dest", dest)):
        if not uri:
            raise UsageError(f"--{name} is not set", remedy=f"pass --{name} URI or set JOB_{name.upper()}")
    inside, outside = (_absolute(uri) for uri in (dest, source))
    if inside == outside or inside.startswith(f"{outside}/"):
        raise UsageError(
            "the destination lies inside the source: the next run would convert its own results",
            where=dest,
            remedy="choose a destination beside the source",
        )


def read_manifest(settings: Settings, names: Sequence[str], scratch: Path) -> Manifest:
    """Return the user's manifest, an empty one if there is none; warns about entries that fit nothing."""
    if not settings.manifest:
        return Manifest()
    try:
        path = pull_file(settings.manifest, scratch)
    except NoInput as error:
        raise UsageError("there is no manifest", where=settings.manifest, remedy="check --manifest") from error
    manifest = load_manifest(path.read_text(encoding="utf-8", errors="replace"), settings.manifest)
    for glob in manifest.unmatched(names):
        log.warning("manifest_entry_unused", match=glob)
    return manifest


def options_of(settings: Settings, manifest: Manifest, artifact: Artifact, scratch: Path) -> ArtifactOptions:
    """Return what is said about one artifact, its recorded arrays pulled; their paths are relative to the manifest."""
    options = manifest.options_for(artifact.name)
    pulled = {name: _pulled(settings, getattr(options, name), scratch) for name in ("samples", "goldens")}
    return replace(options, allow_nonfinite=options.allow_nonfinite or settings.allow_nonfinite, **pulled)


def probe_device(forkserver: Forkserver, settings: Settings) -> DeviceReport:
    """Find out where models will run; raises `DeviceError` where a GPU is required and cannot be used."""
    device, _ = forkserver.run(
        "probe_device", DeviceRequest(device=settings.device), DeviceReport, timeout_s=settings.stage_timeout_s
    )
    log.info("device_chosen", device=device.device, name=device.name)
    return device


def _process_all(shop: Workshop, mine: Sequence[Artifact], manifest: Manifest) -> list[ArtifactReport]:
    reports = list[ArtifactReport]()
    for artifact in mine:
        try:
            options = options_of(shop.settings, manifest, artifact, shop.scratch)
            reports.append(pipeline.process(shop, artifact, options))
        except Interrupted as error:
            log.warning("run_interrupted", reason=str(error), left=len(mine) - len(reports))
            break
        error_code = reports[-1].error.exit_code if reports[-1].error else 0
        if error_code in FATAL:
            break
    return reports


def _codes(reports: Sequence[ArtifactReport], expected: int) -> Iterator[int]:
    yield from (report.error.exit_code for report in reports if report.error)
    if len(reports) < expected and not any(report.error and report.error.exit_code in FATAL for report in reports):
        yield Interrupted.exit_code


def _counts(reports: Sequence[ArtifactReport]) -> dict[str, int]:
    statuses = [report.status for report in reports]
    return {status: statuses.count(status) for status in ("published", "already_published", "not_published")}


def _begin(dest: Storage, shard: int) -> str:
    """Write the run's first file: a destination that cannot be written is found before the work."""
    run_id = f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{uuid.uuid4().hex[:6]}"
    dest.replace(f"_runs/{run_id}/shard-{shard}.started", b"")
    return run_id


def _end(dest: Storage, summary: RunSummary) -> None:
    """Publish the run's summary; that this fails changes nothing about what is published."""
    home = f"_runs/{summary.run}"
    try:
        dest.replace(f"{home}/shard-{summary.shard_index}.json", codec.dumps(summary, indent=2).encode() + b"\n")
        dest.replace(
            f"{home}/index-{summary.shard_index}.html", render_index(summary.reports, links=_links(summary)).encode()
        )
    except JobError as error:
        log.warning("summary_upload_failed", reason=str(error))


def _links(summary: RunSummary) -> dict[str, str]:
    """Return where each report lies, seen from the run's index."""
    return {report.artifact.name: f"../../{report.place}/report.html" for report in summary.reports if report.place}


def _pulled(settings: Settings, name: str, scratch: Path) -> str:
    if not name:
        return ""
    base = settings.manifest.rpartition("/")[0]
    uri = name if "://" in name or name.startswith("/") or not base else f"{base}/{name}"
    return str(pull_file(uri, scratch))


def _absolute(uri: str) -> str:
    return uri.rstrip("/") if "://" in uri else str(Path(uri).resolve())


@contextmanager
def _scratch(settings: Settings) -> Iterator[Path]:
    try:
        with tempfile.TemporaryDirectory(
            prefix="tf1lift-", dir=settings.scratch or None, ignore_cleanup_errors=True
        ) as directory:
            yield Path(directory)
    except (FileNotFoundError, PermissionError, NotADirectoryError) as error:
        if error.filename and settings.scratch and str(error.filename).startswith(settings.scratch):
            raise LocalIOError(
                f"the scratch directory cannot be used: {error.strerror}",
                where=settings.scratch,
                remedy="choose another --scratch",
            ) from error
        raise


@contextmanager
def _signals() -> Iterator[None]:
    """Turn SIGTERM and SIGINT into `Interrupted`, wherever the supervisor waits."""

    def interrupt(number: int, _: FrameType | None) -> None:
        raise Interrupted(f"{signal.Signals(number).name} came", remedy="run again: what is committed is skipped")

    previous = {number: signal.signal(number, interrupt) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
