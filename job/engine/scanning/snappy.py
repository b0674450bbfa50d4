"""Snappy, as some exporters compressed the blocks of their tables: small, bounded, and in Python."""

from typing import Final

MAX_RATIO: Final = 32
"""Declared to stored bytes; the format itself reaches 64 for 3."""


class DamagedError(ValueError):
    """What is no block of Snappy's; the message says why."""


def decompress(block: bytes) -> bytes:
    """Return what a block holds; raises `DamagedError`."""
    size, position = _size(block)
    if size > MAX_RATIO * len(block):
        raise DamagedError(f"a block of {len(block)} bytes declares {size}")
    out = bytearray()
    while position < len(block) and len(out) <= size:
        kind = block[position] & 3
        position = (_literal if kind == 0 else _copy)(block, position, out)
    if len(out) != size:
        raise DamagedError(f"a block declares {size} bytes and holds {len(out)}")
    return bytes(out)


def _size(block: bytes) -> tuple[int, int]:
    size = 0
    for position, byte in enumerate(block[:5]):
        size |= (byte & 0x7F) << 7 * position
        if byte < 0x80:
            return size, position + 1
    raise DamagedError("a block has no size")


def _literal(block: bytes, position: int, out: bytearray) -> int:
    length = (block[position] >> 2) + 1
    position += 1
    if length > 60:
        wide = length - 60
        length = int.from_bytes(block[position : position + wide], "little") + 1
        position += wide
    out += block[position : position + length]
    if position + length > len(block):
        raise DamagedError("a block ends too early")
    return position + length


def _copy(block: bytes, position: int, out: bytearray) -> int:
    tag = block[position]
    kind = tag & 3
    wide = (0, 1, 2, 4)[kind]
    length = (tag >> 2 & 7) + 4 if kind == 1 else (tag >> 2) + 1
    offset = int.from_bytes(block[position + 1 : position + 1 + wide], "little")
    if kind == 1:
        offset |= (tag >> 5) << 8
    if not 0 < offset <= len(out):
        raise DamagedError("a block repeats what it does not hold")
    start = len(out) - offset
    piece = out[start : start + length]
    out += (piece * (length // len(piece) + 1))[:length]
    return position + 1 + wide
