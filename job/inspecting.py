"""``inspect``: what is there and what would be done, without converting anything."""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import click

from job import codec
from job.console import print_details, print_listing
from job.discovery import discover
from job.errors import JobError, exit_code_of, from_record
from job.pulling import pull
from job.records import Artifact, ErrorRecord, LeftAlone, SourceRequest, SourceSummary
from job.running import options_of, read_manifest
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
    source = open_source(settings.source)
    listing = discover(source, only=settings.only)
    if not as_json:
        print_listing(listing)
    found = tuple(_read_all(settings, environment, source, listing.artifacts, show=not as_json)) if details else ()
    if as_json:
        inspected = found or tuple(
            Inspected(artifact=artifact, error=artifact.problem) for artifact in listing.artifacts
        )
        click.echo(
            codec.dumps(Inspection(uri=settings.source, artifacts=inspected, left_alone=listing.left_alone), indent=2)
        )
    return exit_code_of(one.error.exit_code for one in found if one.error)


def _read_all(
    settings: Settings, environment: Mapping[str, str], source: Storage, artifacts: tuple[Artifact, ...], *, show: bool
) -> list[Inspected]:
    with tempfile.TemporaryDirectory(prefix="tf1lift-", dir=settings.scratch or None) as scratch:
        manifest = read_manifest(settings, [artifact.name for artifact in artifacts], Path(scratch))
        found = list[Inspected]()
        with Forkserver("exact", Path(scratch), environment) as forkserver:
            for number, artifact in enumerate(artifacts):
                options = options_of(settings, manifest, artifact, Path(scratch))
                directory = Path(scratch, f"artifact-{number}")
                one = _read(
                    settings,
                    forkserver,
                    source,
                    artifact,
                    SourceRequest(
                        format=artifact.format, directory=str(directory), entry=artifact.entry, options=options
                    ),
                )
                found.append(one)
                if show:
                    _show(one)
        return found


def _read(
    settings: Settings, forkserver: Forkserver, source: Storage, artifact: Artifact, request: SourceRequest
) -> Inspected:
    try:
        if artifact.problem is not None:
            raise from_record(artifact.problem)
        pull(source, artifact, Path(request.directory))
        summary, _ = forkserver.run("inspect", request, SourceSummary, timeout_s=settings.stage_timeout_s)
    except JobError as error:
        return Inspected(artifact=artifact, error=error.to_record())
    return Inspected(artifact=artifact, summary=summary)


def _show(one: Inspected) -> None:
    click.echo()
    if one.summary is not None:
        print_details(one.artifact, one.summary)
    elif one.error is not None:
        click.echo(f"{one.artifact.name}: will not convert: {from_record(one.error)}")
