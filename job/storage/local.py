"""A directory as a store."""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Final

from job.errors import BadInput, Denied, Refused
from job.records import Digest, StoredObject
from job.storage.base import MOST_CHILDREN, Unfinished
from job.storage.files import PART_PREFIX, alone, chunks_of, drain, local_io, place_new, save
from job.storage.holes import check_written
from job.storage.keys import EVERYTHING, Selection, plain
from job.storage.outgoing import noting

_TRIES: Final = 4  # the first, and three more where the file changes meanwhile


class LocalStorage:
    """The files below `root`; keeps the `Storage` contract.

    Directories behind links are not listed. A link to a file is; to read it raises `Refused`
    where it leads out of the root. `uri` is what messages call it, by default the path.
    """

    def __init__(self, root: Path, selection: Selection = EVERYTHING, *, uri: str = "") -> None:
        self.uri = uri or str(root)
        self._root = root
        self._selection = selection

    @property
    def root(self) -> Path:
        """Return the directory: there, what lies in several files can be given its name in one step."""
        return self._root

    def supports_create_only(self) -> bool:
        """See `Storage`; links and exclusive opening are create-only everywhere."""
        with local_io(self._root):
            save(self._root / "probe", [b""], key="probe", place=_forget, durable=False)
        return True

    def list(self, prefix: str = "") -> Iterator[StoredObject]:
        """See `Storage`."""
        narrow = self._selection.narrow(prefix)
        directory = narrow.rpartition("/")[0]
        start = self._root / plain(directory) if directory else self._root
        for stored in _walk(start, f"{directory}/" if directory else "", narrow):
            if stored.key.startswith(prefix) and self._selection.has(stored.key):
                yield stored

    def children(self) -> tuple[str, ...]:
        """See `Storage`."""
        return tuple(entry.name for entry in _entries(self._root)[:MOST_CHILDREN])

    def read(self, key: str, *, limit_bytes: int | None = None) -> bytes:
        """See `Storage`."""
        path = self._readable(key)
        with _reading(path), path.open("rb") as file:
            return file.read(-1 if limit_bytes is None else limit_bytes)

    def download(self, stored: StoredObject, path: Path) -> Digest:
        """See `Storage`; the bytes are of one version of the file."""
        source = self._readable(stored.key)
        for _ in range(_TRIES):
            with suppress(_Changed), local_io(path):
                if not stored.sha256:
                    return save(path, _source_chunks(source), key=stored.key, durable=False)
                chunks = _compared(_source_chunks(source), stored, source)
                return replace(save(path, chunks, key=stored.key, durable=False), verified_by=("sha256",))
        raise BadInput(
            f"the file changed during each of {_TRIES} reads", where=str(source), remedy="run again when it is complete"
        )

    def digest(self, stored: StoredObject) -> Digest:
        """See `Storage`."""
        path = self._readable(stored.key)
        with _reading(path):
            return drain(chunks_of(path), stored.key)

    def upload(self, path: Path, key: str) -> None:
        """See `Storage`."""
        target = self._root / plain(key)
        with local_io(target):
            save(target, noting(path, chunks_of(path)), key=key)

    def create(self, key: str, data: bytes) -> bool:
        """See `Storage`."""
        path = self._root / plain(key)
        with local_io(path):
            try:
                save(path, [data], key=key, place=place_new)
            except FileExistsError:
                if not os.path.lexists(path):  # a file where a directory should be
                    raise
                return False
        return True

    def replace(self, key: str, data: bytes) -> None:
        """See `Storage`."""
        path = self._root / plain(key)
        with local_io(path):
            save(path, [data], key=key)

    def swap(self, key: str, old: bytes, new: bytes) -> bool:
        """See `Storage`; a lock on the directory keeps others of us out meanwhile."""
        path = self._root / plain(key)
        with local_io(path):
            if not path.is_file():
                return False
            with alone(path.parent):
                is_old = path.is_file() and path.read_bytes() == old
                if is_old:
                    save(path, [new], key=key)
        return is_old

    def unfinished(self) -> Iterator[Unfinished]:
        """See `Storage`; these are files that lie beside what they were to become."""
        for directory, _, names in os.walk(self._root):
            for name in names:
                path = Path(directory, name)
                if name.startswith(PART_PREFIX):
                    with suppress(FileNotFoundError):  # it has ended meanwhile
                        key = path.relative_to(self._root).as_posix()
                        yield Unfinished(key=key, begun_s=path.stat().st_mtime)

    def abandon(self, write: Unfinished) -> None:
        """See `Storage`."""
        self.delete(write.key)

    def delete(self, key: str) -> None:
        """See `Storage`; directories left empty go too, as an object store has none."""
        path = self._root / plain(key)
        with local_io(path):
            path.unlink(missing_ok=True)
        with suppress(OSError):  # the first one that is not empty
            for parent in path.relative_to(self._root).parents[:-1]:
                (self._root / parent).rmdir()

    def _readable(self, key: str) -> Path:
        path = self._root / plain(key)
        if not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(self._root)):
            raise Refused("a link leads out of the source", where=str(path), remedy="put the file itself there")
        with _reading(path):
            if path.exists() and not path.is_file():
                raise BadInput("this is no file", where=str(path))
        return path


