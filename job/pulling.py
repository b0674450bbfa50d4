"""Bring an artifact's objects to this machine, each under its own key below one directory."""

import hashlib
import os
import re
import shutil
import time
from collections.abc import Callable, Container, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from threading import Lock, Thread, local
from typing import Final

from job.commits import PARALLEL
from job.errors import BadInput, LocalIOError, NoInput
from job.records import Artifact, ArtifactOptions, Digest, Format, StoredObject
from job.room import Room
from job.storage import open_source
from job.storage.base import Storage
from job.storage.files import local_io

MAX_NAME_BYTES = 255
"""Longest name of a file on the file systems that scratch lies on."""

_HOSTILE: Final = {"": "%", ".": "%2E", "..": "%2E%2E"}
_SIDECAR: Final = ".sha256"
_LOOK_S: Final = 0.2  # between two looks whether the job was told to end


@dataclass(frozen=True, kw_only=True)
class Manners:
    """How downloads behave: how many artifacts may be ahead, what each waits for, and what ends the waiting for one."""

    ahead: int = 1
    beside: Callable[[], AbstractContextManager[None]] = nullcontext
    check: Callable[[], object] = lambda: None


@dataclass(frozen=True, kw_only=True)
class Pulled:
    """An artifact's files below `directory`, and how long they took to come."""

    directory: Path
    sources: tuple[Digest, ...]
    wall_s: float


