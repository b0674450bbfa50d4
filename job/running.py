"""A whole run: find the artifacts, take this shard's, process them, and end with one exit code."""

import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import structlog

from job import codec
from job.batch import process_all
from job.console import progress
from job.discovery import discover
from job.errors import (
    DeviceError,
    Interrupted,
    JobError,
    LocalIOError,
    NoInput,
    Poison,
    UsageError,
    exit_code_of,
)
from job.interrupts import interruptible
from job.manifest import Manifest, load_manifest
from job.naming import may_match_below
from job.pinned import pull_op_library
from job.pipeline import Workshop
from job.pulling import PullAhead, pull_file, with_assets
from job.records import Artifact, ArtifactOptions, ArtifactReport, DeviceReport, Format
from job.report import render_index
from job.requests import DeviceRequest
from job.scratch import scratch_directory
from job.settings import Settings, misspelt, shard_from
from job.sharding import share_of
from job.storage import open_source, open_storage
from job.storage.base import Storage
from job.workers import MODES, Forkserver, Mode

log = structlog.get_logger()


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
    has begun; an artifact's errors are in its report. A signal ends it with code 75, in the
    summary once artifacts are at work and as `Interrupted` before that.
    """
    start = time.monotonic()
    shard = shard_from(settings, environment)
    check_apart(settings.source, settings.dest)
    for name, known in misspelt(environment).items():
        log.warning("variable_ignored", variable=name, remedy=f"did you mean {known}?")
    with ExitStack() as cleanup:
        cleanup.enter_context(interruptible())
        scratch = cleanup.enter_context(scratch_directory(settings.scratch))
        forkservers: dict[Mode, Forkserver] = {
            mode: cleanup.enter_context(Forkserver(mode, scratch, environment)) for mode in MODES
        }
        source, dest = open_source(settings.source), open_storage(settings.dest)
        mine, manifest = _share(settings, source, scratch, shard)
        options_for = partial(options_of, settings, manifest, scratch=scratch)
        options = [options_for(artifact) for artifact in mine]
        mine = tuple(map(with_assets, mine, options))
        check_writable(dest)
        shop = Workshop(
            settings=settings,
            dest=dest,
            scratch=scratch,
            device=probe_device(forkservers["as_run"], settings) if mine else DeviceReport(device="cpu", name=""),
            forkservers=forkservers,
            progress=cleanup.enter_context(progress(len(mine))),
            ahead=PullAhead(source, scratch, mine),
        )
        reports, is_interrupted = process_all(shop, list(zip(mine, options, strict=True)), options_for)
        codes = _codes(reports, is_interrupted=is_interrupted)
        summary = _summary(reports, exit_code_of(codes), shard, wall_s=round(time.monotonic() - start, 3))
        _end(dest, summary)
    log.info("run_ended", exit_code=summary.exit_code, wall_s=summary.wall_s, **_counts(summary.reports))
    return summary


def check_apart(source: str, dest: str) -> None:
    """Raise `UsageError` where results would become sources, or one of the two is not named."""
    for name, uri in (("source", source), ("dest", dest)):
        if not uri:
            raise UsageError(f"--{name} is not set", remedy=f"pass --{name} URI or set JOB_{name.upper()}")
    inside, outside = (_absolute(uri) for uri in (dest, source))
    if inside == outside or inside.startswith(f"{outside.rstrip('/')}/"):
        what = "the destination is the source" if inside == outside else "the destination lies inside the source"
        raise UsageError(
            f"{what}: the next run would convert its own results",
            where=dest,
            remedy="choose a destination beside the source",
        )


def check_writable(dest: Storage) -> None:
    """Find out before any work that the destination cannot be written to; raises what the store raises."""
    try:
        is_strong = dest.supports_create_only()
    except LocalIOError as error:
        what = f"the destination cannot be written to ({error.what})"
        raise LocalIOError(what, where=error.where, remedy=error.remedy) from error
    if not is_strong:
        log.warning(
            "destination_is_weak",
            destination=dest.uri,
            cause="the store overwrites what exists, whatever is asked: of two jobs at one artifact the last one wins",
            remedy="let only one job at a time write there",
        )


def read_manifest(settings: Settings, artifacts: Sequence[Artifact], scratch: Path) -> Manifest:
    """Return the user's manifest, an empty one if there is none; warns about entries that fit nothing."""
    if not settings.manifest:
        return Manifest()
    try:
        path = pull_file(settings.manifest, scratch)
    except NoInput as error:
        raise UsageError("there is no manifest", where=settings.manifest, remedy="check --manifest") from error
    manifest = load_manifest(path.read_text(encoding="utf-8", errors="replace"), settings.manifest)
    archives = [artifact.name for artifact in artifacts if artifact.format is Format.ARCHIVE]
    for glob in manifest.unmatched(artifact.name for artifact in artifacts):
        if any(may_match_below(archive, glob) for archive in archives):
            continue
        log.warning("manifest_entry_unused", match=glob)
    return manifest


