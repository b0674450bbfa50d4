"""Sources for tests: a store in memory, and the smallest files of each format."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from job.errors import JobError
from job.records import Digest, StoredObject
from job.storage.base import Unfinished

TABLE_END = bytes(40) + 0xDB4775248B80FB57.to_bytes(8, "little")


class MemoryStorage:
    """A store that holds a mapping; a file that is an error cannot be read. `reads` counts what was."""

    def __init__(self, files: Mapping[str, bytes | JobError], uri: str = "s3://bucket/models") -> None:
        self.uri = uri
        self.files = dict(files)
        self.reads: list[str] = []

    def supports_create_only(self) -> bool:
        """See `Storage`."""
        return True

    def children(self) -> tuple[str, ...]:
        """See `Storage`."""
        return tuple(dict.fromkeys(key.partition("/")[0] for key in sorted(self.files)))

    def list(self, prefix: str = "") -> Iterator[StoredObject]:
        """See `Storage`."""
        for key, data in sorted(self.files.items()):
            if key.startswith(prefix):
                yield StoredObject(key=key, size_bytes=len(data) if isinstance(data, bytes) else 1)

    def read(self, key: str, *, limit_bytes: int | None = None) -> bytes:
        """See `Storage`."""
        self.reads.append(key)
        data = self.files[key]
        if isinstance(data, JobError):
            raise data
        return data[:limit_bytes]

    def download(self, stored: StoredObject, path: Path) -> Digest:
        """See `Storage`."""
        raise NotImplementedError

    def upload(self, path: Path, key: str) -> None:
        """See `Storage`."""
        raise NotImplementedError

    def create(self, key: str, data: bytes) -> bool:
        """See `Storage`."""
        raise NotImplementedError

    def replace(self, key: str, data: bytes) -> None:
        """See `Storage`."""
        raise NotImplementedError

    def delete(self, key: str) -> None:
        """See `Storage`."""
        raise NotImplementedError

    def digest(self, stored: StoredObject) -> Digest:
        """See `Storage`."""
        raise NotImplementedError

    def swap(self, key: str, old: bytes, new: bytes) -> bool:
        """See `Storage`."""
        raise NotImplementedError

    def unfinished(self) -> Iterator[Unfinished]:
        """See `Storage`."""
        raise NotImplementedError

    def abandon(self, write: Unfinished) -> None:
        """See `Storage`."""
        raise NotImplementedError


def varint(value: int) -> bytes:
    """Write a number as protocol buffers do."""
    return bytes([value]) if value < 0x80 else bytes([value & 0x7F | 0x80]) + varint(value >> 7)


def field(number: int, value: bytes | int) -> bytes:
    """Write one field of a protocol buffer."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def node(name: str = "x", op: str = "Placeholder", attr: bytes = b"") -> bytes:
    """Write a GraphDef with one node; several of them in a row are a GraphDef too."""
    return field(1, field(1, name.encode()) + field(2, op.encode()) + (field(5, attr) if attr else b""))


VERSIONS = field(4, field(1, 134))
LIBRARY = field(2, field(1, field(1, field(1, b"my_function"))))
GRAPH_DEF = node("x") + node("y", "Identity") + VERSIONS
OP_LIST = field(1, field(1, b"Add") + field(2, field(1, b"x")))
META_GRAPH = field(1, field(2, OP_LIST) + field(4, b"serve") + field(5, b"1.15.5")) + field(2, GRAPH_DEF)
SAVED_MODEL = field(1, 1) + field(2, META_GRAPH)
LFS_POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"
HTML = b"<!DOCTYPE html><html><body>404 Not Found</body></html>"
CHECKPOINT_V1 = b"\0\0" + field(0, field(1, field(1, field(1, b"w"))))[1:] + bytes(20) + TABLE_END


def index(shards: int = 1, values: bytes = b"") -> bytes:
    """Write the start and the end of a checkpoint's index, which asks for so many data files.

    `values` stands for the names, shapes and checksums between.
    """
    return b"\0\0" + field(0, field(1, shards) + field(3, field(1, 1)))[1:] + values + bytes(20) + TABLE_END


def checkpoint(
    prefix: str, *, shards: int = 1, meta: bytes | None = META_GRAPH, values: bytes = b""
) -> dict[str, bytes]:
    """Return the files of a whole checkpoint by their keys."""
    files = {f"{prefix}.data-{shard:05}-of-{shards:05}": bytes(2000) for shard in range(shards)}
    return {**files, f"{prefix}.index": index(shards, values), **({f"{prefix}.meta": meta} if meta is not None else {})}


def saved_model(directory: str, main: bytes = SAVED_MODEL) -> dict[str, bytes]:
    """Return the files of a SavedModel with variables and an asset by their keys; `directory` ends with ``/``."""
    variables = checkpoint(f"{directory}variables/variables", meta=None)
    return {f"{directory}saved_model.pb": main, f"{directory}assets/vocab.txt": b"a\nb\n", **variables}
