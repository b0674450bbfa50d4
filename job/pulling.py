"""Bring an artifact's objects to this machine, each under its own key below one directory."""

import hashlib
import os
import time
from collections.abc import Sequence
from concurrent.futures import Future, wait
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from threading import Thread

from job.errors import BadInput, NoInput
from job.records import Artifact, ArtifactOptions, Digest, Format, StoredObject
from job.storage import open_source
from job.storage.base import Storage
from job.storage.files import local_io

MAX_NAME_BYTES = 255
"""Longest name of a file on the file systems that scratch lies on."""


@dataclass(frozen=True, kw_only=True)
class Pulled:
    """An artifact's files below `directory`, and how long they took to come."""

    directory: Path
    sources: tuple[Digest, ...]
    wall_s: float


class PullAhead:
    """Pulls artifacts in their order, the next one while another is at work.

    One thread, and never more than one artifact ahead, so that scratch holds two. The thread is a
    daemon: a job that is told to end does not wait for a download.
    """

    def __init__(
        self, source: Storage, scratch: Path, artifacts: Sequence[Artifact], around: "PullAhead | None" = None
    ) -> None:
        self.source, self._scratch, self._around = source, scratch, around
        self._waiting = [artifact for artifact in artifacts if artifact.problem is None]
        self._pending: dict[str, Future[Pulled]] = {}

    def take(self, artifact: Artifact) -> Pulled:
        """Return an artifact's files and begin to pull those of the next; raises what `pull` raises."""
        self._begin(artifact)
        try:
            return self._pending.pop(artifact.name).result()
        finally:
            for following in self._waiting[:1]:
                self._begin(following)

    def settle(self) -> None:
        """Wait until nothing is pulled: nothing of ours may run beside a benchmark."""
        wait(self._pending.values())
        if self._around is not None:
            self._around.settle()

    def within(self, storage: Storage, artifacts: Sequence[Artifact]) -> "PullAhead":
        """Return one for the artifacts in an archive; meanwhile the archive's successor may be pulled, elsewhere."""
        return PullAhead(storage, self._scratch / "inside", artifacts, around=self)

    def directory_of(self, artifact: Artifact) -> Path:
        """Return where an artifact's files come to lie; names are no paths, so that it is their digest."""
        return self._scratch / "pulled" / hashlib.sha256(artifact.name.encode()).hexdigest()[:16]

    def _begin(self, artifact: Artifact) -> None:
        if artifact.name not in self._pending:
            self._waiting = [other for other in self._waiting if other.name != artifact.name]
            future = self._pending[artifact.name] = Future[Pulled]()
            Thread(target=self._pull, args=(artifact, future), daemon=True).start()

    def _pull(self, artifact: Artifact, future: "Future[Pulled]") -> None:
        start, directory = time.monotonic(), self.directory_of(artifact)
        try:
            sources = pull(self.source, artifact, directory)
        except Exception as error:  # noqa: BLE001 - it is raised where the future is asked
            future.set_exception(error)
        else:
            wall_s = round(time.monotonic() - start, 3)
            future.set_result(Pulled(directory=directory, sources=sources, wall_s=wall_s))


def with_assets(artifact: Artifact, options: ArtifactOptions) -> Artifact:
    """Return the artifact with the files that its manifest entry names by their keys below the source.

    An archive's artifacts have theirs in the archive.
    """
    if artifact.format is Format.ARCHIVE:
        return artifact
    known = {stored.key for stored in artifact.objects}
    named = sorted(set(options.assets.values()) - known)
    return replace(artifact, objects=(*artifact.objects, *(StoredObject(key=key, size_bytes=0) for key in named)))


def pull(source: Storage, artifact: Artifact, directory: Path) -> tuple[Digest, ...]:
    """Download every object of an artifact; returns their digests.

    Raises `BadInput` for a key that cannot be a path below `directory`, `LocalIOError`, and what the store raises.
    """
    with local_io(directory):
        return tuple(source.download(stored, local_path(directory, stored.key)) for stored in artifact.objects)


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


def local_path(directory: Path, key: str) -> Path:
    """Return where an object is kept; its directory is made."""
    parts = key.split("/")
    if any(part in ("", ".", "..") or "\0" in part or len(os.fsencode(part)) > MAX_NAME_BYTES for part in parts):
        raise BadInput(f"the key {key!r} cannot be a file's path", remedy="rename the object")
    path = directory.joinpath(*parts)
    path.parent.mkdir(parents=True, exist_ok=True)
    return path
