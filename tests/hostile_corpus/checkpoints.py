"""Checkpoints that TensorFlow aborts on, reads beyond, or gives all memory to; each with the graph that restores it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from tests.hostile_corpus.bundle import entry, floats, header, slice_of, table
from tests.hostile_corpus.case import Case, Outside
from tests.hostile_corpus.messages import field, number, shape, varint
from tests.hostile_corpus.text import FLOAT, VERSIONS, node
from tests.hostile_corpus.text import shape as shape_text

BAD: Final = frozenset({40})
REFUSED: Final = frozenset({42})
DATA: Final = floats(1, 2, 3, 4)
GIB: Final = 2**30

GRAPH: Final = (
    f'node {{ name: "x" op: "Placeholder" attr {{ key: "dtype" value {{ {FLOAT} }} }} '
    f'attr {{ key: "shape" value {{ shape {{ {shape_text(-1, 2)} }} }} }} }}\n'
    + node("w", "VariableV2", dtype=FLOAT, shape=f"shape {{ {shape_text(2, 2)} }}")
    + node("y", "MatMul", "x", "w", T=FLOAT)
    + VERSIONS
)
"""A model of one variable, ``w``, of two by two."""

META: Final = f'meta_info_def {{ tensorflow_version: "1.15.5" }} graph_def {{ {GRAPH} }}\n'


def write(directory: Path, index: bytes, data: bytes = DATA) -> None:
    """Write a checkpoint with its graph."""
    (directory / "model.ckpt.meta").write_text(META)
    (directory / "model.ckpt.index").write_bytes(index)
    (directory / "model.ckpt.data-00000-of-00001").write_bytes(data)


def _case(name: str, tries: str, index: bytes, codes: frozenset[int] = BAD, data: bytes = DATA) -> Case:
    def put(directory: Path, _: Outside) -> None:
        write(directory, index, data)

    return Case(name=f"checkpoint_{name}", tries=tries, codes=codes, write=put)


def _of(entries: Mapping[bytes, bytes]) -> bytes:
    return table({b"": header(), **entries})


def _sparse(directory: Path, _: Outside) -> None:
    """Declare a tensor that is all there, in a file that is nothing but a hole."""
    write(directory, _of({b"w": entry((GIB // 4,), DATA, size=GIB)}), b"")
    with (directory / "model.ckpt.data-00000-of-00001").open("wb") as file:
        file.truncate(GIB)


def _first_version(dims: tuple[int, ...], values: bytes, dtype: int = 1) -> bytes:
    """Return a checkpoint of the first format with the variable ``w``."""
    extents = b"".join(field(1, b"") for _ in dims)
    meta = field(1, field(1, field(1, b"w") + field(2, shape(*dims)) + number(3, dtype) + field(4, extents)))
    key = b"\0w\0\1" + bytes([1, len(dims)] if dims else [0]) + b"\x80\x7f" * len(dims)
    value = field(2, field(1, b"w") + field(2, extents) + field(3, number(1, dtype) + field(5, values)))
    return table({b"": meta, key: value})


def _first(name: str, tries: str, data: bytes) -> Case:
    def put(directory: Path, _: Outside) -> None:
        (directory / "model.ckpt.meta").write_text(META)
        (directory / "model.ckpt").write_bytes(data)

    return Case(name=f"first_version_{name}", tries=tries, codes=BAD, write=put)


_HALVES: Final = field(7, slice_of((0, 1), (0, 2))) + field(7, slice_of((1, 1), (0, 2)))
_FAR: Final = field(7, slice_of((0, 1), (0, 2))) + field(7, slice_of((2**40, 1), (0, 2)))
_HALF: Final = b"\0w\0\1\1\2\x80\x81\x80\x82"
_OTHER_HALF: Final = b"\0w\0\1\1\2\x81\x81\x80\x82"
_BOMB: Final = varint(2**32 - 1) + b"\0\0" + b"\xfe\1\0" * 20

CASES: Final = (
    _case("negative_size", "aborts", _of({b"w": entry((-2, -2), DATA)})),
    _case("overflowing_shape", "aborts", _of({b"w": entry((2**40, 2**40), DATA)})),
    _case("shape_that_wraps_to_16", "aborts", _of({b"w": entry((2**62 + 4, 4), DATA)})),
    _case("rank_300", "aborts", _of({b"w": entry((1,) * 300, DATA[:4])})),
    _case("no_type", "aborts", _of({b"w": entry((2, 2), DATA, dtype=999)})),
    _case("reference_type", "aborts", _of({b"w": entry((2, 2), DATA, dtype=101)})),
    _case("variant", "decodes what it names", _of({b"w": entry((2, 2), DATA, dtype=21)}), REFUSED),
    _case("resource", "uses a pointer of its own", _of({b"w": entry((2, 2), DATA, dtype=20)}), REFUSED),
    _case("declares_more_than_it_stores", "reads beyond its bytes", _of({b"w": entry((2, 200), DATA)})),
    _case("lies_beyond_its_file", "reads beyond its file", _of({b"w": entry((2, 2), DATA, offset=2**40)})),
    _case("takes_8_gb", "takes all memory", _of({b"w": entry((2**31,), DATA, size=2**33)})),
    _case("negative_offset", "reads before its file", _of({b"w": entry((2, 2), DATA, offset=-16)})),
    _case("file_that_is_not_there", "reads another file", _of({b"w": entry((2, 2), DATA, shard=7)})),
    _case("shared_bytes", "becomes a thousand tensors", _of({b"v": entry((2, 2), DATA), b"w": entry((2, 2), DATA)})),
    _case(
        "slice_out_of_shape",
        "writes beyond a tensor",
        _of({_HALF: entry((1, 2), DATA[:8]), b"w": entry((2, 2), b"", more=_FAR)}),
    ),
    _case(
        "slice_of_another_shape",
        "reads beyond a tensor",
        _of(
            {
                _HALF: entry((1, 1), DATA[:4]),
                _OTHER_HALF: entry((1, 2), DATA[:8], offset=8),
                b"w": entry((2, 2), b"", more=_HALVES),
            }
        ),
    ),
    _case("million_files", "waits for files", table({b"": header(2**31 - 1), b"w": entry((2, 2), DATA)})),
    _case("block_elsewhere", "reads beyond its index", table({b"": header(), b"w": entry((2, 2), DATA)}, start=2**50)),
    _case("compressed_bomb", "takes all memory", table({}, compressed=_BOMB)),
    _case("keys_out_of_order", "is not found again", table({b"x": entry((2, 2), DATA), b"": header()})),
    _case("zeros", "is read as a table", b"\0" * 400),
    Case(name="checkpoint_of_a_hole", tries="takes all memory and disk", codes=REFUSED, write=_sparse),
    _first("negative_size", "aborts", _first_version((-2, -2), DATA)),
    _first("too_few_values", "reads beyond its bytes", _first_version((2, 2), DATA[:4])),
    _first("overflowing_shape", "aborts", _first_version((2**40, 2**40), DATA)),
)
