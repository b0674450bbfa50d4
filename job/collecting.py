"""``gc``: removes what attempts that died have left, and nothing that any commit lists.

An attempt is removed when its youngest file is older than the limit, no ``latest.json`` leads there and, looked at
again right before, no commit lists it. What remains is the race with a writer that lets longer than the limit pass
between its last upload and its commit: the limit must exceed what any upload takes.
"""

import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Final, Literal

import structlog

from job import codec, wording
from job.commits import PARALLEL, commit_at
from job.console import print_line
from job.errors import BadInput, JobError, UsageError
from job.inventory import Inventory, artifact_of, take_inventory
from job.latest import Latest
from job.layout import COMMIT, home_of, is_ours, is_report, place_in
from job.logs import is_text
from job.records import Commit, StoredObject
from job.settings import Settings
from job.storage import open_storage
from job.storage.base import Storage, Unfinished
from job.storage.files import PART_PREFIX

log = structlog.get_logger()

_UNITS_S: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


@dataclass(frozen=True, kw_only=True)
class Garbage:
    """What nobody may miss: an attempt in no commit, a report of a failure, or a write that has not ended."""

    kind: Literal["attempt", "report", "write"]
    place: str
    youngest_s: float
    objects: tuple[StoredObject, ...] = ()
    writes: tuple[Unfinished, ...] = field(default=())

    @property
    def size_bytes(self) -> int:
        """Return the bytes that its objects take; of a write that has not ended they are not known."""
        return sum(stored.size_bytes for stored in self.objects)


def collect(settings: Settings, older_than: str, *, dry_run: bool, reports: bool) -> int:
    """Remove what is older than a limit such as ``7d``, tell of it, and return 0.

    Raises `UsageError` for what is no such limit, and what the store raises.
    """
    before_s = time.time() - seconds_of(older_than)
    dest = open_storage(settings.dest)
    inventory = take_inventory(dest)
    removed = list[Garbage]()
    for garbage in garbage_of(dest, inventory, before_s=before_s, reports=reports):
        if dry_run or remove(dest, garbage, before_s=before_s):
            removed.append(garbage)
            _tell(garbage, settings, dry_run=dry_run)
    _tell_all(removed, inventory, settings, dry_run=dry_run)
    return 0


def seconds_of(text: str) -> float:
    """Return what ``90s``, ``30m``, ``12h``, ``7d`` or ``2w`` is in seconds; raises `UsageError`."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smhdw])", text.strip(), re.ASCII)
    if found is None:
        raise UsageError(f"{text!r} is no length of time", remedy="write --older-than 7d, or with s, m, h or w")
    return float(found[1]) * _UNITS_S[found[2]]


def garbage_of(dest: Storage, inventory: Inventory, *, before_s: float, reports: bool) -> Iterator[Garbage]:
    """Yield what was last written before `before_s` and is in no commit; reports of failures only if asked for."""
    for place, objects in sorted(inventory.attempts.items()):
        mine = tuple(stored for stored in objects if is_ours(stored.key, place))
        kind: Literal["attempt", "report"] = "report" if is_report(place) else "attempt"
        is_garbage = mine and not inventory.may_list(place) and _is_old(objects, before_s)
        if is_garbage and (kind == "attempt" or reports) and not _is_pointed_at(dest, inventory, place):
            yield Garbage(kind=kind, place=place, youngest_s=_youngest_s(objects), objects=mine)
    try:
        yield from (_write(write) for write in dest.unfinished() if _is_left(write, inventory, before_s))
    except JobError as error:
        log.warning("unfinished_writes_unknown", reason=str(error), consequence="none of them is removed")


def remove(dest: Storage, garbage: Garbage, *, before_s: float) -> bool:
    """Remove it, unless its writer turns out to be alive or to have committed; return whether it was removed."""
    for write in garbage.writes:
        dest.abandon(write)
    if garbage.objects and not _is_abandoned(dest, garbage.place, before_s):
        return False
    with ThreadPoolExecutor(PARALLEL) as pool:
        for deleted in [pool.submit(dest.delete, stored.key) for stored in garbage.objects]:
            deleted.result()
    return True


def _is_abandoned(dest: Storage, place: str, before_s: float) -> bool:
    """Look again: a listing of a large destination takes its time, in which a writer may have gone on."""
    home, _, attempt = place.rpartition("/")
    if not _is_old(list(dest.list(f"{place}/")), before_s):
        return False
    if not any(stored.key == f"{home}/{COMMIT}" for stored in dest.list(f"{home}/{COMMIT}")):
        return True
    commit = commit_at(dest, home)
    return isinstance(commit, Commit) and commit.attempt != attempt


def _is_pointed_at(dest: Storage, inventory: Inventory, place: str) -> bool:
    """Tell whether `latest.json` leads readers there: it may be behind a commit that another one has replaced."""
    home, _, attempt = place.rpartition("/")
    pointer = inventory.pointers.get(artifact_of(home))
    if pointer is None:
        return False
    try:
        latest = codec.loads(dest.read(pointer.key), Latest)
    except ValueError:  # it leads nowhere
        return False
    except BadInput:  # it may
        return True
    return (home_of(artifact_of(home), latest.plan), latest.attempt) == (home, attempt)


def _is_old(objects: list[StoredObject], before_s: float) -> bool:
    """Tell whether all were written before; of what the store does not know the age, nothing is removed."""
    return all(0 < stored.modified_s < before_s for stored in objects)


def _youngest_s(objects: list[StoredObject]) -> float:
    return max(stored.modified_s for stored in objects)


def _is_left(write: Unfinished, inventory: Inventory, before_s: float) -> bool:
    """Tell whether an old write is one of ours: others may upload below the same prefix."""
    name = write.key.rpartition("/")[2]
    place = place_in(write.key, inventory.commits)
    return write.begun_s < before_s and (name.startswith(PART_PREFIX) or is_ours(write.key, place))


def _write(write: Unfinished) -> Garbage:
    return Garbage(kind="write", place=write.key, youngest_s=write.begun_s, writes=(write,))


def _tell(garbage: Garbage, settings: Settings, *, dry_run: bool) -> None:
    files, days = len(garbage.objects), (time.time() - garbage.youngest_s) / _UNITS_S["d"]
    if is_text(settings.log_format):
        told = f"{files} files, {wording.size(garbage.size_bytes)}, " if files else ""
        done = "would remove" if dry_run else "removed"
        print_line(f"{done} {garbage.kind:7}  {garbage.place}  {told}{days:.1f} days old")
        return
    log.info(
        "garbage_found" if dry_run else "garbage_removed",
        kind=garbage.kind,
        place=garbage.place,
        files=files,
        size_bytes=garbage.size_bytes,
        age_days=round(days, 3),
    )


def _tell_all(removed: list[Garbage], inventory: Inventory, settings: Settings, *, dry_run: bool) -> None:
    size_bytes = sum(garbage.size_bytes for garbage in removed)
    counts = {kind: sum(one.kind == kind for one in removed) for kind in ("attempt", "report", "write")}
    if not is_text(settings.log_format):
        log.info("gc_ended", commits=len(inventory.commits), **counts, size_bytes=size_bytes, dry_run=dry_run)
        return
    told = ", ".join(f"{count:,} {kind}{'' if count == 1 else 's'}" for kind, count in counts.items())
    kept = f"commits that stay: {len(inventory.commits):,}"
    print_line("")
    print_line(f"{told} {'would be ' if dry_run else ''}removed, {wording.size(size_bytes)}; {kept}")
