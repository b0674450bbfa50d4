"""The artifacts of one shard, one after another, with those that its archives hold."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

import structlog

from job import pipeline
from job.archives import opened
from job.errors import Denied, JobError
from job.intake import Closed, Intake
from job.pipeline import Workshop
from job.pulling import with_assets
from job.records import Artifact, ArtifactOptions, ArtifactReport, Format, LeftAlone

log = structlog.get_logger()

Work = Sequence[tuple[Artifact, ArtifactOptions]]
"""Artifacts, each with what is said about it."""

OptionsFor = Callable[[Artifact], ArtifactOptions]

FATAL: Final = (Denied.exit_code,)
"""Codes after which no other artifact would fare better."""

LEFT_NAMED: Final = 5
"""How many of the artifacts that are left a log line names."""


@dataclass(kw_only=True)
class Batch:
    """What a shard has done so far: a report for each artifact that was begun, and what archives hold beside models."""

    reports: list[ArtifactReport]
    left_alone: list[LeftAlone]
    is_interrupted: bool = False


def process_all(shop: Workshop, work: Work, options_for: OptionsFor) -> Batch:
    """Process artifact after artifact, until a signal or the deadline comes or none other would fare better.

    `options_for` says what the user says about an artifact that is found in an archive.
    """
    done, left = Batch(reports=[], left_alone=[]), [artifact for artifact, _ in work]
    shift = _Shift(shop=shop, options_for=options_for, intake=Intake(shop.interrupts), left_alone=done.left_alone)
    try:
        for artifact, said in work:
            for report in shift.process(artifact, said):
                done.reports.append(report)
                if report.error is not None and report.error.exit_code in FATAL:
                    log.error("run_stopped", code=report.error.exit_code, **_named(left[1:]))
                    return done
            left = left[1:]
    except (KeyboardInterrupt, Closed) as error:
        log.warning("run_interrupted", cause=str(error), done=len(done.reports), **_named(left))
        done.is_interrupted = bool(left)
    return done


@dataclass(frozen=True, kw_only=True)
class _Shift:
    """What processes one artifact after another; what archives hold beside models goes to `left_alone`."""

    shop: Workshop
    options_for: OptionsFor
    intake: Intake
    left_alone: list[LeftAlone]

    def process(self, artifact: Artifact, said: ArtifactOptions) -> Iterator[ArtifactReport]:
        """Yield an artifact's report; for an archive those of what it holds."""
        if artifact.format is Format.ARCHIVE:
            yield from self._open(artifact)
        else:
            yield self._process_one(self.shop, artifact, said)

    def _open(self, archive: Artifact) -> Iterator[ArtifactReport]:
        self.intake.check()
        shop = self.shop
        shop.progress.artifact_started(archive.name)
        shop.progress.stage(archive.name, "unpack")
        with opened(
            archive, lambda: shop.ahead.take(archive).directory, shop.settings, shop.ahead.source.uri
        ) as inside:
            listing = inside.listing
            self.left_alone.extend(listing.left_alone)
            shop.progress.archive_opened(archive.name, len(listing.artifacts))
            if not inside.has_failed:
                counts = {"artifacts": len(listing.artifacts), "left_alone": len(listing.left_alone)}
                log.info("archive_opened", archive=archive.name, **counts)
            work = [_with_options(found, self.options_for) for found in listing.artifacts]
            within = replace(shop, ahead=shop.ahead.within(inside.storage, [found for found, _ in work]))
            for found, said in work:
                yield self._process_one(within, found, said)

    def _process_one(self, shop: Workshop, artifact: Artifact, said: ArtifactOptions) -> ArtifactReport:
        with self.intake.one():
            return pipeline.process(shop, artifact, said)


def _with_options(artifact: Artifact, options_for: OptionsFor) -> tuple[Artifact, ArtifactOptions]:
    """Return an artifact of an archive with what is said about it; what is wrong with that is its problem."""
    try:
        options = options_for(artifact)
    except JobError as error:
        return replace(artifact, problem=artifact.problem or error.to_record()), ArtifactOptions()
    return with_assets(artifact, options), options


def _named(artifacts: Sequence[Artifact]) -> dict[str, object]:
    return {"left": len(artifacts), "next": [artifact.name for artifact in artifacts[:LEFT_NAMED]]}
