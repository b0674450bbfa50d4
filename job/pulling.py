"""Bring an artifact's objects to this machine, each under its own key below one directory."""

from pathlib import Path, PurePosixPath

from job.errors import BadInput
from job.records import Artifact, Digest
from job.storage import open_source
from job.storage.base import Storage

MAX_NAME_BYTES = 255
"""Longest name of a file on the file systems that scratch lies on."""


def pull(source: Storage, artifact: Artifact, directory: Path) -> tuple[Digest, ...]:
    """Download every object of an artifact; returns their digests.

    Raises `BadInput` for a key that cannot be a path below `directory`, and what the store raises.
    """
    return tuple(source.download(stored, local_path(directory, stored.key)) for stored in artifact.objects)


def pull_file(uri: str, directory: Path) -> Path:
    """Download one file that a manifest names by path or URI; returns where it lies."""
    store = open_source(uri)
    stored = next(iter(store.list()))
    path = directory / PurePosixPath(stored.key).name
    store.download(stored, path)
    return path


def local_path(directory: Path, key: str) -> Path:
    """Return where an object is kept; its directory is made."""
    parts = key.split("/")
    if any(part in ("", ".", "..") or "\0" in part or len(part.encode()) > MAX_NAME_BYTES for part in parts):
        raise BadInput(f"the key {key!r} cannot be a file's path", remedy="rename the object")
    path = directory.joinpath(*parts)
    path.parent.mkdir(parents=True, exist_ok=True)
    return path
