"""``inspect``: what is there and what would become of it, without converting anything."""

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final

import click

from job import codec
from job.archives import nothing_fits, opened
from job.console import print_details, print_line, print_listing, progress
from job.deadlines import stage_timeout_s
from job.discovery import discover
from job.errors import JobError, exit_code_of
from job.inspection import Inspected, Inspection
from job.interrupts import interruptible
from job.logs import is_text
from job.preparing import options_of, read_manifest
from job.pulling import local_entry, pull, with_assets
from job.records import Artifact, ConvertResult, ErrorRecord, Format, Listing, SourceSummary
from job.redaction import as_known
from job.requests import SourceRequest
from job.sandbox.rehearsal import settle
from job.scratch import scratch_directory
from job.settings import Settings
from job.storage import open_source
from job.storage.base import Storage
from job.workers import Forkserver, Limits


@dataclass(frozen=True, kw_only=True)
class Show:
    """What is done with the findings as they come: with each artifact's, and with the list of what an archive holds.

    `phase` hears in words what is done meanwhile.
    """

    artifact: Callable[[Inspected], None]
    archive: Callable[[Listing], None]
    phase: Callable[[str], None] = lambda _: None


def _keep_silent(_: object) -> None:
    """Show nothing: a machine reads the whole at the end."""


def _print_archive(inside: Listing) -> None:
    print_line("")
    print_listing(inside)


SILENT: Final = Show(artifact=_keep_silent, archive=_keep_silent)


def inspect(settings: Settings, environment: Mapping[str, str], *, as_json: bool, details: bool) -> int:
    """Print the listing at once, then every artifact's details; return the exit code of what will not convert."""
    is_shown = is_text(settings.log_format) and details
    with interruptible() as interrupts, progress(is_shown=is_shown) as shown:
        interrupts.last_act = shown.abandon
        source = open_source(settings.source)
        listing = discover(source, only=settings.only, all_forms=settings.all_forms)
        left_alone = list(listing.left_alone)
        if not as_json:
            print_listing(listing)
        show = (
            replace(SILENT, archive=lambda inside: left_alone.extend(inside.left_alone))
            if as_json
            else Show(artifact=print_details, archive=_print_archive, phase=shown.phase)
        )
        found = rehearse_all(settings, environment, source, listing, show) if details else _listed_only(listing)
        if not found:
            raise nothing_fits(settings.only, source.uri)
    if as_json:
        inspection = Inspection(uri=settings.source, artifacts=found, left_alone=tuple(left_alone))
        click.echo(codec.dumps(inspection, indent=2))
    return exit_code_of(one.error.exit_code for one in found if one.error)


def rehearse_all(
    settings: Settings, environment: Mapping[str, str], source: Storage, listing: Listing, show: Show
) -> tuple[Inspected, ...]:
    """Rehearse the conversion of every artifact of a listing, and show each as soon as it is known.

    The artifacts in an archive come in its place.
    """
    found = list[Inspected]()
    with scratch_directory(settings.scratch) as scratch:
        manifest = read_manifest(settings, listing.artifacts, scratch)
        limits = Limits(memory_mib=settings.memory_limit_mib, sandbox=settle(settings.sandbox))
        with Forkserver("exact", scratch, environment, limits=limits) as forkserver:
            each = _opened_each(settings, source, listing.artifacts, scratch, show)
            for number, (store, artifact) in enumerate(each):
                said = options_of(settings, manifest, artifact, scratch)
                directory = str(scratch / f"artifact-{number}")
                entry = local_entry(artifact)
                show.phase(f"reads {artifact.name}")
                request = SourceRequest(format=artifact.format, directory=directory, entry=entry, options=said)
                found.append(_rehearsed(settings, forkserver, store, artifact, request))
                shutil.rmtree(directory, ignore_errors=True)
                show.artifact(found[-1])
    return tuple(found)


def _opened_each(
    settings: Settings, source: Storage, artifacts: Sequence[Artifact], scratch: Path, show: Show
) -> Iterator[tuple[Storage, Artifact]]:
    """Yield every artifact with the store that holds it."""
    for artifact in artifacts:
        if artifact.format is not Format.ARCHIVE:
            yield source, artifact
            continue
        with opened(artifact, partial(_pull_archive, source, artifact, scratch), settings, source.uri) as inside:
            if inside.listing.artifacts and not inside.has_failed:
                show.archive(inside.listing)
            yield from ((inside.storage, found) for found in inside.listing.artifacts)


def _pull_archive(source: Storage, archive: Artifact, scratch: Path) -> Path:
    pull(source, archive, scratch / "archive")
    return scratch / "archive"


def _rehearsed(
    settings: Settings, forkserver: Forkserver, source: Storage, artifact: Artifact, request: SourceRequest
) -> Inspected:
    if artifact.problem is not None:
        return _refused(artifact, artifact.problem)
    try:
        pull(source, with_assets(artifact, request.options), Path(request.directory))
        timeout_s = stage_timeout_s(settings, artifact.size_bytes)
        rehearsal, _ = forkserver.run("inspect", request, ConvertResult, timeout_s=timeout_s)
    except JobError as error:
        return _refused(artifact, as_known(error.to_record(), request.directory))
    if rehearsal.error is not None:
        return _refused(artifact, as_known(rehearsal.error, request.directory), rehearsal.summary)
    return Inspected(artifact=artifact, will_convert=True, summary=rehearsal.summary)


def _refused(artifact: Artifact, error: ErrorRecord, summary: SourceSummary | None = None) -> Inspected:
    return Inspected(artifact=artifact, will_convert=False, summary=summary, error=error)


def _listed_only(listing: Listing) -> tuple[Inspected, ...]:
    """Say what the listing itself knows: whether anything speaks against an artifact, but not that nothing does."""
    return tuple(
        _refused(artifact, artifact.problem) if artifact.problem else Inspected(artifact=artifact, will_convert=None)
        for artifact in listing.artifacts
    )
