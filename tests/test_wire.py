import pytest

from job.wire import text_of, walk
from tests.sources import field, node, varint


def test_walk_finds_fields_of_every_wire_type() -> None:
    """Numbers, strings and both fixed widths are stepped over with their declared sizes."""
    data = field(1, 300) + field(2, b"abc") + b"\x19" + bytes(8) + b"\x25" + bytes(4)
    seen = walk(data)
    assert [(found.number, found.value, found.body) for found in seen.fields] == [
        (1, 300, b""),
        (2, 0, b"abc"),
        (3, 0, b""),
        (4, 0, b""),
    ]
    assert (seen.end, seen.is_valid) == (len(data), True)


def test_walk_says_where_a_cut_message_would_end() -> None:
    """A field that goes on behind the bytes at hand keeps its declared end and what there is of its body."""
    whole = node("conv", "Conv2D", bytes(100))
    seen = walk(whole[:50])
    assert (seen.end, seen.is_valid, seen.fields[0].is_cut) == (len(whole), True, True)
    assert seen.fields[0].body == whole[2:50]


def test_walk_stops_before_a_length_that_is_cut() -> None:
    """Not even the length of the last field is there: the walk ends where that field starts, and is valid."""
    data = field(1, b"abc") + b"\x12\x80"
    assert (walk(data).end, walk(data).is_valid) == (5, True)


@pytest.mark.parametrize(
    "data", [b"\x0b", b"\x00", b"\x0e", b"\x08" + b"\xff" * 11], ids=["group", "number 0", "wire 6", "long"]
)
def test_walk_refuses_what_is_no_protocol_buffer(data: bytes) -> None:
    """Groups, field number 0, unknown wire types and endless numbers end the walk as invalid."""
    assert not walk(data).is_valid


def test_text_of_gives_only_whole_printable_text() -> None:
    """A message, a cut string and bytes that are no UTF-8 are no text."""
    assert [text_of(walk(field(1, body)).fields[0]) for body in (b"serve", b"\x0a\x01x", b"\xff\xfe")] == [
        "serve",
        "",
        "",
    ]
    assert text_of(walk(field(1, b"serve")[:-1]).fields[0]) == ""
    assert text_of(walk(b"\x08" + varint(5)).fields[0]) == ""
