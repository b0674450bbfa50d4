"""A store whose changes a test can watch, and keep from happening."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from job.records import Digest, StoredObject
from job.storage.base import Storage, Unfinished


class Watched:
    """A store that tells `before` and `after` of every change; a test lets them raise."""

    def __init__(self, store: Storage) -> None:
        self.uri = store.uri
        self.store = store
        self.before: Callable[[str, str], None] = lambda _action, _key: None
        self.after: Callable[[str, str], None] = lambda _action, _key: None

    def supports_create_only(self) -> bool:
        """See `Storage`."""
        return self.store.supports_create_only()

    def list(self, prefix: str = "") -> Iterator[StoredObject]:
        """See `Storage`."""
        return self.store.list(prefix)

    def children(self) -> tuple[str, ...]:
        """See `Storage`."""
        return self.store.children()

    def read(self, key: str, *, limit_bytes: int | None = None) -> bytes:
        """See `Storage`."""
        return self.store.read(key, limit_bytes=limit_bytes)

    def download(self, stored: StoredObject, path: Path) -> Digest:
        """See `Storage`."""
        return self.store.download(stored, path)

    def upload(self, path: Path, key: str) -> None:
        """See `Storage`."""
        self._told("upload", key, lambda: self.store.upload(path, key))

    def create(self, key: str, data: bytes) -> bool:
        """See `Storage`."""
        return bool(self._told("create", key, lambda: self.store.create(key, data)))

    def replace(self, key: str, data: bytes) -> None:
        """See `Storage`."""
        self._told("replace", key, lambda: self.store.replace(key, data))

    def swap(self, key: str, old: bytes, new: bytes) -> bool:
        """See `Storage`."""
        return bool(self._told("swap", key, lambda: self.store.swap(key, old, new)))

    def delete(self, key: str) -> None:
        """See `Storage`."""
        self._told("delete", key, lambda: self.store.delete(key))

    def digest(self, stored: StoredObject) -> Digest:
        """See `Storage`."""
        return self.store.digest(stored)

    def unfinished(self) -> Iterator[Unfinished]:
        """See `Storage`."""
        return self.store.unfinished()

    def abandon(self, write: Unfinished) -> None:
        """See `Storage`."""
        self._told("abandon", write.key, lambda: self.store.abandon(write))

    def _told(self, action: str, key: str, change: Callable[[], Any]) -> Any:
        self.before(action, key)
        done = change()
        self.after(action, key)
        return done
