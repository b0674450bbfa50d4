"""A walk over a protocol buffer's wire format, without its schema and without its end."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NamedTuple

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5  # wire types; 3 and 4 are groups, which no graph uses
_FIXED_BYTES: Final = {_FIXED64: 8, _FIXED32: 4}


class Field(NamedTuple):  # there are millions of them, and this is the quickest to make
    """One field: where it starts and ends, and its value: `body` for strings and messages, else `value`.

    `end` is what the field declares; `body` stops where the bytes at hand do.
    """

    number: int
    start: int
    end: int
    is_bytes: bool
    body: bytes = b""
    value: int = 0
    is_cut: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Walk:
    """The fields of one message as far as they were seen, and where the next one would start.

    `is_valid` says that nothing stood in the way: `end` is then at or behind the last byte seen,
    or at a field of which not even the length is complete.
    """

    fields: tuple[Field, ...]
    end: int
    is_valid: bool


class _CutError(Exception):
    """The bytes end within a number."""


class _InvalidError(Exception):
    """This is no protocol buffer."""


def walk(data: bytes) -> Walk:
    """Return the fields at the top of the message that starts with `data`."""
    fields: list[Field] = []
    position = 0
    try:
        while position < len(data):
            fields.append(_field(data, position))
            position = fields[-1].end
    except _CutError:
        pass
    except _InvalidError:
        return Walk(fields=tuple(fields), end=position, is_valid=False)
    return Walk(fields=tuple(fields), end=position, is_valid=True)


def is_message(field: Field, fits: Callable[[Walk], bool]) -> bool:
    """Tell whether a field holds a message that `fits`."""
    return field.is_bytes and fits(walk(field.body))


def text_of(field: Field) -> str:
    """Return a field's printable text; empty if it is none or if it is cut."""
    if not field.is_bytes or field.is_cut:
        return ""
    text = field.body.decode("utf-8", "replace")
    return text if text.isprintable() and "\N{REPLACEMENT CHARACTER}" not in text else ""


def _field(data: bytes, start: int) -> Field:
    tag, position = _varint(data, start)
    number, wire = tag >> 3, tag & 7
    if number == 0 or wire not in (_VARINT, _FIXED64, _BYTES, _FIXED32):
        raise _InvalidError
    if wire == _VARINT:
        value, end = _varint(data, position)
        return Field(number=number, start=start, end=end, is_bytes=False, value=value)
    if wire != _BYTES:
        return Field(number=number, start=start, end=position + _FIXED_BYTES[wire], is_bytes=False)
    size_bytes, position = _varint(data, position)
    end = position + size_bytes
    return Field(number=number, start=start, end=end, is_bytes=True, body=data[position:end], is_cut=end > len(data))


def _varint(data: bytes, position: int) -> tuple[int, int]:
    if position < len(data) and data[position] < 0x80:  # as nearly all are
        return data[position], position + 1
    value = 0
    for shift in range(0, 70, 7):  # a number of 64 bits takes ten bytes at most
        if position >= len(data):
            raise _CutError
        byte = data[position]
        value |= (byte & 0x7F) << shift
        position += 1
        if byte < 0x80:
            return value, position
    raise _InvalidError
