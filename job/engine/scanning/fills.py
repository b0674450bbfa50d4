"""What ops make out of nothing: tensors whose size a constant says."""

from collections.abc import Iterable
from typing import Any, Final

import numpy as np
from google.protobuf.message import Message
from tensorflow.core.framework import types_pb2
from tensorflow.python.framework import tensor_util

from job.engine.scanning.sizes import dims_of, element_count, item_bytes
from job.errors import Refused

MAX_FILLED_BYTES: Final = 4 * 2**30
"""A tensor that an op makes whole in memory; a GraphDef with its values written out ends at half of it."""

SHAPED_BY: Final = {
    "Fill": 0,
    "BroadcastTo": 1,
    "Empty": 0,
    "RandomUniform": 0,
    "RandomUniformInt": 0,
    "RandomStandardNormal": 0,
    "TruncatedNormal": 0,
    "StatelessRandomUniform": 0,
    "StatelessRandomNormal": 0,
    "StatelessTruncatedNormal": 0,
    "ScatterNd": 2,
    "SparseToDense": 1,
}
"""Ops by the input that is their output's shape."""

HANDED_ON: Final = ("Identity", "Cast")
MOST_HANDED_ON: Final = 32
"""How often at most: else thousands of ops behind one long chain would each follow it to its end."""

_TYPES: Final = ("dtype", "T")  # the type of a shape is also called T


def check_fills(nodes: Iterable[Any], where: str = "") -> None:
    """Raise `BadInput` for a shape that no tensor can have, `Refused` for one that takes too much memory.

    `nodes` are those that will run: what trains a model may well be larger than what it needs to answer.
    """
    known = {node.name: node for node in nodes}
    for node in known.values():
        if node.op in SHAPED_BY and len(node.input) > SHAPED_BY[node.op]:
            dims = _dims(known, node.input[SHAPED_BY[node.op]])
            whose = f"the output of node {node.name} (op {node.op})"
            declared = element_count(dims, whose, where) * _item_bytes(node, whose, where)
            if declared > MAX_FILLED_BYTES:
                what = f"{whose} takes {declared} bytes: its shape is {dims}; {MAX_FILLED_BYTES} are allowed"
                raise Refused(what, where=where, remedy="it looks like a bomb; cut above it with `inputs`")


def _dims(known: dict[str, Any], text: str) -> list[int]:
    """Return a shape that is a constant, the empty one for any other."""
    node = known.get(text.partition(":")[0])
    for _ in range(MOST_HANDED_ON):
        if node is None or node.op not in HANDED_ON:
            break
        node = known.get(node.input[0].partition(":")[0]) if node.input else None
    if node is None or node.op != "Const" or not _is_short(node.attr["value"].tensor):
        return []
    return [int(one) for one in np.ravel(tensor_util.MakeNdarray(node.attr["value"].tensor))]


def _is_short(tensor: Message) -> bool:
    """Tell what can be a shape, read without harm: some whole numbers."""
    short = all(0 <= size <= 254 for size in dims_of(tensor.tensor_shape)) and len(tensor.tensor_shape.dim) <= 1
    return short and tensor.dtype in (types_pb2.DT_INT32, types_pb2.DT_INT64)


def _item_bytes(node: Any, whose: str, where: str) -> int:
    dtype = next((node.attr[name].type for name in _TYPES if name in node.attr), types_pb2.DT_FLOAT)
    return item_bytes(dtype, whose, where)
