"""Files on this machine: written whole or not at all, their errors told in one line."""

import errno
import fcntl
import hashlib
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final
from uuid import uuid4

from job.errors import LocalIOError
from job.records import Digest

PART_PREFIX: Final = ".tf1lift-part-"
"""Begins the name of a file that is still being written, or was when its writer died."""

_CHUNK_BYTES: Final = 1 << 20
_NO_LINKS: Final = (errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP, errno.EMLINK)
_REMEDIES: Final = {
    errno.ENOSPC: "free space, or choose another directory",
    errno.EDQUOT: "free space, or choose another directory",
    **dict.fromkeys(
        (errno.EEXIST, errno.ENOTDIR), "a file lies where a directory is wanted: move it, or choose another directory"
    ),
    errno.EROFS: "mount it writable, or choose another directory",
    errno.EACCES: f"give user {os.getuid()} permission, or choose another directory",
    errno.EPERM: f"give user {os.getuid()} permission, or choose another directory",
}

Place = Callable[[Path, Path], None]
"""How a finished file gets its name: (temporary path, path)."""


@contextmanager
def local_io(path: Path) -> Iterator[None]:
    """Raise what the file system says as `LocalIOError`, naming the file or else `path`."""
    try:
        yield
    except OSError as error:
        remedy = _REMEDIES.get(error.errno or 0, "check the file system, or choose another directory")
        where = str(error.filename or path)
        raise LocalIOError(f"local file error: {error.strerror or error}", where=where, remedy=remedy) from error


def chunks_of(path: Path) -> Iterator[bytes]:
    """Yield a file's bytes; raises `OSError`."""
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            yield chunk


def held_below(directory: Path) -> int:
    """Return how many bytes there are in the files below a directory, half-written ones too, as far as can be seen."""
    size_bytes = 0
    for path in directory.rglob("*"):
        with suppress(OSError):  # it was given its name meanwhile
            size_bytes += path.lstat().st_size if path.is_file() else 0
    return size_bytes


def digest_of(path: Path, key: str) -> Digest:
    """Return the digest of a file of ours under the name `key`; raises `LocalIOError`."""
    with local_io(path):
        return drain(chunks_of(path), key)


def save(path: Path, chunks: Iterable[bytes], *, key: str, place: Place = os.replace, durable: bool = True) -> Digest:
    """Write `chunks` beside `path`, give the file its name when all is there, return its digest.

    `durable` makes it survive a power cut. Raises `OSError`, and what `chunks` raises.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(PART_PREFIX + uuid4().hex)
    try:
        with part.open("xb") as file:
            digest = drain(chunks, key, into=file.write)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        place(part, path)
    finally:
        part.unlink(missing_ok=True)
    if durable:
        _sync_directory(path.parent)
    return digest


def place_new(part: Path, path: Path) -> None:
    """Name a file unless the name is taken; raises `FileExistsError`.

    A file system without hard links (a bucket mounted as one) gets a copy: create-only still, but
    not in one step.
    """
    try:
        path.hardlink_to(part)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        with path.open("xb") as file:
            file.write(part.read_bytes())
            os.fsync(file.fileno())


def drain(chunks: Iterable[bytes], key: str, *, into: Callable[[bytes], object] = len) -> Digest:
    """Return the digest of `chunks`, under the name `key`, having passed each on; raises what they and `into` raise."""
    hasher, size_bytes = hashlib.sha256(), 0
    for chunk in chunks:
        into(chunk)
        hasher.update(chunk)
        size_bytes += len(chunk)
    return Digest(key=key, size_bytes=size_bytes, sha256=hasher.hexdigest())


@contextmanager
def alone(directory: Path) -> Iterator[None]:
    """Keep others of us out of `directory` meanwhile, where the file system knows locks; raises `OSError`."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        with suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _sync_directory(directory: Path) -> None:
    """Make a new name survive a power cut, where the file system knows how."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        with suppress(OSError):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
