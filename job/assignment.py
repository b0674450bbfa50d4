"""What a run has to do: the artifacts of its shard, where they are, and where what becomes of them goes."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import structlog

from job.batch import Batch, OptionsFor, Work
from job.discovery import discover
from job.manifest import Manifest
from job.preparing import check_landing, check_used, check_writable, options_of, read_manifest
from job.pulling import with_assets
from job.records import Listing
from job.settings import Settings
from job.sharding import share_of
from job.storage import open_source, open_storage
from job.storage.base import Storage
from job.swapped import asking_dest, check_no_results

log = structlog.get_logger()

Shard = tuple[int, int]
"""Which share is ours, of how many."""

ONLY_SHARD: Final[Shard] = (0, 1)
"""That of a run that has no others."""


@dataclass(frozen=True, kw_only=True)
class Assignment:
    """What one run is to do; `options_for` says what the user says about an artifact, of those in archives too."""

    source: Storage
    dest: Storage
    listing: Listing
    manifest: Manifest
    shard: Shard
    work: Work
    options_for: OptionsFor


def assign(settings: Settings, shard: Shard, scratch: Path) -> Assignment:
    """List the source and take this shard's artifacts, once it is known that their results can be kept.

    Raises `UsageError`, `NoInput`, `Denied`, `LocalIOError`, `DestinationConflict` and what else the stores raise.
    """
    dest = open_storage(settings.dest)
    with asking_dest(dest):
        source = open_source(settings.source)
        listing = discover(source, only=settings.only, all_forms=settings.all_forms)
    check_no_results(listing, source, dest)
    check_landing(listing.artifacts, settings.source, settings.dest)
    manifest = read_manifest(settings, listing.artifacts, scratch)
    options_for = partial(options_of, settings, manifest, scratch=scratch)
    work = _share(listing, shard, options_for)
    check_writable(dest, require_atomic=settings.require_atomic)
    return Assignment(
        source=source, dest=dest, listing=listing, manifest=manifest, shard=shard, work=work, options_for=options_for
    )


def check_all_used(assignment: Assignment, done: Batch, settings: Settings) -> None:
    """Tell what of the user's words has fitted nothing, where all archives were open; raises `NoInput`."""
    if assignment.shard == ONLY_SHARD and not done.is_interrupted:
        processed = [report.artifact for report in done.reports]
        check_used(settings, assignment.manifest, assignment.listing.artifacts, processed)


def _share(listing: Listing, shard: Shard, options_for: OptionsFor) -> Work:
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
