"""Checkpoints written by hand: sound ones, and such as no TensorFlow writes."""

import struct
from collections.abc import Mapping
from typing import Final

from tests.fuzz.crc32c import masked_crc32c
from tests.hostile_corpus.messages import field, number, shape, varint

FLOAT: Final = 1
_MAGIC: Final = 0xDB4775248B80FB57.to_bytes(8, "little")


def entry(
    dims: tuple[int, ...],
    data: bytes,
    *,
    dtype: int = FLOAT,
    shard: int = 0,
    offset: int = 0,
    size: int | None = None,
    more: bytes = b"",
) -> bytes:
    """Return a ``BundleEntryProto``, with the checksum of `data`."""
    where = number(3, shard) + number(4, offset) + number(5, len(data) if size is None else size)
    checksum = varint(6 << 3 | 5) + struct.pack("<I", masked_crc32c(data))
    return number(1, dtype) + field(2, shape(*dims)) + where + checksum + more


def header(shards: int = 1) -> bytes:
    """Return a ``BundleHeaderProto``."""
    return number(1, shards) + field(3, number(1, 1))


def table(entries: Mapping[bytes, bytes], *, start: int = 0, compressed: bytes = b"") -> bytes:
    """Return a table with one block of data; `start` is where its index says that this is.

    With `compressed`, that is what it holds instead, and says that Snappy made it.
    """
    data = _sealed(compressed or _block(entries), 1 if compressed else 0)
    beyond = _sealed(_block({}), 0)
    handle = varint(start) + varint(len(data) - 5)
    index = _sealed(_block({b"\xff": handle}), 0)
    places = varint(len(data)) + varint(len(beyond) - 5) + varint(len(data) + len(beyond)) + varint(len(index) - 5)
    return data + beyond + index + places.ljust(40, b"\0") + _MAGIC


def _block(entries: Mapping[bytes, bytes]) -> bytes:
    written = b"".join(
        varint(0) + varint(len(key)) + varint(len(value)) + key + value for key, value in entries.items()
    )
    return written + struct.pack("<II", 0, 1)


def _sealed(block: bytes, kind: int) -> bytes:
    return block + bytes([kind]) + struct.pack("<I", masked_crc32c(block + bytes([kind])))


def floats(*values: float) -> bytes:
    """Return numbers as a data file holds them."""
    return struct.pack(f"<{len(values)}f", *values)


def slice_of(*extents: tuple[int, int]) -> bytes:
    """Return a ``TensorSliceProto``."""
    return b"".join(field(1, number(1, start) + number(2, length)) for start, length in extents)
