"""``export``: what is published, as servers look for it: ``<target>/<model>/<version>/``, a whole number each.

A server loads the highest version as soon as it is there. So a version is claimed by ``<version>.json`` before it has
any file: created once, never replaced, it lists the bytes that this version is. Whoever writes there later, after a
death or at the same time, writes these and no others. In a directory the version appears in one step, in a bucket its
``saved_model.pb`` comes last. Other bytes are the next version; the same bytes again are none.
"""

import shutil
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Literal

import structlog

from job import codec, wording
from job.commits import PARALLEL, Absent, differs, find_commit, lacks
from job.console import print_line
from job.errors import (
    CredentialsExpired,
    Denied,
    DestinationConflict,
    JobError,
    NoInput,
    StorageError,
    exit_code_of,
)
from job.inventory import take_inventory
from job.last_words import leave_words
from job.latest import Latest
from job.layout import MODEL_FILE, home_of
from job.logs import is_text
from job.preparing import check_writable
from job.records import Commit, PublishedFile, StoredObject
from job.scratch import scratch_directory
from job.served import VERSION, Chosen, chosen_of
from job.settings import Settings
from job.storage import open_storage
from job.storage.base import Storage
from job.storage.files import PART_PREFIX, alone, local_io
from job.storage.local import LocalStorage
from job.wording import shown

log = structlog.get_logger()

Layout = Literal["tf-serving", "triton"]
BELOW: Final[Mapping[Layout, str]] = {"tf-serving": "", "triton": "model.savedmodel/"}
"""Where the SavedModel lies below its version; Triton's name for it is the default of its TensorFlow backend."""

MODEL, FAST_MODEL = "saved_model", "saved_model_fast"

_TRIES: Final = 6  # each fails only because another exporter has succeeded


@dataclass(frozen=True, kw_only=True)
class Version:
    """``<version>.json``: where a version comes from, and all of its files, relative to its directory.

    `below` is where in that directory the SavedModel lies, a prefix of all paths.
    """

    artifact: str
    plan: str
    attempt: str
    saved_model: str
    below: str
    files: tuple[PublishedFile, ...]


def export(settings: Settings, target: str, *, layout: Layout, fast: bool) -> int:
    """Export what each ``latest.json`` of a destination names, tell of it, and return the exit code.

    A model that cannot be exported costs itself alone: a `DestinationConflict` where a version has other bytes than it
    was claimed for, or what is published has other bytes than its commit says. Raises `NoInput` where nothing is
    published, and what none other would fare better after.
    """
    dest, shelf = open_storage(settings.dest), open_storage(target)
    pointers = take_inventory(dest, settings.only).pointers
    if not pointers:
        raise NoInput("nothing is published at the destination", where=dest.uri, remedy="check the URI, and --only")
    check_writable(shelf)
    failed = dict[str, JobError]()
    for chosen in chosen_of(pointers):
        with _isolated(settings, chosen, failed):
            commit = _pointed_at(dest, pointers[chosen.artifact])
            _export_one(settings, dest, shelf, chosen, _wanted(chosen.artifact, commit, BELOW[layout], fast=fast))
    code = exit_code_of(error.exit_code for error in failed.values())
    leave_words([f"exit code {code}", *(f"{model}: {error}" for model, error in failed.items())])
    return code


@contextmanager
def _isolated(settings: Settings, chosen: Chosen, failed: dict[str, JobError]) -> Iterator[None]:
    """Note what keeps one model from being exported, and tell of it."""
    try:
        yield
    except (Denied, CredentialsExpired):  # no other model would fare better
        raise
    except JobError as error:
        failed[chosen.model] = error
        if is_text(settings.log_format):
            print_line(f"FAILED    {chosen.model}  {error.code_name}: {error}")
        else:
            said = {"model": chosen.model, "code": error.exit_code, "name": error.code_name, "reason": str(error)}
            log.error("export_failed", artifact=chosen.artifact, **said)  # noqa: TRY400 - it is no bug