class PullAhead:
    """Pulls artifacts in their order, the next ones while others are at work.

    Never more artifacts ahead than its manners allow, and only while scratch has room for them beside those at work,
    which may take theirs in any thread. Its own threads are daemons: a job that is told to end waits for no download.
    `left_alone` are keys that are no part of an artifact; a ``FILE.sha256`` among them is what that file must be.
    """

    def __init__(
        self,
        source: Storage,
        scratch: Path,
        artifacts: Sequence[Artifact],
        left_alone: Container[str] = (),
        manners: Manners = Manners(),
    ) -> None:
        self.source, self._scratch, self._left_alone, self._manners = source, scratch, left_alone, manners
        self._waiting = [artifact for artifact in artifacts if artifact.problem is None]
        self._pending: dict[str, Future[Pulled]] = {}
        self._lock = Lock()
        self._room = Room(scratch)
        self._taken = local()
        self._inherited: tuple[str, ...] = ()

    def take(self, artifact: Artifact) -> Pulled:
        """Return an artifact's files and begin to pull those of the next; raises what `pull` raises."""
        try:
            pulled = self._awaited(artifact)
        except LocalIOError:
            pulled = self._pull_when_there_is_room(artifact)
        finally:
            self._begin_following()
        while not self._room.take(pulled.directory):  # it lay ready, and made room for others
            pulled = self._pull_when_there_is_room(artifact)
        self._taken.verified_by = _common(pulled.sources)
        return pulled

    def within(self, storage: Storage, artifacts: Sequence[Artifact]) -> "PullAhead":
        """Return one for the artifacts in an archive; meanwhile the archive's successor may be pulled, elsewhere.

        What has verified the archive has verified what is in it.
        """
        ahead = PullAhead(storage, self._scratch / "inside", artifacts, manners=self._manners)
        ahead._room, ahead._inherited = self._room, self._verified_by
        return ahead

    def directory_of(self, artifact: Artifact) -> Path:
        """Return where an artifact's files come to lie; names are no paths, so that it is their digest."""
        return self._scratch / "pulled" / hashlib.sha256(artifact.name.encode()).hexdigest()[:16]

    @property
    def _verified_by(self) -> tuple[str, ...]:
        """Return what has verified the artifact that this thread took last."""
        found: tuple[str, ...] = getattr(self._taken, "verified_by", ())
        return found

    def _begin_following(self) -> None:
        """Begin with those that come next, in their order: what found no room is not overtaken."""
        with self._lock:
            following = self._waiting[: max(0, self._manners.ahead - len(self._pending))]
        with suppress(LocalIOError):  # it is told where theirs is awaited
            for artifact in following:
                if not self._room.has_room(artifact):
                    return
                self._begin_ahead(artifact)

    def _begin_ahead(self, artifact: Artifact) -> None:
        with self._lock:
            if artifact in self._waiting:  # nobody has taken it meanwhile
                self._begin(artifact)

    def _begun(self, artifact: Artifact) -> "Future[Pulled]":
        with self._lock:
            return self._pending.get(artifact.name) or self._begin(artifact)

    def _begin(self, artifact: Artifact) -> "Future[Pulled]":
        self._waiting = [other for other in self._waiting if other.name != artifact.name]
        future = self._pending[artifact.name] = Future[Pulled]()
        Thread(target=self._fulfil, args=(artifact, future), daemon=True).start()
        return future

    def _awaited(self, artifact: Artifact) -> Pulled:
        """Return what is begun now or was before, once it is there."""
        future = self._begun(artifact)
        try:
            while not wait([future], _LOOK_S).done:
                self._manners.check()
            return future.result()
        finally:
            del self._pending[artifact.name]

    def _pull_when_there_is_room(self, artifact: Artifact) -> Pulled:
        """Pull again what others' files were in the way of: now, and whenever one of these takes less or has gone.

        What merely lies ready makes room where nothing else will: whoever takes that later pulls it again.
        """
        place = self.directory_of(artifact)
        while others := self._room.others(place):
            with suppress(LocalIOError):
                return self._pull_beside(artifact)
            while others <= self._room.others(place):
                self._manners.check()
                time.sleep(_LOOK_S)
                self._room.reclaim()
        return self._pull_beside(artifact)

    def _fulfil(self, artifact: Artifact, future: "Future[Pulled]") -> None:
        try:
            future.set_result(self._pull_beside(artifact))
        except BaseException as error:  # noqa: BLE001 - it is raised where the future is asked, an interrupt too
            future.set_exception(error)

    def _pull_beside(self, artifact: Artifact) -> Pulled:
        with self._manners.beside():
            return self._pull(artifact)

    def _pull(self, artifact: Artifact) -> Pulled:
        start, directory = time.monotonic(), self.directory_of(artifact)
        shutil.rmtree(directory, ignore_errors=True)
        self._room.claim(directory, artifact)
        try:
            sources = pull(self.source, self._with_sidecars(artifact), directory)
        except BaseException:
            shutil.rmtree(directory, ignore_errors=True)  # room for those at work
            raise
        self._room.ready(directory, artifact)
        sources = tuple(replace(one, verified_by=one.verified_by or self._inherited) for one in sources)
        return Pulled(directory=directory, sources=sources, wall_s=round(time.monotonic() - start, 3))

    def _with_sidecars(self, artifact: Artifact) -> Artifact:
        return replace(artifact, objects=tuple(map(self._with_sidecar, artifact.objects)))

    def _with_sidecar(self, stored: StoredObject) -> StoredObject:
        """Return an object with the SHA-256 that lies beside it, in whatever form: ``sha256sum`` and others differ."""
        key = stored.key + _SIDECAR
        if stored.sha256 or key not in self._left_alone:
            return stored
        text = self.source.read(key, limit_bytes=4096).decode(errors="replace").lower()
        found = re.findall(r"\b[0-9a-f]{64}\b", text)
        return replace(stored, sha256=found[0]) if len(found) == 1 else stored


def with_assets(artifact: Artifact, options: ArtifactOptions) -> Artifact:
    """Return the artifact with what its manifest entry says of files, by their keys below the source.

    These are files that are to come along, and SHA-256s. An archive's artifacts have theirs in the archive.
    """
    if artifact.format is Format.ARCHIVE:
        named: list[str] = []
    else:
        named = sorted(set(options.assets.values()) - {stored.key for stored in artifact.objects})
    objects = (*artifact.objects, *(StoredObject(key=key, size_bytes=0) for key in named))
    known = options.sha256
    return replace(
        artifact,
        objects=tuple(replace(one, sha256=known[one.key].lower()) if one.key in known else one for one in objects),
    )


