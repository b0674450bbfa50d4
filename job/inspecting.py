"""``inspect``: what is there and what would be done, without converting anything."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import click

from job import codec
from job.console import print_details, print_listing
from job.discovery import discover
from job.errors import JobError, exit_code_of, from_record
from job.interrupts import interruptible
from job.pulling import pull, with_assets
from job.records import Artifact, ErrorRecord, LeftAlone, SourceSummary
from job.redaction import as_known, printable, redacted
from job.requests import SourceRequest
from job.running import options_of, read_manifest
from job.scratch import scratch_directory
from job.settings import Settings
from job.storage import open_source
from job.storage.base import Storage
from job.workers import Forkserver


@dataclass(frozen=True, kw_only=True)
class Inspected:
    """One artifact: what a reader found in it, or why it will not convert."""

    artifact: Artifact
    summary: SourceSummary | None = None
    error: ErrorRecord | None = None


@dataclass(frozen=True, kw_only=True)
class Inspection:
    """What ``inspect --json`` prints."""

    uri: str
    artifacts: tuple[Inspected, ...]
    left_alone: tuple[LeftAlone, ...]


def inspect(settings: Settings, environment: Mapping[str, str], *, as_json: bool, details: bool) -> int:
    """Print the listing at once, then every artifact's details; return the exit code of what will not convert."""
    with interruptible():
        source = open_source(settings.source)
        listing = discover(source, only=settings.only)
        if not as_json:
            print_listing(listing)
        found = (
            _read_all(settings, environment, source, listing.artifacts, show=not as_json)
            if details
            else [_listed(artifact) for artifact in listing.artifacts]
        )
    if as_json:
        inspection = Inspection(uri=settings.source, artifacts=tuple(found), left_alone=listing.left_alone)
        click.echo(codec.dumps(inspection, indent=2))
    return exit_code_of(one.error.exit_code for one in found if one.error)


def _read_all(
    settings: Settings, environment: Mapping[str, str], source: Storage, artifacts: tuple[Artifact, ...], *, show: bool
) -> list[Inspected]:
    with scratch_directory(settings.scratch) as scratch:
        manifest = read_manifest(settings, [artifact.name for artifact in artifacts], scratch)
        options = [options_of(settings, manifest, artifact, scratch) for artifact in artifacts]
        found = list[Inspected]()
        with Forkserver("exact", scratch, environment) as forkserver:
            for number, (artifact, said) in enumerate(zip(artifacts, options, strict=True)):
                directory = str(scratch / f"artifact-{number}")
                request = SourceRequest(format=artifact.format, directory=directory, entry=artifact.entry, options=said)
                found.append(_read(settings, forkserver, source, artifact, request))
                shutil.rmtree(directory, ignore_errors=True)
                if show:
                    _show(found[-1])
        return found


def _read(
    settings: Settings, forkserver: Forkserver, source: Storage, artifact: Artifact, request: SourceRequest
) -> Inspected:
    if artifact.problem is not None:
        return _listed(artifact)
    try:
        pull(source, with_assets(artifact, request.options), Path(request.directory))
        summary, _ = forkserver.run("inspect", request, SourceSummary, timeout_s=settings.stage_timeout_s)
    except JobError as error:
        return Inspected(artifact=artifact, error=as_known(error.to_record(), request.directory))
    return Inspected(artifact=artifact, summary=summary)


def _listed(artifact: Artifact) -> Inspected:
    return Inspected(artifact=artifact, error=artifact.problem)


def _show(one: Inspected) -> None:
    click.echo()
    if one.summary is not None:
        print_details(one.artifact, one.summary)
    elif one.error is not None:
        click.echo(printable(redacted(f"{one.artifact.name}: will not convert: {from_record(one.error)}")))