def _export_one(settings: Settings, dest: Storage, shelf: Storage, chosen: Chosen, wanted: Version) -> None:
    number, is_new = claimed(shelf, chosen, wanted)
    with scratch_directory(settings.scratch) as scratch:
        is_new |= fill(dest, shelf, f"{chosen.model}/{number}", wanted, scratch)
    _tell(settings, chosen, wanted, number, is_new=is_new)


def claimed(shelf: Storage, chosen: Chosen, wanted: Version) -> tuple[int, bool]:
    """Return the version that is for these bytes and nobody else's, and whether it was claimed just now."""
    for _ in range(_TRIES):
        newest = max(_versions(shelf, chosen.model), default=0)
        if newest and _has_claimed(shelf, f"{chosen.model}/{newest}.json", wanted):
            return newest, False
        number = max(newest + 1, chosen.first)
        if shelf.create(f"{chosen.model}/{number}.json", codec.document(wanted)):
            return number, True
    where = f"{shelf.uri}/{chosen.model}"
    raise StorageError("others keep exporting the same model", where=where, remedy="run again")


def fill(dest: Storage, shelf: Storage, place: str, wanted: Version, scratch: Path) -> bool:
    """Write what a claimed version lacks; return whether that was anything.

    Raises `DestinationConflict` for a file that has other bytes than were claimed.
    """
    objects = {stored.key: stored for stored in shelf.list(f"{place}/")}
    _check_same(shelf, place, wanted, objects)
    missing = tuple(file for file in wanted.files if f"{place}/{file.path}" not in objects)
    if not missing:
        return False
    _pull(dest, wanted, missing, scratch)
    if isinstance(shelf, LocalStorage) and not objects:
        _place_at_once(shelf, place, missing, scratch)
    else:
        _upload(shelf, place, missing, scratch)
    present = {stored.key: stored for stored in shelf.list(f"{place}/")}
    if lost := [file.path for file in wanted.files if lacks(file, place, present)]:
        raise StorageError(f"written files are missing or cut: {shown(lost, 3)}", where=place, remedy="run again")
    return True


def _versions(shelf: Storage, model: str) -> Iterator[int]:
    """Yield the versions that are there or claimed; a directory that no claim is of is somebody else's, and counts."""
    for stored in shelf.list(f"{model}/"):
        name = stored.key.removeprefix(f"{model}/").partition("/")[0].removesuffix(".json")
        if VERSION.fullmatch(name):
            yield int(name)


def _has_claimed(shelf: Storage, key: str, wanted: Version) -> bool:
    """Tell whether a version was claimed for the same bytes; a claim that may not be read is no reason for another."""
    if not any(stored.key == key for stored in shelf.list(key)):  # somebody else's directory
        return False
    try:
        found = codec.loads(shelf.read(key), Version)
    except ValueError:  # a newer tf1lift's claim: its version stays
        return False
    return found.files == wanted.files


def _pointed_at(dest: Storage, pointer: StoredObject) -> Commit:
    """Return the commit that a pointer leads to."""
    where = f"{dest.uri}/{pointer.key}"
    try:
        latest = codec.loads(dest.read(pointer.key), Latest)
    except ValueError as error:
        remedy = "run the job again, which writes it anew"
        raise DestinationConflict(f"the pointer is damaged: {error}", where=where, remedy=remedy) from error
    commit = find_commit(dest, pointer.key.rpartition("/")[0], latest.plan)
    if isinstance(commit, Absent):
        raise DestinationConflict("it names what is not committed", where=where, remedy="run the job again")
    return commit


