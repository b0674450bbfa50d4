"""An archive as a source: unpacked for as long as the artifacts in it are at work."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

import structlog

from job.discovery import discover
from job.errors import BadInput, Internal, JobError, NoInput
from job.naming import matches
from job.pulling import local_path
from job.records import Artifact, Format, Listing
from job.settings import Settings
from job.storage.local import LocalStorage
from job.unpacking import unpack

log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True)
class Opened:
    """A store of what an archive held, and the artifacts in it: none where ``--only`` fits none of them."""

    storage: LocalStorage
    listing: Listing

    @property
    def has_failed(self) -> bool:
        """Tell whether the archive could not be opened."""
        return any(artifact.format is Format.ARCHIVE for artifact in self.listing.artifacts)


@contextmanager
def opened(
    archive: Artifact,
    pull: Callable[[], Path],
    settings: Settings,
    source_uri: str,
    beside: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> Iterator[Opened]:
    """Pull an archive, unpack it and find what is in it; its files go when the context ends.

    `pull` returns the directory below which the archive then lies, which is removed; `beside` is what the rest waits
    for. One that cannot be pulled, is damaged, refused or without a model is the only artifact found, with its problem.
    """
    with ExitStack() as cleanup:
        try:
            pulled = pull()
            with beside():
                inside = _open(archive, pulled, settings, source_uri, cleanup)
        except JobError as error:
            inside = _closed(archive, error)
        except Exception as error:  # a bug of ours costs this archive and not the other artifacts
            log.exception("bug")
            inside = _closed(archive, Internal(f"{type(error).__name__}: {error}", remedy="please report it"))
        yield inside


def nothing_fits(only: str, source_uri: str) -> NoInput:
    """Return the error for a glob that might have fitted what archives hold, and fitted nothing."""
    what = f"nothing fits --only '{only}', in no archive either"
    return NoInput(what, where=source_uri, remedy="`inspect` without --only lists the names")


def _open(archive: Artifact, pulled: Path, settings: Settings, source_uri: str, cleanup: ExitStack) -> Opened:
    where = f"{source_uri.rstrip('/')}/{archive.entry}"
    directory = pulled.with_name(f"{pulled.name}.unpacked")
    cleanup.callback(shutil.rmtree, directory, ignore_errors=True)
    try:
        skipped = unpack(local_path(pulled, archive.entry), directory, where)
    finally:
        shutil.rmtree(pulled, ignore_errors=True)
    storage = LocalStorage(directory, uri=where)
    listing = _listing(storage, archive, settings)
    left_alone = tuple(replace(one, key=f"{archive.entry}/{one.key}") for one in (*listing.left_alone, *skipped))
    return Opened(storage=storage, listing=replace(listing, left_alone=left_alone))


def _closed(archive: Artifact, error: JobError) -> Opened:
    problem = error.to_record(stage="unpack")
    listing = Listing(artifacts=(replace(archive, problem=problem),))
    return Opened(storage=LocalStorage(Path()), listing=listing)


def _listing(storage: LocalStorage, archive: Artifact, settings: Settings) -> Listing:
    only = settings.only
    try:
        return discover(storage, only=only, all_forms=settings.all_forms, under=archive.name)
    except NoInput as error:
        if matches(archive.name, only):
            what, remedy = f"an archive without a model: {error.what}", "take it away, or pass --only for the others"
            raise BadInput(what, where=error.where, remedy=remedy) from error
        if only.startswith(f"{archive.name}/"):
            raise
        return Listing(artifacts=())  # a glob that might have fitted what is in it