def _walk(directory: Path, above: str, prefix: str) -> Iterator[StoredObject]:
    """Yield what is below `directory` in the order of the keys, which begin with `above`.

    Directories in which no key can begin with `prefix` are not looked into. No recursion: a tree may be deeper.
    """
    open_ = [(above, iter(_entries(directory)))]
    while open_:
        above, entries = open_[-1]
        entry = next(entries, None)
        if entry is None:
            open_.pop()
        elif entry.is_dir(follow_symlinks=False):
            below = f"{above}{entry.name}/"
            if below.startswith(prefix) or prefix.startswith(below):
                open_.append((below, iter(_entries(entry.path))))
        elif _is_object(entry):
            with suppress(FileNotFoundError):  # deleted meanwhile
                stat = _stat(entry)
                yield StoredObject(
                    key=above + entry.name,
                    size_bytes=stat.st_size,
                    etag=str(stat.st_mtime_ns),
                    modified_s=stat.st_mtime,
                )


def _entries(directory: Path | str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(directory) as entries:
            # "a.b" comes before "a/b", as these are keys
            return sorted(entries, key=lambda entry: entry.name + "/" * entry.is_dir(follow_symlinks=False))
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        remedy = f"let user {os.getuid()} read it"
        raise Denied(
            f"the directory cannot be listed: {error.strerror}", where=str(directory), remedy=remedy
        ) from error


def _is_object(entry: os.DirEntry[str]) -> bool:
    """Leave out what is half-written, directories behind links, and devices, pipes and sockets."""
    if entry.name.startswith(PART_PREFIX):
        return False
    if entry.is_symlink():
        with suppress(OSError):  # a link whose target may not be seen: reading it will say so
            return not entry.is_dir()
    return entry.is_symlink() or entry.is_file(follow_symlinks=False)


def _stat(entry: os.DirEntry[str]) -> os.stat_result:
    try:
        return entry.stat()
    except OSError:  # a link that leads nowhere
        return entry.stat(follow_symlinks=False)


def _compared(chunks: Iterator[bytes], stored: StoredObject, source: Path) -> Iterator[bytes]:
    """Pass on a file's bytes; raises `BadInput` at their end if they are not those that a user told of."""
    hasher = hashlib.sha256()
    for chunk in chunks:
        hasher.update(chunk)
        yield chunk
    if hasher.hexdigest() != stored.sha256:
        what = f"the file is damaged: its sha256 is {hasher.hexdigest()}, and {stored.sha256} was expected"
        raise BadInput(what, where=str(source), remedy="copy it again, or correct the checksum that is kept of it")


class _Changed(Exception):
    """A file became another while it was read."""


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise BadInput(
            "the file is not there", where=str(path), remedy="check its name, or whether it was moved"
        ) from error
    except OSError as error:
        remedy = f"let user {os.getuid()} read it, or check the disk"
        raise BadInput(f"the file cannot be read: {error.strerror}", where=str(path), remedy=remedy) from error


def _source_chunks(path: Path) -> Iterator[bytes]:
    with _reading(path):
        before = _version(path)
        check_written(path)
        yield from chunks_of(path)
        if _version(path) != before:
            raise _Changed


def _version(path: Path) -> tuple[int, int, int]:
    stat = path.stat()
    return stat.st_ino, stat.st_size, stat.st_mtime_ns


def _forget(_part: Path, _path: Path) -> None:
    """Place nothing: whether the directory can be written to is all that a probe asks."""
