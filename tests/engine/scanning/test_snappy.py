import time

import pytest

from job.engine.scanning.snappy import DamagedError, decompress

TEXT = b"Wikipedia is a free, web-based, collaborative, multilingual encyclopedia project."
LONG = bytes(range(256)) * 3


@pytest.mark.parametrize(
    ("block", "content"),
    [
        (bytes([len(TEXT), 0xF0, len(TEXT) - 1]) + TEXT, TEXT),
        (b"\x03\x08abc", b"abc"),
        (b"\x0b\x04ab\x15\x02", b"ab" * 5 + b"a"),
        (b"\x08\x04ab\x16\x02\x00", b"ab" * 4),
        (b"\x08\x04ab\x17\x02\x00\x00\x00", b"ab" * 4),
        (b"\x80\x06\xf4\xff\x02" + LONG, LONG),
        (b"\x00", b""),
    ],
)
def test_block_is_as_it_was(block: bytes, content: bytes) -> None:
    """Literals of every length, and repetitions that reach into themselves."""
    assert decompress(block) == content


def test_time_is_linear_in_the_size() -> None:
    """Repetitions that reach far back copy what they repeat, and not all that is between."""
    pieces = 2**17
    far_back = b"\x17" + (2**20).to_bytes(4, "little")  # six bytes, from the beginning
    size = 2**20 + 6 * pieces
    block = b"\x80\x80" + bytes([size >> 14]) + b"\xf8\xff\xff\x0f" + bytes(2**20) + far_back * pieces
    start = time.process_time()
    assert decompress(block) == bytes(size)
    assert time.process_time() - start < 2


@pytest.mark.parametrize(
    ("block", "said"),
    [
        (b"\xff\xff\xff\xff\x0f\x00\x00", "of 7 bytes declares 4294967295"),
        (b"\xff\xff\xff\xff\xff\xff", "has no size"),
        (b"", "has no size"),
        (b"\x05\x10ab", "ends too early"),
        (b"\x05\x04ab\x05\x03", "repeats what it does not hold"),
        (b"\x05\x04ab\x05\x00", "repeats what it does not hold"),
        (b"\x05\x04ab", "declares 5 bytes and holds 2"),
        (b"\x01\x04ab", "declares 1 bytes and holds 2"),
    ],
)
def test_damage_is_told(block: bytes, said: str) -> None:
    """Nothing is made of a block that is more than it can be."""
    with pytest.raises(DamagedError, match=said):
        decompress(block)
