"""The sorted table (SSTable of LevelDB) that a checkpoint's index is, and a checkpoint of the first format whole.

Checksums are left to TensorFlow, which compares each before it looks into a block: here it counts
that nothing in a block can lead it astray.
"""

from collections.abc import Iterator
from mmap import mmap
from typing import Final

from job.engine.scanning import snappy
from job.errors import BadInput, Refused

MAX_KEY_BYTES: Final = 4096
"""A key is a variable's name, with some bytes more for a slice of it."""

MAX_KEYS_BYTES: Final = 256 * 2**20
"""All keys together, which share their beginnings in the file."""

Data = bytes | mmap

_FOOTER_BYTES: Final = 48
_TRAILER_BYTES: Final = 5  # the kind of compression and a checksum
_MAGIC: Final = 0xDB4775248B80FB57.to_bytes(8, "little")
_COPY_AGAIN: Final = "copy it again from where it was made"


class _DamagedError(ValueError):
    """A table that no writer writes; the message says how."""


def entries(data: Data, where: str) -> Iterator[tuple[bytes, bytes]]:
    """Yield every (key, value) of a table, in the order of the keys.

    Raises `BadInput` for what is damaged, `Refused` for keys that are too long.
    """
    keys_bytes = 0
    try:
        for key, value in _ordered(data):
            keys_bytes += len(key)
            if len(key) > MAX_KEY_BYTES or keys_bytes > MAX_KEYS_BYTES:
                raise Refused("the table's keys take too much memory", where=where, remedy=_COPY_AGAIN)
            yield key, value
    except (_DamagedError, snappy.DamagedError) as error:
        raise BadInput(f"the table is damaged: {error}", where=where, remedy=_COPY_AGAIN) from error


def _ordered(data: Data) -> Iterator[tuple[bytes, bytes]]:
    last = None
    for handle in _handles(data):
        for key, value in _entries(_block(data, *handle)):
            if last is not None and key <= last:
                raise _DamagedError(f"the key {key[:80]!r} is out of order")
            last = key
            yield key, value


def _handles(data: Data) -> Iterator[tuple[int, int]]:
    """Yield where each data block starts and how long it is: one after the other, as they were written."""
    footer = data[-_FOOTER_BYTES:]
    if len(footer) < _FOOTER_BYTES or not footer.endswith(_MAGIC):
        raise _DamagedError("its end is missing")
    _, position = _handle(footer, 0)
    index, _ = _handle(footer, position)
    end = 0
    for key, value in _entries(_block(data, *index)):
        if len(key) > MAX_KEY_BYTES:  # every key after it might copy it
            raise _DamagedError(f"its index has a key of {len(key)} bytes")
        (start, size), _ = _handle(value, 0)
        if start < end:
            raise _DamagedError(f"the block at byte {start} overlaps the one before")
        end = start + size
        yield start, size


def _block(data: Data, start: int, size: int) -> bytes:
    trailer = start + size
    if trailer + _TRAILER_BYTES > len(data):
        raise _DamagedError(f"the block at byte {start} ends at byte {trailer}, the file at {len(data)}")
    kind = data[trailer]
    if kind > 1:
        raise _DamagedError(f"the block at byte {start} is compressed in an unknown way, {kind}")
    block = data[start:trailer]
    return snappy.decompress(block) if kind else block


def _entries(block: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield the entries of one block; a key begins with `shared` bytes of the one before."""
    restarts = int.from_bytes(block[-4:], "little")
    end = len(block) - 4 * (restarts + 1)
    if len(block) < 4 or end < 0:
        raise _DamagedError("a block has no end")
    key, position = b"", 0
    while position < end:
        shared, position = _varint(block, position)
        unshared, position = _varint(block, position)
        size, position = _varint(block, position)
        if shared > len(key) or position + unshared + size > end:
            raise _DamagedError("an entry reaches out of its block")
        key = key[:shared] + block[position : position + unshared]
        position += unshared + size
        yield key, block[position - size : position]


def _handle(data: bytes, position: int) -> tuple[tuple[int, int], int]:
    start, position = _varint(data, position)
    size, position = _varint(data, position)
    return (start, size), position


def _varint(data: bytes, position: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 64, 7):
        if position >= len(data):
            break
        byte = data[position]
        value |= (byte & 0x7F) << shift
        position += 1
        if byte < 0x80:
            return value, position
    raise _DamagedError("a number has no end")
