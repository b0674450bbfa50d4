"""A whole run: find the artifacts, take this shard's, process them, and end with one exit code."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import structlog

from job.assignment import Assignment, assign, check_all_used
from job.batch import Batch, process_all
from job.console import progress
from job.equipment import Equipment
from job.errors import Interrupted, exit_code_of
from job.interrupts import interruptible
from job.logs import is_text
from job.metrics import Meter, metered
from job.preparing import check_apart, probe_device
from job.pulling import PullAhead
from job.records import DeviceReport
from job.sandbox.rehearsal import settle
from job.scratch import scratch_directory
from job.settings import Settings, misspelt, shard_from
from job.summary import RunSummary, new_run, publish_summary, totals
from job.workers import Forkserver, Limits
from job.workshop import Workshop

log = structlog.get_logger()


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
        assignment = assign(settings, shard, scratch)
        shown.phase("starts TensorFlow")
        shop = partial(Workshop, settings=settings, scratch=scratch, progress=shown, meter=meter, interrupts=interrupts)
        shops = _shops(assignment, equipment, settings, scratch, shop)
        shown.expect(len(assignment.work))
        done = process_all(shops, assignment.work, assignment.options_for)
        check_all_used(assignment, done, settings)
        summary = _summary(done, assignment, wall_s=round(time.monotonic() - start, 3))
        with interrupts.flushing():
            shown.phase("publishes the summary")
            publish_summary(assignment.dest, summary)
            meter.end(summary)
            log.info("run_ended", exit_code=summary.exit_code, wall_s=summary.wall_s, **totals(summary.reports))
    return summary


def _shops(
    assignment: Assignment, equipment: Equipment, settings: Settings, scratch: Path, shop: Callable[..., Workshop]
) -> list[Workshop]:
    """Return a workshop for each device; all have their artifacts pulled ahead together."""
    work = assignment.work
    device = probe_device(equipment.first["as_run"], settings) if work else DeviceReport(device="cpu", name="")
    lanes = equipment.lanes(device, settings.lanes, most=len(work))
    ahead = PullAhead(
        assignment.source,
        scratch,
        [artifact for artifact, _ in work],
        left_alone={one.key for one in assignment.listing.left_alone},
        manners=equipment.manners(lanes),
    )
    return [shop(dest=assignment.dest, device=device, lanes=one, ahead=ahead) for one in lanes]


def _summary(done: Batch, assignment: Assignment, *, wall_s: float) -> RunSummary:
    index, count = assignment.shard
    return RunSummary(
        run=new_run(),
        shard_index=index,
        shard_count=count,
        exit_code=exit_code_of(_codes(done)),
        wall_s=wall_s,
        reports=tuple(done.reports),
        left_alone=(*(assignment.listing.left_alone if index == 0 else ()), *done.left_alone),
    )


def _codes(done: Batch) -> Iterator[int]:
    yield from (report.error.exit_code if report.error else 0 for report in done.reports)
    if done.is_interrupted:
        yield Interrupted.exit_code