def _wanted(artifact: str, commit: Commit, below: str, *, fast: bool) -> Version:
    """Return a commit's model as a version; the fast one where it is asked for and there is one.

    The artifact's name is the one that it has as seen from this destination.
    """
    has_fast = any(file.path.startswith(f"{FAST_MODEL}/") for file in commit.files)
    name = FAST_MODEL if fast and has_fast else MODEL
    files = (file for file in commit.files if file.path.startswith(f"{name}/"))
    return Version(
        artifact=artifact,
        plan=commit.plan,
        attempt=commit.attempt,
        saved_model=name,
        below=below,
        files=tuple(replace(file, path=f"{below}{file.path.removeprefix(f'{name}/')}") for file in files),
    )


def _check_same(shelf: Storage, place: str, wanted: Version, objects: Mapping[str, StoredObject]) -> None:
    known = {f"{place}/{file.path}": file for file in wanted.files}
    with ThreadPoolExecutor(PARALLEL) as pool:
        there = {key: file for key, file in known.items() if key in objects}
        others = pool.map(lambda key: differs(shelf, there[key], objects[key]), there)
        other = [key for key, is_other in zip(there, others, strict=True) if is_other]
    if other := [*other, *(key for key in objects if key not in known)]:
        what = f"version {place} has other files or bytes than were exported: {shown(other, 3)}"
        remedy = "remove that version's directory, or take what does not belong there away"
        raise DestinationConflict(what, where=shelf.uri, remedy=remedy)


def _pull(dest: Storage, wanted: Version, files: tuple[PublishedFile, ...], scratch: Path) -> None:
    """Bring the files here, each hashed against what the commit says of it."""
    home = f"{home_of(wanted.artifact, wanted.plan)}/{wanted.attempt}/{wanted.saved_model}"
    objects = {stored.key: stored for stored in dest.list(f"{home}/")}

    def pull(file: PublishedFile) -> str:
        key = f"{home}/{file.path.removeprefix(wanted.below)}"
        digest = dest.download(objects[key], scratch / file.path)  # it was there a moment ago: `find_commit`
        return "" if digest.sha256 == file.sha256 else key

    with ThreadPoolExecutor(PARALLEL) as pool:
        if damaged := [key for key in pool.map(pull, files) if key]:
            what = f"published files have other bytes: {shown(damaged, 3)}"
            raise DestinationConflict(what, where=dest.uri, remedy="publish the model anew: run with --repair")


def _upload(shelf: Storage, place: str, files: tuple[PublishedFile, ...], scratch: Path) -> None:
    """Store files so that the model is complete once its graph is there."""
    last = [file.path for file in files if Path(file.path).name == MODEL_FILE]
    with ThreadPoolExecutor(PARALLEL) as pool:
        first = (file.path for file in files if file.path not in last)
        list(pool.map(lambda path: shelf.upload(scratch / path, f"{place}/{path}"), first))
    for path in last:
        shelf.upload(scratch / path, f"{place}/{path}")


def _place_at_once(shelf: LocalStorage, place: str, files: tuple[PublishedFile, ...], scratch: Path) -> None:
    """Write beside the version, under a name that no server takes for one, and rename when all is there."""
    model, _, number = place.rpartition("/")
    part = f"{model}/{PART_PREFIX}{number}"
    with local_io(shelf.root), alone(shelf.root / model):
        if any(shelf.list(f"{place}/")):  # another exporter was first; an empty directory gives way to what is renamed
            return
        shutil.rmtree(shelf.root / part, ignore_errors=True)  # of one that died
        _upload(shelf, part, files, scratch)
        (shelf.root / part).rename(shelf.root / place)


def _tell(settings: Settings, chosen: Chosen, wanted: Version, number: int, *, is_new: bool) -> None:
    size_bytes = sum(file.size_bytes for file in wanted.files)
    if is_text(settings.log_format):
        done = "exported" if is_new else "there    "
        print_line(f"{done}  {chosen.model}/{number}  {wanted.saved_model}, {wording.size(size_bytes)}")
        return
    log.info(
        "version_exported" if is_new else "version_there",
        artifact=chosen.artifact,
        model=chosen.model,
        version=number,
        saved_model=wanted.saved_model,
        size_bytes=size_bytes,
    )
