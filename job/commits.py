"""What is committed at a destination, and whether all of it is there."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Final

import structlog

from job import codec
from job.errors import BadInput, DestinationConflict
from job.layout import COMMIT, home_of
from job.records import Commit, PublishedFile, StoredObject
from job.storage.base import Storage
from job.wording import shown

log = structlog.get_logger()

PARALLEL: Final = 8
"""Files that are read or written at a time."""


@dataclass(frozen=True, kw_only=True)
class Absent:
    """Nothing is committed for this plan."""


@dataclass(frozen=True, kw_only=True)
class Damaged:
    """A commit that cannot be trusted: `what` is wrong with it, and the `text` that it has.

    One that is another plan's is none of ours to repair.
    """

    what: str
    where: str
    text: bytes
    is_anothers: bool = False

    def conflict(self) -> DestinationConflict:
        """Return it as the error that it is for a run that must not touch it."""
        remedy = "remove that commit.json to have the artifact published anew"
        remedy = remedy if self.is_anothers else f"run with --repair, or {remedy}"
        return DestinationConflict(self.what, where=self.where, remedy=remedy)


def find_commit(dest: Storage, artifact: str, plan: str, *, repair: bool = False) -> Commit | Absent:
    """Return what is committed for `plan`.

    Raises `DestinationConflict` if the commit cannot be read or files that it lists are missing.
    With `repair` such a commit counts as none, and so does one whose files have other bytes.
    """
    found = examine(dest, artifact, plan, rehash=repair)
    if not isinstance(found, Damaged):
        return found
    if found.is_anothers or not repair:
        raise found.conflict()
    log.warning("commit_damaged", cause=found.what, commit=found.where, remedy="it is replaced by a new attempt")
    return Absent()


def examine(dest: Storage, artifact: str, plan: str, *, rehash: bool = False) -> Commit | Absent | Damaged:
    """Return what stands at `plan`, having compared the sizes of the files, with `rehash` their bytes, too."""
    home = home_of(artifact, plan)
    objects = {stored.key: stored for stored in dest.list(f"{home}/")}
    if f"{home}/{COMMIT}" not in objects:
        return Absent()
    text = _text(dest, home)
    commit = read_commit(dest, home, text)
    if isinstance(commit, Damaged):
        return commit
    where = _where(dest, home)
    if commit.plan != plan:
        what = f"the commit is of another plan, {commit.plan}"
        return Damaged(what=what, where=where, text=text, is_anothers=True)
    what = ""
    if lost := [file.path for file in commit.files if lacks(file, f"{home}/{commit.attempt}", objects)]:
        what = f"published files are missing or cut: {shown(lost, 3)}"
    elif rehash and (other := _differing(dest, commit, home, objects)):
        what = f"published files have other bytes: {shown(other, 3)}"
    return Damaged(what=what, where=where, text=text) if what else commit


def commit_at(dest: Storage, home: str) -> Commit | Damaged:
    """Return the commit of a plan that has one; what it lists is not looked at."""
    try:
        return read_commit(dest, home, _text(dest, home))
    except DestinationConflict as error:
        return Damaged(what=error.what, where=error.where, text=b"")


def read_commit(dest: Storage, home: str, text: bytes) -> Commit | Damaged:
    """Return the commit that is written in `text`, of whatever plan."""
    try:
        return codec.loads(text, Commit)
    except ValueError as error:
        what = f"the commit is damaged, or a newer tf1lift's: {error}"
        return Damaged(what=what, where=_where(dest, home), text=text)


def lacks(file: PublishedFile, place: str, objects: Mapping[str, StoredObject]) -> bool:
    """Tell whether a file of the attempt at `place` is missing, or has another size."""
    stored = objects.get(f"{place}/{file.path}")
    return stored is None or stored.size_bytes != file.size_bytes


def differs(dest: Storage, file: PublishedFile, stored: StoredObject) -> bool:
    """Read a published file to its end; tell whether its bytes are others. Raises `BadInput` if it cannot be read."""
    return dest.digest(stored).sha256 != file.sha256


def _differing(dest: Storage, commit: Commit, home: str, objects: Mapping[str, StoredObject]) -> list[str]:
    with ThreadPoolExecutor(PARALLEL) as pool:
        stored = [objects[f"{home}/{commit.attempt}/{file.path}"] for file in commit.files]
        others = pool.map(partial(differs, dest), commit.files, stored)
        return [file.path for file, other in zip(commit.files, others, strict=True) if other]


def _text(dest: Storage, home: str) -> bytes:
    try:
        return dest.read(f"{home}/{COMMIT}")
    except BadInput as error:  # it is there: no other object's trouble, and none of the artifact's
        what, remedy = f"the commit cannot be read: {error.what}", error.remedy or "let the job read it"
        raise DestinationConflict(what, where=_where(dest, home), remedy=remedy) from error


def _where(dest: Storage, home: str) -> str:
    return f"{dest.uri}/{home}/{COMMIT}"
