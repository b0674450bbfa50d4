"""How much of each local file has gone to a store so far: what a display asks while an upload lasts."""

import io
import os
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from threading import Lock

_sent_bytes = defaultdict[Path, int](int)
_lock = Lock()  # a store sends the parts of one file in several threads


def note_sent(path: Path, size_bytes: int) -> None:
    """Note that more of a file has gone out; less than nothing where it has to go once more."""
    with _lock:
        _sent_bytes[path] += size_bytes


def noting(path: Path, chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Pass on a file's bytes, and note them."""
    for chunk in chunks:
        yield chunk
        note_sent(path, len(chunk))


class Outgoing(io.FileIO):
    """A file that notes what is read of it as gone; what is read once more, after a failure, is taken back."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._path, self._noted_bytes = path, 0

    def read(self, size: int | None = -1) -> bytes:
        """See `io.FileIO`."""
        data = super().read(-1 if size is None else size)
        self._note(self._noted_bytes + len(data))
        return data

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """See `io.FileIO`; a look at where the file ends sends nothing."""
        position = super().seek(offset, whence)
        self._note(min(position, self._noted_bytes))
        return position

    def _note(self, size_bytes: int) -> None:
        note_sent(self._path, size_bytes - self._noted_bytes)
        self._noted_bytes = size_bytes


def sent_below(directory: Path) -> int:
    """Return how many bytes of the files below a directory have gone out."""
    with _lock:
        return sum(size_bytes for path, size_bytes in _sent_bytes.items() if directory in path.parents)


def forget_below(directory: Path) -> None:
    """Forget what has gone out of a directory's files."""
    with _lock:
        for path in [path for path in _sent_bytes if directory in path.parents]:
            del _sent_bytes[path]
