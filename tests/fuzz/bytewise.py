"""Damage that knows nothing of a file's format: what disks, networks and editors do, and what random search does."""

import re
from collections.abc import Callable, Mapping
from random import Random
from typing import Final

INTERESTING: Final = (0, 1, -1, 2**7, 2**15, 2**31 - 1, 2**31, 2**32, 2**40, 2**62, 2**63 - 1, -(2**31), -(2**63))
"""Numbers at the borders of types, and such as no tensor can have elements."""

_NUMBER: Final = re.compile(rb"-?\d+(?:\.\d+)?")
_WORD: Final = re.compile(rb"[A-Za-z_][A-Za-z0-9_/]{2,}")

Mutation = Callable[[bytes, Random], bytes]


def flip_bits(data: bytes, chance: Random) -> bytes:
    """Flip one to eight bits."""
    damaged = bytearray(data)
    for _ in range(chance.choice((1, 1, 1, 2, 4, 8))):
        damaged[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    return bytes(damaged)


def overwrite(data: bytes, chance: Random) -> bytes:
    """Put zeros, ones or noise over up to 64 bytes."""
    start, size = _span(data, chance, 64)
    noise = chance.choice((bytes(size), b"\xff" * size, chance.randbytes(size)))
    return data[:start] + noise + data[start + size :]


def truncate(data: bytes, chance: Random) -> bytes:
    """Lose the end."""
    return data[: chance.randrange(len(data))]


def delete(data: bytes, chance: Random) -> bytes:
    """Lose up to 256 bytes in the middle."""
    start, size = _span(data, chance, 256)
    return data[:start] + data[start + size :]


def insert(data: bytes, chance: Random) -> bytes:
    """Gain up to 64 bytes of noise in the middle."""
    start = chance.randrange(len(data))
    return data[:start] + chance.randbytes(chance.randint(1, 64)) + data[start:]


def repeat(data: bytes, chance: Random) -> bytes:
    """Have up to 256 bytes twice, or a hundred times."""
    start, size = _span(data, chance, 256)
    return data[:start] + data[start : start + size] * chance.choice((2, 2, 100)) + data[start + size :]


def varint(data: bytes, chance: Random) -> bytes:
    """Put an interesting number, as protocol buffers write it, over a byte."""
    start = chance.randrange(len(data))
    return data[:start] + varint_of(chance.choice(INTERESTING)) + data[start + 1 :]


def number(data: bytes, chance: Random) -> bytes:
    """Replace a number of a text by an interesting one; where there is no text, put it somewhere."""
    anywhere = chance.randrange(len(data))
    start, end = chance.choice([found.span() for found in _NUMBER.finditer(data)] or [(anywhere, anywhere)])
    return data[:start] + str(chance.choice(INTERESTING)).encode() + data[end:]


def word(data: bytes, chance: Random) -> bytes:
    """Put one word of the file in the place of another: names of nodes, ops, types and keys are mixed up."""
    found = list(_WORD.finditer(data))
    if len(found) < 2:
        return flip_bits(data, chance)
    one, other = chance.sample(found, 2)
    name = other[0]
    if chance.random() < 0.5:  # of the same length: the lengths that a binary file states still hold
        name = name[: len(one[0])].ljust(len(one[0]), b"_")
    return data[: one.start()] + name + data[one.end() :]


BYTEWISE: Final[Mapping[str, Mutation]] = {
    one.__name__: one for one in (flip_bits, overwrite, truncate, delete, insert, repeat, varint, number, word)
}


def varint_of(value: int) -> bytes:
    """Return a number as protocol buffers write it."""
    value, written = value & (2**64 - 1), bytearray()
    while value >= 0x80:
        written.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes((*written, value))


def _span(data: bytes, chance: Random, most: int) -> tuple[int, int]:
    start = chance.randrange(len(data))
    return start, min(chance.randint(1, most), len(data) - start)
