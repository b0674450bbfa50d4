"""Take the regular files out of an archive that somebody else made, and nothing else."""

import bz2
import errno
import gzip
import io
import lzma
import posixpath
import re
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final, TypeVar, cast

from job.errors import BadInput, Refused
from job.pulling import local_path
from job.records import LeftAlone
from job.storage.files import local_io, save

MAX_ENTRIES: Final = 100_000
"""As many as discovery is measured with; a model has some dozens, a data set more."""

MAX_UNPACKED_BYTES: Final = 128 * 2**30
"""More than any TF1 model: a graph ends at 2 GiB, and of checkpoints the largest embeddings take some tens of GiB."""

MAX_RATIO: Final = 100
"""Weights shrink by a tenth, graphs as text to a twentieth; what shrinks to a hundredth holds nothing but zeros."""

FREE_BYTES: Final = 256 * 2**20
"""Up to here the ratio does not count: a small model may well be all zeros."""

MAX_READ_BYTES: Final = 16 * 2**20
"""The most that is read into memory at once: a list of 100,000 entries takes 10 MiB."""

_CHUNK_BYTES: Final = 2**20
_PATH_BYTES: Final = 4096
_ENCRYPTED: Final = 1  # a bit of an entry's flags
_SPECIAL: Final = "no regular file: a device, a pipe or the like"
_OPENERS: Final = ((b"\x1f\x8b", gzip.open), (b"BZh", bz2.open), (b"\xfd7zXZ\0", lzma.open))
_COPY_AGAIN: Final = "copy it again from where it is whole"
_UNPACK: Final = "if you trust it, unpack it yourself and name the directory"


Member = TypeVar("Member")


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One entry of an archive: the bytes of a regular file, or why another one is skipped.

    `target` is where a link leads, seen from the archive's root.
    """

    name: str
    chunks: Iterator[bytes] | None = None
    skipped: str = ""
    target: str = ""


def unpack(archive: Path, directory: Path, where: str) -> tuple[LeftAlone, ...]:
    """Write an archive's regular files below `directory`; returns what else it holds, and why that is left.

    `where` names the archive in messages. Raises `BadInput` for one that is damaged or encrypted,
    `Refused` for one that reaches out of the directory or grows beyond the limits above, and `LocalIOError`.
    """
    limit_bytes = min(MAX_UNPACKED_BYTES, max(FREE_BYTES, MAX_RATIO * archive.stat().st_size))
    left_alone: list[LeftAlone] = []
    room_bytes = limit_bytes
    for entry in _entries(archive, limit_bytes, where):
        key = _key(entry.name, where)
        if _leads_out(entry.target):
            what = f"the archive holds a link that leads out of it: {key}, to {entry.target!r}"
            raise Refused(what, where=where, remedy=_UNPACK)
        if entry.chunks is None:
            left_alone.append(LeftAlone(key=key, reason=entry.skipped))
        elif key:
            room_bytes -= _write(directory, key, _within(room_bytes, entry.chunks, where), where)
    return tuple(left_alone)


def _write(directory: Path, key: str, chunks: Iterator[bytes], where: str) -> int:
    try:
        return save(local_path(directory, key), chunks, key=key, durable=False).size_bytes
    except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
        what = f"the archive holds a file and a directory of one name: {key}"
        raise BadInput(what, where=where, remedy=_UNPACK) from error
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            what = f"the archive holds a path that is longer than this system's: {key[:80]}… ({len(key)} characters)"
            raise BadInput(what, where=where, remedy=_UNPACK) from error
        with local_io(directory):
            raise


def _key(name: str, where: str) -> str:
    """Return an entry's name without what means nothing (``./a//b``); raises `Refused` for one that reaches out."""
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if name.startswith("/") or ".." in parts or re.match(r"[A-Za-z]:", name):
        raise Refused(f"the archive reaches out of its directory: {name!r}", where=where, remedy=_UNPACK)
    return "/".join(parts)


def _leads_out(target: str) -> bool:
    end = posixpath.normpath(target)
    return end.startswith(("/", "../")) or end == ".."


def _within(room_bytes: int, chunks: Iterator[bytes], where: str) -> Iterator[bytes]:
    for chunk in chunks:
        room_bytes -= len(chunk)
        if room_bytes < 0:
            raise _too_large(where)
        yield chunk


def _too_large(where: str) -> Refused:
    what = f"the archive grows to more than {MAX_RATIO} times its size, or than {MAX_UNPACKED_BYTES / 2**30:.0f} GiB"
    return Refused(what, where=where, remedy=f"it may be a bomb; {_UNPACK}")


