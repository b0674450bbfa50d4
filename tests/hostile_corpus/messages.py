"""Protocol buffers byte by byte, as no library would write them."""


def varint(value: int) -> bytes:
    """Return a number as it stands in a message; a negative one takes ten bytes."""
    value &= 2**64 - 1
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def number(tag: int, value: int) -> bytes:
    """Return a field that holds a number."""
    return varint(tag << 3) + varint(value)


def field(tag: int, body: bytes) -> bytes:
    """Return a field that holds bytes, a text or a message."""
    return varint(tag << 3 | 2) + varint(len(body)) + body


def shape(*dims: int) -> bytes:
    """Return a ``TensorShapeProto``."""
    return b"".join(field(2, number(1, dim)) for dim in dims)
