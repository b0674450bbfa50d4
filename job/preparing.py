"""What is settled before any work: that source and destination fit, what the user says, and where models run."""

import os
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import structlog

from job import no_gpu
from job.archives import nothing_fits
from job.errors import DestinationConflict, DeviceError, LocalIOError, NoInput, Poison, UsageError
from job.given_graph import with_given_graph
from job.manifest import Manifest, load_manifest
from job.naming import may_match_below
from job.nearest import meant, question_or
from job.pinned import pull_op_library
from job.pulling import beside, pull_file
from job.records import Artifact, ArtifactOptions, DeviceReport, Format
from job.requests import DeviceRequest
from job.settings import Settings
from job.storage import open_storage
from job.storage.base import Storage
from job.storage.elsewhere import mount_missing, write_as_yourself
from job.storage.local import LocalStorage
from job.tasks import Crashed
from job.workers import Forkserver

log = structlog.get_logger()


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


def check_landing(artifacts: Iterable[Artifact], source: str, dest: str) -> None:
    """Raise `UsageError` where a result would lie inside the source, which may be as the source lies in the other."""
    top, below = _absolute(dest), _absolute(source)
    for artifact in artifacts:
        landing = f"{top.rstrip('/')}/{artifact.name}"
        if f"{landing}/".startswith(f"{below.rstrip('/')}/"):
            what = "the source lies inside the destination, where its own results would go"
            raise UsageError(what, where=landing, remedy="choose a destination beside the source")


def check_writable(dest: Storage, *, require_atomic: bool = False) -> None:
    """Find out before any work that the destination cannot be written to; raises what the store raises.

    With `require_atomic` raises `DestinationConflict` where commits are not create-only.
    """
    try:
        is_strong = dest.supports_create_only()
    except LocalIOError as error:
        what = f"the destination cannot be written to ({error.what})"
        is_forbidden = isinstance(error.__cause__, PermissionError)
        remedy = mount_missing(dest.uri) or (write_as_yourself() if is_forbidden else "") or error.remedy
        raise LocalIOError(what, where=error.where, remedy=remedy) from error
    cause = "the store overwrites what exists, whatever is asked: of two jobs at one artifact the last one wins"
    if not is_strong and require_atomic:
        remedy = "choose another store, or let only one job at a time write there without --require-atomic"
        raise DestinationConflict(cause, where=dest.uri, remedy=remedy)
    if not is_strong:
        remedy = "let only one job at a time write there"
        log.warning("destination_is_weak", destination=dest.uri, cause=cause, remedy=remedy)


def read_manifest(settings: Settings, artifacts: Sequence[Artifact], scratch: Path) -> Manifest:
    """Return the user's manifest, an empty one if there is none; warns about entries that fit nothing."""
    if not settings.manifest:
        return Manifest()
    try:
        path = pull_file(settings.manifest, scratch)
    except NoInput as error:
        remedy = question_or(error.remedy, "check --manifest")
        raise UsageError("there is no manifest", where=settings.manifest, remedy=remedy) from error
    manifest = load_manifest(path.read_text(encoding="utf-8", errors="replace"), settings.manifest)
    unmatched = _unmatched(manifest, artifacts)
    _warn_of_unused((glob for glob in unmatched if not _may_fit_in_archive(glob, artifacts)), artifacts)
    return manifest


def check_used(
    settings: Settings, manifest: Manifest, listed: Sequence[Artifact], processed: Sequence[Artifact]
) -> None:
    """Tell, once the archives were open, which globs have fitted nothing; raises `NoInput` if ``--only`` is one."""
    if not processed:
        raise nothing_fits(settings.only, settings.source)
    known = [*listed, *processed]
    unmatched = _unmatched(manifest, known)
    _warn_of_unused((glob for glob in unmatched if _may_fit_in_archive(glob, listed)), known)


def _unmatched(manifest: Manifest, artifacts: Iterable[Artifact]) -> tuple[str, ...]:
    return manifest.unmatched(artifact.name for artifact in artifacts)


