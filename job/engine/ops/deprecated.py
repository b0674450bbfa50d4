"""Ops that TensorFlow runs in an old graph and refuses in a new one: a SavedModel has the newest GraphDef version.

``BatchNormWithGlobalNormalization`` ended with version 9, the first two kinds of TensorArray with 16 and 26. The
baseline runs them as they are, so that parity proves what takes their place here.
"""

from collections.abc import Callable
from typing import Final

import tensorflow as tf
from tensorflow.core.framework import graph_pb2
from tensorflow.python.framework import op_def_registry

from job.engine.graph import Graph, NodeDef
from job.engine.ops import compositions
from job.engine.ops.compositions import Tensors
from job.engine.ops.replacing import replace_node

ARRAYS: Final = ("TensorArray", "TensorArrayV2")

RENAMED: Final[dict[str, str]] = {
    **{
        f"Batch{name}": name
        for name in (
            *("Cholesky", "CholeskyGrad", "MatrixBandPart", "MatrixDeterminant", "MatrixDiag", "MatrixDiagPart"),
            *("MatrixInverse", "MatrixSetDiag", "MatrixSolve", "MatrixSolveLs", "MatrixTriangularSolve"),
            *("SelfAdjointEigV2", "Svd"),
        )
    },
    **{f"TensorArray{version}": "TensorArrayV3" for version in ("", "V2")},
    **{
        f"TensorArray{use}{version}": f"TensorArray{use}V3"
        for use in ("Close", "Concat", "Gather", "Grad", "Read", "Scatter", "Size", "Split", "Write")
        for version in ("", "V2")
    },
    "PlaceholderV2": "Placeholder",
}
"""Ops that are another's old version: same inputs, same outputs, at most more attributes."""

_Composition = tuple[tuple[str | tf.DType, ...], Callable[[NodeDef, Tensors], Tensors]]

COMPOSED: Final[dict[str, _Composition]] = {
    "BatchNormWithGlobalNormalization": (("T",) * 5, compositions.batch_norm_with_global_normalization),
    "QuantizeAndDequantize": (("T",), compositions.quantize_and_dequantize),
    "Conv3DBackpropInput": (("T",) * 3, compositions.conv_3d_backprop_input),
    "RandomPoisson": (("S", "dtype"), compositions.random_poisson),
    "TensorArrayPack": ((tf.resource, tf.float32), compositions.tensor_array_pack),
    "TensorArrayUnpack": ((tf.resource, "T", tf.float32), compositions.tensor_array_unpack),
}

RENEWED: Final = frozenset({*RENAMED, *COMPOSED})

HANDING: Final = {"RefIdentity": "Identity", "RefSwitch": "Switch", "RefEnter": "Enter"}


def renew(graph_def: graph_pb2.GraphDef) -> graph_pb2.GraphDef:
    """Replace deprecated ops, in place; returns the GraphDef."""
    graph = Graph(graph_def)
    old = [node for node in graph_def.node if node.op in RENEWED]
    arrays = {node.name for node in old if node.op in ARRAYS}
    carrying = [node for node in graph_def.node if arrays and _carries(graph, node, arrays)]
    for node in old:
        (_compose if node.op in COMPOSED else _rename)(graph, node)
    for node in carrying:
        node.op = HANDING.get(node.op, node.op)
        node.attr["T"].type = tf.resource.as_datatype_enum
    return graph_def


def _carries(graph: Graph, node: NodeDef, arrays: set[str]) -> bool:
    """Whether a node hands on the handle of an array, which was a string and is a resource."""
    if node.op not in (*HANDING, *HANDING.values()):
        return False
    return graph.source_of(graph.inputs(node.name)[0], through=(*HANDING, *HANDING.values())).node in arrays


def _rename(_: Graph, node: NodeDef) -> None:
    node.op = RENAMED[node.op]
    known = {attr.name for attr in op_def_registry.get(node.op).attr}
    for name in node.attr.keys() - known:
        del node.attr[name]


def _compose(graph: Graph, node: NodeDef) -> None:
    takes, build = COMPOSED[node.op]
    dtypes = [tf.as_dtype(node.attr[one].type) if isinstance(one, str) else one for one in takes]
    replace_node(graph, node, dtypes, build)
