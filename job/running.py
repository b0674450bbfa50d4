"""A whole run: find the artifacts, take this shard's, process them, and end with one exit code."""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final

import structlog

from job.archives import nothing_fits
from job.batch import Batch, OptionsFor, Work, process_all
from job.console import progress
from job.discovery import discover
from job.errors import (
    DeviceError,
    Interrupted,
    LocalIOError,
    NoInput,
    Poison,
    UsageError,
    exit_code_of,
)
from job.given_graph import with_given_graph
from job.interrupts import interruptible
from job.manifest import Manifest, load_manifest
from job.naming import may_match_below
from job.pinned import pull_op_library
from job.pipeline import Workshop
from job.pulling import PullAhead, beside, pull_file, with_assets
from job.records import Artifact, ArtifactOptions, DeviceReport, Format, Listing
from job.requests import DeviceRequest
from job.scratch import scratch_directory
from job.settings import Settings, misspelt, shard_from
from job.sharding import share_of
from job.storage import open_source, open_storage
from job.storage.base import Storage
from job.summary import RunSummary, counts, new_run, publish_summary
from job.workers import MODES, Forkserver, Mode

log = structlog.get_logger()

WHOLE: Final = (0, 1)
"""The one shard of a run that has no others."""


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
        listing = discover(source, only=settings.only, all_forms=settings.all_forms)
        manifest = read_manifest(settings, listing.artifacts, scratch)
        options_for = partial(options_of, settings, manifest, scratch=scratch)
        work = _share(listing, shard, options_for)
        check_writable(dest)
        shop = Workshop(
            settings=settings,
            dest=dest,
            scratch=scratch,
            device=probe_device(forkservers["as_run"], settings) if work else DeviceReport(device="cpu", name=""),
            forkservers=forkservers,
            progress=cleanup.enter_context(progress(len(work))),
            ahead=PullAhead(source, scratch, [artifact for artifact, _ in work]),
        )
        done = process_all(shop, work, options_for)
        if shard == WHOLE and not done.is_interrupted:  # else what is in the other archives is not known
            _check_used(settings, manifest, listing.artifacts, [report.artifact for report in done.reports])
        summary = _summary(done, listing, shard, wall_s=round(time.monotonic() - start, 3))
        publish_summary(dest, summary)
    log.info("run_ended", exit_code=summary.exit_code, wall_s=summary.wall_s, **counts(summary.reports))
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
    _warn_of_unused(glob for glob in _unmatched(manifest, artifacts) if not _may_fit_in_archive(glob, artifacts))
    return manifest


def _check_used(
    settings: Settings, manifest: Manifest, listed: Sequence[Artifact], processed: Sequence[Artifact]
) -> None:
    """Tell, once the archives were open, which globs have fitted nothing; raises `NoInput` if ``--only`` is one."""
    if not processed:
        raise nothing_fits(settings.only, settings.source)
    unmatched = _unmatched(manifest, [*listed, *processed])
    _warn_of_unused(glob for glob in unmatched if _may_fit_in_archive(glob, listed))


def _unmatched(manifest: Manifest, artifacts: Iterable[Artifact]) -> tuple[str, ...]:
    return manifest.unmatched(artifact.name for artifact in artifacts)


def _may_fit_in_archive(glob: str, artifacts: Iterable[Artifact]) -> bool:
    return any(may_match_below(one.name, glob) for one in artifacts if one.format is Format.ARCHIVE)


def _warn_of_unused(globs: Iterable[str]) -> None:
    for glob in globs:
        log.warning("manifest_entry_unused", match=glob)


def options_of(settings: Settings, manifest: Manifest, artifact: Artifact, scratch: Path) -> ArtifactOptions:
    """Return what is said about one artifact, its recorded arrays pulled; their paths are relative to the manifest."""
    options = manifest.options_for(artifact.name)
    try:
        samples, goldens = (_pulled(settings, name, scratch) for name in (options.samples, options.goldens))
    except NoInput as error:
        remedy = "correct the manifest: paths in it are relative to it"
        raise UsageError("a file that the manifest names is not there", where=error.where, remedy=remedy) from error
    return replace(
        with_given_graph(options, settings, artifact, scratch),
        samples=samples,
        goldens=goldens,
        allow_nonfinite=options.allow_nonfinite or settings.allow_nonfinite,
        allow_lambda=options.allow_lambda or settings.allow_lambda,
        batch_norm=options.batch_norm if settings.batch_norm == "auto" else settings.batch_norm,
        dropout=options.dropout if settings.dropout == "auto" else settings.dropout,
        ema=options.ema if settings.ema == "auto" else settings.ema,
        free_batch=options.free_batch or settings.free_batch,
        target_tf=options.target_tf if settings.target_tf == "running" else settings.target_tf,
        op_libraries=_op_libraries(settings, options, scratch),
    )


def _op_libraries(settings: Settings, options: ArtifactOptions, scratch: Path) -> tuple[str, ...]:
    """Return the setting's library and the manifest's, pulled; the latter's paths are relative to the manifest."""
    wanted = [(settings.op_library, "")] if settings.op_library else []
    wanted += [(library, settings.manifest) for library in options.op_libraries]
    return tuple(pull_op_library(text, said_in, scratch) for text, said_in in wanted)


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


def _share(listing: Listing, shard: tuple[int, int], options_for: OptionsFor) -> Work:
    """Return this shard's artifacts, each with what is said about it."""
    index, count = shard
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
    options = map(options_for, mine)
    return [(with_assets(artifact, said), said) for artifact, said in zip(mine, options, strict=True)]


def _summary(done: Batch, listing: Listing, shard: tuple[int, int], *, wall_s: float) -> RunSummary:
    index, count = shard
    return RunSummary(
        run=new_run(),
        shard_index=index,
        shard_count=count,
        exit_code=exit_code_of(_codes(done)),
        wall_s=wall_s,
        reports=tuple(done.reports),
        left_alone=(*(listing.left_alone if index == 0 else ()), *done.left_alone),
    )


def _codes(done: Batch) -> Iterator[int]:
    yield from (report.error.exit_code if report.error else 0 for report in done.reports)
    if done.is_interrupted:
        yield Interrupted.exit_code


def _pulled(settings: Settings, name: str, scratch: Path) -> str:
    return str(pull_file(beside(settings.manifest, name), scratch)) if name else ""


def _absolute(uri: str) -> str:
    path = uri.removeprefix("file://")
    return path.rstrip("/") if "://" in path else str(Path(path).resolve())
