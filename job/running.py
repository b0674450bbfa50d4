"""A whole run: find the artifacts, take this shard's, process them, and end with one exit code."""

import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from functools import partial
from typing import Final

import structlog

from job.batch import Batch, OptionsFor, Work, process_all
from job.console import progress
from job.discovery import discover
from job.equipment import Equipment
from job.errors import Interrupted, exit_code_of
from job.interrupts import interruptible
from job.logs import is_text
from job.metrics import Meter, metered
from job.preparing import (
    check_apart,
    check_landing,
    check_used,
    check_writable,
    options_of,
    probe_device,
    read_manifest,
)
from job.pulling import PullAhead, with_assets
from job.records import DeviceReport, Listing
from job.sandbox.rehearsal import settle
from job.scratch import scratch_directory
from job.settings import Settings, misspelt, shard_from
from job.sharding import share_of
from job.storage import open_source, open_storage
from job.summary import RunSummary, new_run, publish_summary, totals
from job.swapped import asking_dest, check_no_results
from job.workers import Forkserver, Limits
from job.workshop import Workshop

log = structlog.get_logger()

Shard = tuple[int, int]
"""Which share is ours, of how many."""

WHOLE: Final = (0, 1)
"""The one shard of a run that has no others."""


def run(settings: Settings, environment: Mapping[str, str]) -> RunSummary:
    """Convert everything in this shard of the source.

    Raises `UsageError`, `NoInput`, `Denied`, `DeviceError` and what else ends a run before it
    has begun; an artifact's errors are in its report. A signal or the deadline ends it with code 75, in
    the summary once artifacts are at work and as `Interrupted` before that.
    """
    with metered(settings.metrics) as meter:
        return _run(settings, environment, meter)


def _run(settings: Settings, environment: Mapping[str, str], meter: Meter) -> RunSummary:
    start = time.monotonic()
    shard = shard_from(settings, environment)
    check_apart(settings.source, settings.dest)
    for name, known in misspelt(environment).items():
        log.warning("variable_ignored", variable=name, remedy=f"did you mean {known}?")
    with interruptible(settings.grace_s, settings.deadline_s) as interrupts, ExitStack() as cleanup:
        shown = cleanup.enter_context(progress(is_shown=is_text(settings.log_format) and not settings.quiet))
        interrupts.last_act = shown.abandon
        scratch = cleanup.enter_context(scratch_directory(settings.scratch))
        sandbox = settle(settings.sandbox)
        limits = Limits(memory_mib=settings.memory_limit_mib, sandbox=sandbox, check=interrupts.check)
        equipment = cleanup.enter_context(Equipment(scratch, environment, limits, Forkserver))
        shown.phase(f"lists {settings.source}")
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
        shown.phase("starts TensorFlow")
        device = probe_device(equipment.first["as_run"], settings) if work else DeviceReport(device="cpu", name="")
        lanes = equipment.lanes(device, settings.lanes, most=len(work))
        shop = partial(
            Workshop,
            settings=settings,
            dest=dest,
            scratch=scratch,
            device=device,
            progress=shown,
            ahead=PullAhead(
                source,
                scratch,
                [artifact for artifact, _ in work],
                left_alone={one.key for one in listing.left_alone},
                manners=equipment.manners(lanes),
            ),
            meter=meter,
            interrupts=interrupts,
        )
        shown.expect(len(work))
        done = process_all([shop(lanes=one) for one in lanes], work, options_for)
        if shard == WHOLE and not done.is_interrupted:  # else what is in the other archives is not known
            check_used(settings, manifest, listing.artifacts, [report.artifact for report in done.reports])
        summary = _summary(done, listing, shard, wall_s=round(time.monotonic() - start, 3))
        with interrupts.flushing():
            shown.phase("publishes the summary")
            publish_summary(dest, summary)
            meter.end(summary)
            log.info("run_ended", exit_code=summary.exit_code, wall_s=summary.wall_s, **totals(summary.reports))
    return summary


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


def _summary(done: Batch, listing: Listing, shard: Shard, *, wall_s: float) -> RunSummary:
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