def pull(source: Storage, artifact: Artifact, directory: Path) -> tuple[Digest, ...]:
    """Download every object of an artifact; returns their digests.

    Raises `BadInput` for keys that cannot be paths below `directory`, `LocalIOError`, and what the store raises.
    """
    _check_apart(stored.key for stored in artifact.objects)
    with local_io(directory), ThreadPoolExecutor(PARALLEL) as pool:
        paths = [local_path(directory, stored.key) for stored in artifact.objects]
        downloads = [pool.submit(source.download, *each) for each in zip(artifact.objects, paths, strict=True)]
        try:
            return tuple(download.result() for download in downloads)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)  # where one failed, those that wait need not begin


def pull_file(uri: str, directory: Path) -> Path:
    """Download one file that a user names by path or URI; returns where it lies.

    Raises `NoInput` where there is no such file, or a directory.
    """
    store = open_source(uri)
    name = PurePosixPath(uri).name
    stored = next((stored for stored in store.list() if stored.key == name), None)
    if stored is None:
        raise NoInput("a file is wanted, and this is a directory", where=uri, remedy="name the file")
    path = directory / hashlib.sha256(uri.encode()).hexdigest()[:16] / name
    with local_io(path):
        path.parent.mkdir(exist_ok=True)
        store.download(stored, path)
    return path


def beside(uri: str, name: str) -> str:
    """Return the path or URI of what the file at `uri` names relative to itself."""
    directory, slash, _ = uri.rpartition("/")
    return name if "://" in name or name.startswith("/") else f"{directory}{slash}{name}"


def local_entry(artifact: Artifact) -> str:
    """Return the artifact's entry as it lies below the directory that it was pulled to."""
    entry = artifact.entry
    is_file = any(stored.key == entry for stored in artifact.objects)
    is_directory = not is_file and (entry.endswith("/") or not entry)
    return local_key(entry)[:-1] if is_directory else local_key(entry)


def local_key(key: str) -> str:
    """Return the relative path at which an object is kept: its key, where that is one.

    Parts that are none (``..``) are written as in a URL, and a part that could be mistaken for these too.
    Overlong directories become their digest. Raises `BadInput` for a key that no file can have.
    """
    *directories, name = key.split("/")
    parts = (*(_digested(part) if _is_long(part) else part for part in directories), name)
    if "\0" in key or _is_long(name):
        raise BadInput(f"the key {key!r} cannot be a file's path", remedy="rename the object")
    return "/".join(_HOSTILE.get(part, re.sub("^%", "%25", part)) for part in parts)


def local_path(directory: Path, key: str) -> Path:
    """Return where an object is kept; its directory is made."""
    parts = local_key(key).split("/")
    path = directory.joinpath(*parts)
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def _is_long(part: str) -> bool:
    return len(os.fsencode(part)) > MAX_NAME_BYTES


def _digested(part: str) -> str:
    return hashlib.sha256(os.fsencode(part)).hexdigest()


def _check_apart(keys: Iterable[str]) -> None:
    """Raise `BadInput` where one key is another's directory, as a store allows and a file system does not."""
    known = set(keys)
    for key in sorted(known):
        above = key.rpartition("/")[0]
        while above and above not in known:
            above = above.rpartition("/")[0]
        if above:
            what = f"the artifact holds an object {above!r} and objects below it, such as {key!r}"
            raise BadInput(what, remedy="rename one: no file system holds both")


def _common(sources: Sequence[Digest]) -> tuple[str, ...]:
    """Return what has verified all of these files."""
    said = [source.verified_by for source in sources]
    return said[0] if said and all(said) else ()