def options_of(settings: Settings, manifest: Manifest, artifact: Artifact, scratch: Path) -> ArtifactOptions:
    """Return what is said about one artifact, its recorded arrays pulled; their paths are relative to the manifest."""
    options = manifest.options_for(artifact.name)
    try:
        samples, goldens = (_pulled(settings, name, scratch) for name in (options.samples, options.goldens))
    except NoInput as error:
        remedy = "correct the manifest: paths in it are relative to it"
        raise UsageError("a file that the manifest names is not there", where=error.where, remedy=remedy) from error
    return replace(
        options,
        samples=samples,
        goldens=goldens,
        allow_nonfinite=options.allow_nonfinite or settings.allow_nonfinite,
        allow_lambda=options.allow_lambda or settings.allow_lambda,
        batch_norm=options.batch_norm if settings.batch_norm == "auto" else settings.batch_norm,
        ema="on" if settings.ema == "on" else options.ema,
        free_batch=options.free_batch or settings.free_batch,
        op_libraries=_op_libraries(settings, options, scratch),
    )


def _op_libraries(settings: Settings, options: ArtifactOptions, scratch: Path) -> tuple[str, ...]:
    """Return the setting's library and the manifest's, pulled; the latter's paths are relative to the manifest."""
    base = settings.manifest.rpartition("/")[0]
    wanted = [(settings.op_library, "")] if settings.op_library else []
    wanted += [(library, base) for library in options.op_libraries]
    return tuple(pull_op_library(text, base, scratch) for text, base in wanted)


def probe_device(forkserver: Forkserver, settings: Settings) -> DeviceReport:
    """Find out where models will run.

    Raises `DeviceError` where a GPU is required and cannot be used, and where asking for it ends the worker.
    """
    request = DeviceRequest(device=settings.device)
    try:
        device, _ = forkserver.run("probe_device", request, DeviceReport, timeout_s=settings.stage_timeout_s)
    except Poison as error:
        remedy = "check driver and CUDA libraries, or choose --device cpu"
        raise DeviceError(f"no device could be found: {error.what}", remedy=remedy) from error
    log.info("device_chosen", device=device.device, name=device.name, asked=settings.device)
    if settings.device == "auto" and device.device == "cpu":
        log.warning("no_gpu", cause="TensorFlow sees no GPU: models run on the CPU", remedy="see --device gpu")
    return device


def _share(
    settings: Settings, source: Storage, scratch: Path, shard: tuple[int, int]
) -> tuple[tuple[Artifact, ...], Manifest]:
    """Return this shard's artifacts, and what is said about them."""
    index, count = shard
    listing = discover(source, only=settings.only, all_forms=settings.all_forms)
    manifest = read_manifest(settings, listing.artifacts, scratch)
    mine = share_of(listing.artifacts, index=index, count=count)
    log.info(
        "run_started",
        artifacts=len(listing.artifacts),
        mine=len(mine),
        left_alone=len(listing.left_alone),
        shard=index,
        shards=count,
    )
    if not mine:
        log.info("shard_empty", cause=f"nothing for index {index} of {count}: its artifacts are other shards'")
    return mine, manifest


def _codes(reports: Sequence[ArtifactReport], *, is_interrupted: bool) -> Iterator[int]:
    yield from (report.error.exit_code if report.error else 0 for report in reports)
    if is_interrupted:
        yield Interrupted.exit_code


def _counts(reports: Sequence[ArtifactReport]) -> dict[str, int]:
    statuses = [report.status for report in reports]
    return {status: statuses.count(status) for status in ("published", "already_published", "not_published")}


def _summary(reports: Sequence[ArtifactReport], exit_code: int, shard: tuple[int, int], *, wall_s: float) -> RunSummary:
    return RunSummary(
        run=f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{uuid.uuid4().hex[:6]}",
        shard_index=shard[0],
        shard_count=shard[1],
        exit_code=exit_code,
        wall_s=wall_s,
        reports=tuple(reports),
    )


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
    path = uri.removeprefix("file://")
    return path.rstrip("/") if "://" in path else str(Path(path).resolve())
