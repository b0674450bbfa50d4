"""What the job needs of a store; `open_storage` picks one by its URI."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from job.records import Digest, StoredObject

MOST_CHILDREN: Final = 1000
"""As many as S3 lists in one answer."""


@dataclass(frozen=True, kw_only=True)
class Unfinished:
    """A write that has begun and not ended: its writer is at work, or has died. `upload` is the store's name for it."""

    key: str
    begun_s: float
    upload: str = ""


class Storage(Protocol):
    """A tree of objects below one root; keys are relative to it and use ``/``.

    Every method raises a `JobError`: `Denied` (bucket missing, no permission), `NoInput` (the
    root of a source does not exist), `BadInput` (one object cannot be read or vanished),
    `StorageError` (failed after all retries), `LocalIOError` (this machine's file system).
    """

    uri: str

    def supports_create_only(self) -> bool:
        """Write a probe; return whether `create` never overwrites, whoever else is writing.

        Called before any work, it shows at once that the root cannot be written to.
        """

    def list(self, prefix: str = "") -> Iterator[StoredObject]:
        """Yield every object whose key starts with `prefix`, sorted by key; nothing if there is none."""

    def children(self) -> tuple[str, ...]:
        """Return the names directly below the root, of a large one the first thousand: it takes one request."""

    def read(self, key: str, *, limit_bytes: int | None = None) -> bytes:
        """Return an object's first `limit_bytes` bytes, or all of it."""

    def download(self, stored: StoredObject, path: Path) -> Digest:
        """Write an object to `path` (whole or not at all) and return its digest."""

    def digest(self, stored: StoredObject) -> Digest:
        """Read an object to its end, keep none of it, and return its digest."""

    def upload(self, path: Path, key: str) -> None:
        """Store a file; a reader never sees half of it."""

    def create(self, key: str, data: bytes) -> bool:
        """Store `data` unless `key` exists; return whether this call stored it."""

    def replace(self, key: str, data: bytes) -> None:
        """Store `data` at `key` whatever was there; a reader sees the old or the new."""

    def swap(self, key: str, old: bytes, new: bytes) -> bool:
        """Store `new` at `key` if `old` is what is there; return whether this call stored it.

        In a store that cannot compare, of two that do so at the same time the last one wins.
        """

    def delete(self, key: str) -> None:
        """Remove an object; it is no error if there is none."""

    def unfinished(self) -> Iterator[Unfinished]:
        """Yield what was begun to be written and is no object yet, in no order."""

    def abandon(self, write: Unfinished) -> None:
        """Remove what there is of such a write; it is no error if it has ended meanwhile."""
