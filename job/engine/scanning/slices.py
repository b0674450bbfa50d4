"""Slices of tensors, as checkpoints store partitioned variables, and the keys that they are stored under."""

from collections.abc import Sequence
from typing import Any, Final

from job.engine.scanning.sizes import DAMAGED
from job.errors import BadInput

FULL: Final = -1
"""The length of a slice that takes all of a dimension."""


def extents_of(proto: Any) -> list[tuple[int, int]]:
    """Return (start, length) of each dimension of a ``TensorSliceProto``."""
    return [(one.start, one.length if one.HasField("length") else FULL) for one in proto.extent]


def is_full(extents: Sequence[tuple[int, int]]) -> bool:
    """Tell a slice that is the whole tensor, which is stored under its plain name."""
    return all(length == FULL for _, length in extents)


def slice_dims(dims: Sequence[int], extents: Sequence[tuple[int, int]], whose: str, where: str) -> list[int]:
    """Return a slice's dimensions; raises `BadInput` for one that reaches out of its tensor."""
    fits = len(dims) == len(extents) and all(
        (length == FULL and start == 0) or (start >= 0 and length >= 0 and start + length <= dim)
        for dim, (start, length) in zip(dims, extents, strict=True)
    )
    if not fits:
        what = f"a slice of {whose} reaches out of its shape {list(dims)}: {list(extents)}"
        raise BadInput(what, where=where, remedy=DAMAGED)
    return [dim if length == FULL else length for dim, (_, length) in zip(dims, extents, strict=True)]


def slice_key(name: bytes, extents: Sequence[tuple[int, int]]) -> bytes:
    """Return the key of a slice's value: zero, name, rank and extents in TensorFlow's order-preserving code."""
    text = (
        name.replace(b"\xff", b"\xff\x00").replace(b"\x00", b"\x00\xff") if b"\xff" in name or b"\0" in name else name
    )
    numbers = b"".join(_signed(number) for extent in extents for number in extent)
    return _unsigned(0) + text + b"\x00\x01" + _unsigned(len(extents)) + numbers


def _unsigned(number: int) -> bytes:
    size = (number.bit_length() + 7) // 8
    return bytes([size]) + number.to_bytes(size, "big")


def _signed(number: int) -> bytes:
    """Code a number in as many bytes as its first bits say: 7 bits of it fit into each."""
    size = (~number if number < 0 else number).bit_length() // 7 + 1
    header = ((1 << size) - 1 << 16 - size & 0xFFFF).to_bytes(2, "big") if size > 1 else b"\x80\x00"
    coded = bytearray(number.to_bytes(10, "big", signed=True)[-size:])
    for at, bits in enumerate(header[:size]):
        coded[at] ^= bits
    return bytes(coded)
