"""How large tensors say that they are, and how large they can be for what is stored of them."""

import math
from collections.abc import Sequence
from typing import Final

from tensorflow.core.framework import tensor_shape_pb2, types_pb2

from job.errors import BadInput, Refused

DAMAGED: Final = "the file is damaged, or made to do harm; copy it again from where it was made"

MAX_RANK: Final = 32
"""TensorFlow ends at 254 dimensions and NumPy at 64; models end at 8 or so."""

SMALL_BYTES: Final = 64 * 2**20
MOST_FOLDED: Final = 1000
"""Declared bytes above `SMALL_BYTES` may be so many times the stored ones: one value may stand for many."""

MAX_GRAPH_BYTES: Final = 64 * 2**30
"""What the constants of a graph may declare together."""

STRING_BYTES: Final = 24
"""What TensorFlow takes for a string, were it empty."""

_MOST: Final = 2**63 - 1
_REFERENCE: Final = 100  # a DT_..._REF is so much more than its type
_HANDLES: Final = (types_pb2.DT_RESOURCE, types_pb2.DT_VARIANT)
_WIDE: Final = {
    2: ("INT16", "UINT16", "QINT16", "QUINT16", "HALF", "BFLOAT16"),
    4: ("FLOAT", "INT32", "UINT32", "QINT32"),
    8: ("DOUBLE", "INT64", "UINT64", "COMPLEX64"),
    16: ("COMPLEX128",),
    STRING_BYTES: ("STRING",),
}
_BYTES: Final = {types_pb2.DataType.Value(f"DT_{name}"): size for size, names in _WIDE.items() for name in names}


def check_type(dtype: int, whose: str, where: str) -> None:
    """Raise `BadInput` for a type that TensorFlow does not have; `whose` is what the message names."""
    if dtype not in types_pb2.DataType.values():
        raise BadInput(f"{whose} is of the type {dtype}, which there is not", where=where, remedy=DAMAGED)


def item_bytes(dtype: int, whose: str, where: str) -> int:
    """Return the bytes of one element in memory.

    Raises `BadInput` for what no stored tensor can be of, `Refused` for handles, which say what shall be made of them.
    """
    check_type(dtype, whose, where)
    if dtype in _HANDLES:
        what = f"{whose} is a stored {'resource' if dtype == types_pb2.DT_RESOURCE else 'variant'}"
        raise Refused(what, where=where, remedy="it is no number or text, and not loaded; export the model without it")
    if not 0 < dtype < _REFERENCE:
        raise BadInput(f"{whose} is stored with a type that no value has", where=where, remedy=DAMAGED)
    return _BYTES.get(dtype, 1)


def dims_of(shape: tensor_shape_pb2.TensorShapeProto) -> list[int]:
    """Return a shape's dimensions."""
    return [dim.size for dim in shape.dim]


def element_count(dims: Sequence[int], whose: str, where: str, *, may_be_open: bool = False) -> int:
    """Return how many elements a shape has; with `may_be_open`, -1 stands for a dimension that is not known.

    Raises `BadInput` for a shape that no tensor can have.
    """
    if len(dims) > MAX_RANK:
        raise BadInput(
            f"{whose} has {len(dims)} dimensions, more than the {MAX_RANK} that are allowed",
            where=where,
            remedy=DAMAGED,
        )
    lowest = min(dims, default=0)
    if lowest < (-1 if may_be_open else 0):
        raise BadInput(f"{whose} has a dimension of {lowest}", where=where, remedy=DAMAGED)
    known = [dim for dim in dims if dim > 0]
    count = math.prod(known)
    if count > _MOST:
        raise BadInput(f"{whose} has more elements than can be counted: {known}", where=where, remedy=DAMAGED)
    return count if 0 not in dims else 0


def check_claim(declared_bytes: int, stored_bytes: int, whose: str, where: str) -> None:
    """Raise `Refused` for what would take much more memory than was stored of it."""
    if declared_bytes > max(SMALL_BYTES, MOST_FOLDED * stored_bytes):
        raise Refused(
            f"{whose} declares {declared_bytes} bytes and stores {stored_bytes}",
            where=where,
            remedy="it looks like a bomb; export the model with its values written out",
        )
