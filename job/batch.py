"""The artifacts of one shard, several at work at once, with those that its archives hold."""

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

import structlog

from job import pipeline
from job.archives import opened
from job.errors import Denied, JobError
from job.intake import Closed, Intake
from job.pulling import with_assets
from job.records import Artifact, ArtifactOptions, ArtifactReport, Format, LeftAlone
from job.workshop import Workshop

log = structlog.get_logger()

Work = Sequence[tuple[Artifact, ArtifactOptions]]
"""Artifacts, each with what is said about it."""

OptionsFor = Callable[[Artifact], ArtifactOptions]

FATAL: Final = (Denied.exit_code,)
"""Codes after which no other artifact would fare better."""

LEFT_NAMED: Final = 5
"""How many of the artifacts that are left a log line names."""

GOODBYE_S: Final = 1.0
"""How long what is at work has for ending, once it is dropped; what does not is left behind with the process."""

GOODBYE: Final = 0.1
"""The part of the grace that this may be: the reminders of job.interrupts are further apart."""


@dataclass(kw_only=True)
class Batch:
    """What a shard has done so far: a report for each artifact that was begun, and what archives hold beside models."""

    reports: list[ArtifactReport]
    left_alone: list[LeftAlone]
    is_interrupted: bool = False


@dataclass(kw_only=True)
class _Item:
    """One of the work's artifacts, and what has become of it, of an archive for each artifact in it."""

    artifact: Artifact
    said: ArtifactOptions
    reports: list[ArtifactReport]
    left_alone: list[LeftAlone]
    is_begun: bool = False
    is_done: bool = False


def process_all(shops: Sequence[Workshop], work: Work, options_for: OptionsFor) -> Batch:
    """Process artifacts until a signal or the deadline comes or none other would fare better.

    Each shop, one for a device, has as many at work as its lanes allow; reports are in the order of `work`.
    `options_for` says what the user says about an artifact that is found in an archive.
    """
    items = [_Item(artifact=artifact, said=said, reports=[], left_alone=[]) for artifact, said in work]
    most = max(shop.lanes.at_work for shop in shops)
    places = [shop for nth in range(most) for shop in shops if nth < shop.lanes.at_work][: len(items)]
    shift = _Shift(items, options_for, shops[0], at_work=len(places))
    hands = [threading.Thread(target=shift.serve, args=(shop,), daemon=True) for shop in places]
    try:
        for hand in hands:
            hand.start()
        for hand in hands:
            hand.join()
    except KeyboardInterrupt as error:
        shift.end(str(error))
        goodbye_s = min(GOODBYE_S, GOODBYE * shops[0].settings.grace_s)
        for hand in hands:
            hand.join(goodbye_s / len(hands))
    return shift.batch()


class _Shift:
    """Hands artifacts out, one after another, to the threads that process them, until there is cause to end."""

    def __init__(self, items: Sequence[_Item], options_for: OptionsFor, shop: Workshop, *, at_work: int) -> None:
        self._items, self._options_for, self._interrupts = items, options_for, shop.interrupts
        self._intake = Intake(shop.interrupts, at_work=at_work, crowding=shop.lanes.crowding)
        self._lock = threading.Lock()
        self._cause, self._is_stopped = "", False
        self._bug: BaseException | None = None

    def serve(self, shop: Workshop) -> None:
        """Process artifacts until none is left or the shift ends."""
        try:
            while (item := self._next()) is not None:
                self._process(shop, item)
        except (KeyboardInterrupt, Closed) as error:
            self.end(str(error))
        except BaseException as error:  # noqa: BLE001 - it is raised in the main thread
            if not self._interrupts.cause:  # else it may be that what it used is closed
                self._bug = error
            self.end("a bug")

    def end(self, cause: str) -> None:
        """Hand nothing out any more."""
        self._cause = self._cause or cause

    def batch(self) -> Batch:
        """Return what was done, in the order of the work; raises what no artifact's report could hold."""
        if self._bug is not None:
            raise self._bug
        left = [item.artifact for item in self._items if not item.is_done]
        done = Batch(
            reports=[report for item in self._items for report in item.reports],
            left_alone=[one for item in self._items for one in item.left_alone],
            is_interrupted=bool(left) and not self._is_stopped,
        )
        if self._cause and not self._is_stopped:
            log.warning("run_interrupted", cause=self._cause, done=len(done.reports), **_named(left))
        return done

    def _next(self) -> _Item | None:
        with self._lock:
            item = next((one for one in self._items if not one.is_begun), None)
            if item is None or self._cause:
                return None
            self._intake.check()
            item.is_begun = True
            return item

    def _check(self) -> None:
        """Raise `Closed` once there is cause to end, in whatever thread."""
        if self._cause:
            raise Closed(self._cause)

    def _process(self, shop: Workshop, item: _Item) -> None:
        for report in self._reports(shop, item):
            item.reports.append(report)
            if report.error is not None and report.error.exit_code in FATAL:
                self._stop(report.error.exit_code)
                return
        item.is_done = True

    def _stop(self, code: int) -> None:
        with self._lock:
            if not self._is_stopped:
                left = [one.artifact for one in self._items if not one.is_begun]
                log.error("run_stopped", code=code, **_named(left))
            self._is_stopped, self._cause = True, self._cause or "stopped"

    def _reports(self, shop: Workshop, item: _Item) -> Iterator[ArtifactReport]:
        """Yield an artifact's report; for an archive those of what it holds."""
        if item.artifact.format is Format.ARCHIVE:
            yield from self._open(shop, item)
        else:
            yield self._process_one(shop, item.artifact, item.said)

    def _open(self, shop: Workshop, item: _Item) -> Iterator[ArtifactReport]:
        self._intake.check()
        archive = item.artifact
        shop.progress.artifact_started(archive.name)
        shop.progress.stage(archive.name, "unpack")
        with opened(
            archive,
            lambda: shop.ahead.take(archive).directory,
            shop.settings,
            shop.ahead.source.uri,
            beside=shop.lanes.transfer,
        ) as inside:
            listing = inside.listing
            item.left_alone.extend(listing.left_alone)
            shop.progress.archive_opened(archive.name, len(listing.artifacts))
            if not inside.has_failed:
                counts = {"artifacts": len(listing.artifacts), "left_alone": len(listing.left_alone)}
                log.info("archive_opened", archive=archive.name, **counts)
            work = [_with_options(found, self._options_for) for found in listing.artifacts]
            within = replace(shop, ahead=shop.ahead.within(inside.storage, [found for found, _ in work]))
            for found, said in work:
                self._check()
                yield self._process_one(within, found, said)

    def _process_one(self, shop: Workshop, artifact: Artifact, said: ArtifactOptions) -> ArtifactReport:
        with self._intake.one():
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