def _may_fit_in_archive(glob: str, artifacts: Iterable[Artifact]) -> bool:
    return any(may_match_below(one.name, glob) for one in artifacts if one.format is Format.ARCHIVE)


def _warn_of_unused(globs: Iterable[str], artifacts: Sequence[Artifact]) -> None:
    names = [artifact.name for artifact in artifacts]
    for glob in globs:
        remedy = meant(glob.strip("*"), names, "`inspect` lists the names")
        log.warning("manifest_entry_unused", match=glob, remedy=remedy)


def options_of(settings: Settings, manifest: Manifest, artifact: Artifact, scratch: Path) -> ArtifactOptions:
    """Return what is said about one artifact, its recorded arrays pulled; their paths are relative to the manifest."""
    options = manifest.options_for(artifact.name)
    try:
        samples, goldens = (_pulled(settings, name, scratch) for name in (options.samples, options.goldens))
    except NoInput as error:
        remedy = question_or(error.remedy, "correct the manifest: paths in it are relative to it")
        raise UsageError("a file that the manifest names is not there", where=error.where, remedy=remedy) from error
    libraries = _op_libraries(settings, options, scratch)
    allowed = {name.strip() for name in (*options.allow_ops, *settings.allow_op)} - {""}
    if allowed and not libraries:  # which may bring ops of any name
        from job.engine.ops.allowable import check_allowable  # noqa: PLC0415 - reading the list of ops takes a moment

        check_allowable(allowed)
    return replace(
        with_given_graph(options, settings, artifact, scratch),
        samples=samples,
        goldens=goldens,
        allow_nonfinite=options.allow_nonfinite or settings.allow_nonfinite,
        allow_lambda=options.allow_lambda or settings.allow_lambda,
        allow_ops=tuple(sorted(allowed)),
        batch_norm=options.batch_norm if settings.batch_norm == "auto" else settings.batch_norm,
        dropout=options.dropout if settings.dropout == "auto" else settings.dropout,
        ema=options.ema if settings.ema == "auto" else settings.ema,
        free_batch=options.free_batch or settings.free_batch,
        target_tf=options.target_tf if settings.target_tf == "running" else settings.target_tf,
        op_libraries=libraries,
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
    try:
        device = _probed(forkserver, settings)
    except Poison as error:
        remedy = "check driver and CUDA libraries, or choose --device cpu"
        raise DeviceError(f"no device could be found: {error.what}", remedy=remedy) from error
    except DeviceError as error:
        remedy = error.remedy or no_gpu.remedy(os.environ)
        raise DeviceError(error.what, where=error.where, remedy=remedy) from error
    log.info("device_chosen", device=device.device, name=device.name, asked=settings.device)
    if settings.device == "auto" and device.device == "cpu":
        log.warning("no_gpu", cause="TensorFlow sees no GPU: models run on the CPU", remedy=no_gpu.remedy(os.environ))
    return device


def _probed(forkserver: Forkserver, settings: Settings) -> DeviceReport:
    """Return what a worker finds; one that was killed says nothing of the device, and another one looks."""
    request, timeout_s = DeviceRequest(device=settings.device), settings.stage_timeout_s
    try:
        return forkserver.run("probe_device", request, DeviceReport, timeout_s=timeout_s)[0]
    except Crashed as error:
        log.warning("stage_retried", stage="probe_device", reason=str(error))
    return forkserver.run("probe_device", request, DeviceReport, timeout_s=timeout_s)[0]


def _pulled(settings: Settings, name: str, scratch: Path) -> str:
    return str(pull_file(beside(settings.manifest, name), scratch)) if name else ""


def _absolute(uri: str) -> str:
    """Return one spelling for all of a place, relative paths and `file:` among them."""
    store = open_storage(uri)
    return str(store.root.resolve()) if isinstance(store, LocalStorage) else uri.rstrip("/")