def _entries(archive: Path, limit_bytes: int, where: str) -> Iterator[Entry]:
    with local_io(archive), archive.open("rb") as file:
        magic = file.read(6)
    opener = next((opener for start, opener in _OPENERS if magic.startswith(start)), open)
    with _damage_told(where), cast("IO[bytes]", opener(archive, "rb")) as stream:
        bounded = cast("IO[bytes]", _Bounded(stream, limit_bytes, where))
        yield from (_zip_entries if magic.startswith(b"PK") else _tar_entries)(bounded, where)


def _tar_entries(stream: IO[bytes], where: str) -> Iterator[Entry]:
    with tarfile.open(fileobj=stream, mode="r:") as tar:
        for member in _counted(tar, where):
            if member.isreg():
                content = cast("IO[bytes]", tar.extractfile(member))
                yield Entry(name=member.name, chunks=_chunks(content, where))
            elif member.issym():
                yield _link(member.name, member.linkname, posixpath.dirname(member.name))
            elif member.islnk():
                yield _link(member.name, member.linkname, "")
            elif not member.isdir():
                yield Entry(name=member.name, skipped=_SPECIAL)
    for chunk in _chunks(stream, where):  # to the very end, where what compressed it has its checksum
        if chunk.strip(b"\0"):  # tarfile takes a damaged header for the end
            raise BadInput("the archive is damaged: data follows its end", where=where, remedy=_COPY_AGAIN)


def _zip_entries(stream: IO[bytes], where: str) -> Iterator[Entry]:
    with zipfile.ZipFile(stream) as archive:
        for info in _counted(archive.infolist(), where):
            name = info.filename.replace("\\", "/")  # as some programs on Windows write it
            kind = stat.S_IFMT(info.external_attr >> 16)
            if info.is_dir() or name.endswith("/"):
                continue
            if info.flag_bits & _ENCRYPTED:
                raise BadInput("the archive is encrypted", where=where, remedy="unpack it and name what is inside")
            with archive.open(info) as content:
                if kind == stat.S_IFLNK:
                    yield _link(name, content.read(_PATH_BYTES).decode("utf-8", "replace"), posixpath.dirname(name))
                elif kind in (0, stat.S_IFREG):
                    yield Entry(name=name, chunks=_chunks(content, where))
                else:
                    yield Entry(name=name, skipped=_SPECIAL)


def _counted(members: Iterable[Member], where: str) -> Iterator[Member]:
    for count, member in enumerate(members, start=1):
        if count > MAX_ENTRIES:
            raise Refused(f"the archive has more than {MAX_ENTRIES:,} entries", where=where, remedy=_UNPACK)
        yield member


def _link(name: str, target: str, directory: str) -> Entry:
    reason = f"a link to {target!r}, which is not followed: put the file itself in its place"
    return Entry(name=name, skipped=reason, target=posixpath.join(directory, target))


def _chunks(content: IO[bytes], where: str) -> Iterator[bytes]:
    with _damage_told(where):
        while chunk := content.read(_CHUNK_BYTES):
            yield chunk


class _Bounded:
    """What an archive is read through: it ends reading where that would take too much memory or too long."""

    def __init__(self, stream: IO[bytes], limit_bytes: int, where: str) -> None:
        self._stream, self._limit_bytes, self._where = stream, limit_bytes, where
        self.tell, self.seekable, self.close = stream.tell, stream.seekable, stream.close

    def read(self, size: int = -1) -> bytes:
        if size > MAX_READ_BYTES:
            raise Refused("the archive's own notes take too much memory", where=self._where, remedy=_UNPACK)
        data = self._stream.read(size)
        if self._stream.tell() > self._limit_bytes:
            raise _too_large(self._where)
        return data

    def seek(self, offset: int, whence: int = 0) -> int:
        if whence == io.SEEK_SET and offset > self._limit_bytes:
            raise _too_large(self._where)
        return self._stream.seek(offset, whence)


_DAMAGE: Final = (
    *(tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error),
    *(EOFError, OSError, ValueError, ArithmeticError, LookupError),
)


@contextmanager
def _damage_told(where: str) -> Iterator[None]:
    """Translate what the readers of archives raise."""
    try:
        yield
    except _DAMAGE as error:
        what = f"the archive is damaged: {error or 'it ends too early'}"
        raise BadInput(what, where=where, remedy=_COPY_AGAIN) from error
    except (NotImplementedError, RuntimeError) as error:  # a method of compression that Python does not know
        raise BadInput(f"the archive cannot be read: {error}", where=where, remedy=_UNPACK) from error
