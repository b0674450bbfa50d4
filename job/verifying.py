"""``verify``: whether every byte that was published is still there and still the same."""

import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Final

import structlog

from job import codec, wording
from job.commits import PARALLEL, Damaged, differs
from job.console import print_line
from job.errors import BadInput, DestinationConflict, NoInput, Refused
from job.inventory import Inventory, artifact_of, take_inventory
from job.latest import Latest, pointer_to
from job.layout import COMMIT, home_of, is_ours, is_report
from job.logs import is_text
from job.records import Commit, PublishedFile, StoredObject
from job.settings import Settings
from job.storage import open_storage
from job.storage.base import Storage
from job.verification import Verified

log = structlog.get_logger()

_POINT_AGAIN: Final = "`run` on the same source sets it again"


def verify(settings: Settings) -> int:
    """Re-hash what is published under a destination, tell of each commit, and return the exit code.

    Raises `NoInput` where nothing is published, and what the store raises.
    """
    start, dest = time.monotonic(), open_storage(settings.dest)
    inventory = take_inventory(dest, settings.only)
    found = list[Verified]()
    for one in verify_all(dest, inventory):
        found.append(one)
        _tell(one, settings)
    if not found:
        remedy = "check the URI, and --only" if settings.only != "*" else "check the URI"
        raise NoInput("nothing is published at the destination", where=dest.uri, remedy=remedy)
    for artifact in inventory.unpointed:
        log.warning("latest_missing", artifact=artifact, remedy=_POINT_AGAIN)
    _tell_all(found, inventory, settings, wall_s=round(time.monotonic() - start, 3))
    return DestinationConflict.exit_code if any(one.problems for one in found) else 0


def verify_all(dest: Storage, inventory: Inventory) -> Iterator[Verified]:
    """Yield what became of each commit, in the order of their names, and then of pointers that lead nowhere.

    Files are read to their end, several at a time, and nothing of them is kept.
    """
    with ThreadPoolExecutor(PARALLEL) as pool:
        begun = deque[_Begun]()
        try:
            for home, commit in sorted(inventory.commits.items()):
                begun.append(_begin(pool, dest, inventory, home, commit))
                if len(begun) > PARALLEL:
                    yield begun.popleft().ended()
            yield from (one.ended() for one in begun)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    for artifact, pointer in sorted(inventory.pointers.items()):
        if problem := _pointer_problem(dest, inventory, artifact, pointer):
            yield Verified(artifact=artifact, place=pointer.key, problems=(problem,))


@dataclass(frozen=True, kw_only=True)
class _Begun:
    """A commit whose files are being read; each will tell its problem, or that it has none by an empty text."""

    verified: Verified
    problems: list["Future[str]"]

    def ended(self) -> Verified:
        told = [problem for each in self.problems if (problem := each.result())]
        return replace(self.verified, problems=(*self.verified.problems, *told))


def _begin(
    pool: ThreadPoolExecutor, dest: Storage, inventory: Inventory, home: str, commit: Commit | Damaged
) -> _Begun:
    if isinstance(commit, Damaged):
        broken = Verified(artifact=artifact_of(home), place=f"{home}/{COMMIT}", problems=(commit.what,))
        return _Begun(verified=broken, problems=[])
    place = f"{home}/{commit.attempt}"
    objects = {stored.key.removeprefix(f"{place}/"): stored for stored in inventory.attempts.get(place, ())}
    listed = {file.path for file in commit.files}
    strays = [path for path in objects if path not in listed and is_ours(f"{place}/{path}", place)]
    verified = Verified(
        artifact=artifact_of(home),
        place=place,
        files=len(commit.files),
        size_bytes=sum(file.size_bytes for file in commit.files),
        problems=tuple(f"{path} is there and not in the commit" for path in strays),
    )
    return _Begun(
        verified=verified,
        problems=[
            pool.submit(_problem, dest, file, objects[file.path])
            if file.path in objects
            else _known(f"{file.path} is missing")
            for file in commit.files
        ],
    )


def _known(problem: str) -> "Future[str]":
    known = Future[str]()
    known.set_result(problem)
    return known


def _problem(dest: Storage, file: PublishedFile, stored: StoredObject) -> str:
    if stored.size_bytes != file.size_bytes:
        return f"{file.path} has {stored.size_bytes:,} bytes and not {file.size_bytes:,}"
    try:
        return f"{file.path} has other bytes" if differs(dest, file, stored) else ""
    except (BadInput, Refused) as error:
        return f"{file.path} cannot be read: {error.what}"


def _pointer_problem(dest: Storage, inventory: Inventory, artifact: str, pointer: StoredObject) -> str:
    """Say what is wrong with a pointer; a file of that name where there are no commits is none of ours."""
    try:
        latest = codec.loads(dest.read(pointer.key), Latest)
    except (ValueError, BadInput) as error:
        has_commits = any(artifact_of(home) == artifact for home in inventory.commits)
        return f"the pointer is damaged: {error}; {_POINT_AGAIN}" if has_commits else ""
    commit = inventory.commits.get(home_of(artifact, latest.plan))
    if not isinstance(commit, Commit) or (commit.plan, commit.attempt) != (latest.plan, latest.attempt):
        return f"it names attempt {latest.attempt}, which no commit lists; {_POINT_AGAIN}"
    right = pointer_to(commit, began_s=latest.began_s)
    leads = (latest.commit, latest.saved_model) == (right.commit, right.saved_model)
    return "" if leads else f"it leads to {latest.saved_model} and not to {right.saved_model}; {_POINT_AGAIN}"


def _tell(one: Verified, settings: Settings) -> None:
    if is_text(settings.log_format):
        told = "; ".join(one.problems) or f"{one.files} files, {wording.size(one.size_bytes)}"
        print_line(f"{'DAMAGED' if one.problems else 'whole  '}  {one.place}  {told}")
    elif one.problems:
        log.error("commit_damaged", artifact=one.artifact, place=one.place, problems=list(one.problems))
    else:
        log.info("commit_verified", artifact=one.artifact, place=one.place, files=one.files, size_bytes=one.size_bytes)


def _tell_all(found: list[Verified], inventory: Inventory, settings: Settings, *, wall_s: float) -> None:
    counted = {
        "commits": len(inventory.commits),
        "files": sum(one.files for one in found),
        "damaged": sum(bool(one.problems) for one in found),
        "uncommitted_attempts": sum(
            not inventory.may_list(place) and not is_report(place) for place in inventory.attempts
        ),
    }
    size_bytes = sum(one.size_bytes for one in found)
    if not is_text(settings.log_format):
        log.info("verify_ended", **counted, size_bytes=size_bytes, wall_s=wall_s)
        return
    told = ", ".join(f"{name.replace('_', ' ')}: {count:,}" for name, count in counted.items())
    print_line("")
    print_line(f"{told}; {wording.size(size_bytes)} in {wall_s:.1f} s")
