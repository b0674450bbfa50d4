"""What the job needs of a store; `open_storage` picks one by its URI."""

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from job.records import Digest, StoredObject


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

    def read(self, key: str, *, limit_bytes: int | None = None) -> bytes:
        """Return an object's first `limit_bytes` bytes, or all of it."""

    def download(self, stored: StoredObject, path: Path) -> Digest:
        """Write an object to `path` (whole or not at all) and return its digest."""

    def upload(self, path: Path, key: str) -> None:
        """Store a file; a reader never sees half of it."""

    def create(self, key: str, data: bytes) -> bool:
        """Store `data` unless `key` exists; return whether this call stored it."""

    def replace(self, key: str, data: bytes) -> None:
        """Store `data` at `key` whatever was there; a reader sees the old or the new."""

    def delete(self, key: str) -> None:
        """Remove an object; it is no error if there is none."""
