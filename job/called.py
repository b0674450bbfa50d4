"""The process of one call of `job.library`: ``python -m job.called``, with what is wanted on standard input.

It is a supervisor as a command's process is, logs JSON lines on standard error, and leaves its answer in a file,
written whole or not at all. It ends in order when its caller does.
"""

import ctypes
import json
import os
import signal
import sys
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, Final

from job import codec, logs
from job.archives import nothing_fits
from job.commits import PARALLEL, Absent, Damaged, commit_at
from job.discovery import discover
from job.ending import error_of
from job.errors import Interrupted, JobError, NoInput
from job.inspecting import Show, rehearse_all
from job.inspection import Inspected, Inspection
from job.interrupts import interruptible, leave
from job.inventory import take_inventory
from job.library import Converted, ConvertedArtifact
from job.records import ArtifactReport, Commit
from job.running import run
from job.settings import Settings
from job.storage import open_source, open_storage
from job.storage.base import Storage
from job.verification import Verification
from job.verifying import verify_all

_PR_SET_PDEATHSIG: Final = 1  # linux/prctl.h


def main() -> None:
    """Do what is asked for and leave."""
    task = json.loads(sys.stdin.read())
    _settle(task["caller"])
    os.chdir(task["directory"])
    logs.configure("json")
    outcome = _outcome(CALLS[task["name"]], task["settings"])
    part = Path(f"{task['answer']}.part")
    part.write_text(json.dumps(outcome), encoding="utf-8")
    part.rename(task["answer"])
    leave(0)


def _settle(caller: int) -> None:
    """Take nothing over of what the caller has done with signals, and end with him."""
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # where it is ignored no child's end can be learnt
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # until the run says what else
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != caller:  # he ended before the kernel was asked
        leave(Interrupted.exit_code)


def _outcome(work: Callable[[Settings], object], said: Mapping[str, Any]) -> dict[str, Any]:
    try:
        return {"result": codec.dump(work(codec.loads(json.dumps(said), Settings)))}
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - the caller is told, whatever it is
        return {"error": codec.dump(error_of(error).to_record())}


def _convert(settings: Settings) -> Converted:
    summary, dest = run(settings, os.environ), open_storage(settings.dest)
    root = settings.dest.rstrip("/")
    with ThreadPoolExecutor(PARALLEL) as pool:
        artifacts = tuple(pool.map(partial(_artifact, dest, root), summary.reports))
    return Converted(
        artifacts=artifacts,
        left_alone=summary.left_alone,
        exit_code=summary.exit_code,
        index_html=f"{root}/{summary.index}",
    )


def _artifact(dest: Storage, root: str, report: ArtifactReport) -> ConvertedArtifact:
    """Return what a report and the commit at its place say."""
    place = f"{root}/{report.place}"
    commit = _commit(dest, report)
    known = commit if isinstance(commit, Commit) else None
    paths = [file.path for file in known.files] if known else ["saved_model"] if report.error is None else []

    def published(name: str) -> str:
        return f"{place}/{name}" if any(path == name or path.startswith(f"{name}/") for path in paths) else ""

    return ConvertedArtifact(
        name=report.artifact.name,
        status=report.status,
        saved_model=published("saved_model"),
        saved_model_fast=published("saved_model_fast"),
        keras_file=published("model.keras"),
        report_html=f"{place}/report.html" if report.place else "",
        parity=known.parity if known else (),
        error=report.error,
        report=report,
    )


def _commit(dest: Storage, report: ArtifactReport) -> Commit | Damaged | Absent:
    """Return what is committed at a report's place; a store that fails by now costs no more than what it says."""
    if report.error is not None:
        return Absent()
    try:
        return commit_at(dest, report.place.rpartition("/")[0])
    except JobError:
        return Absent()


def _inspect(settings: Settings) -> Inspection:
    with interruptible(settings.grace_s, settings.deadline_s):
        source = open_source(settings.source)
        listing = discover(source, only=settings.only, all_forms=settings.all_forms)
        left_alone = list(listing.left_alone)
        show = Show(artifact=_keep_silent, archive=lambda inside: left_alone.extend(inside.left_alone))
        found = rehearse_all(settings, os.environ, source, listing, show)
        if not found:
            raise nothing_fits(settings.only, source.uri)
    return Inspection(uri=settings.source, artifacts=found, left_alone=tuple(left_alone))


def _keep_silent(_: Inspected) -> None:
    """Show nothing: all is in the answer."""


def _verify(settings: Settings) -> Verification:
    with interruptible(settings.grace_s, settings.deadline_s):
        dest = open_storage(settings.dest)
        commits = tuple(verify_all(dest, take_inventory(dest, settings.only)))
    if not commits:
        raise NoInput("nothing is published at the destination", where=dest.uri, remedy="check the URI, and `only`")
    return Verification(commits=commits)


CALLS: Final[Mapping[str, Callable[[Settings], object]]] = {
    "convert": _convert,
    "inspect": _inspect,
    "verify": _verify,
}


if __name__ == "__main__":
    main()
