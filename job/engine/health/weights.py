"""What the numbers of a model say: types of low precision, and values that are none."""

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from job.engine.graph import Edge, Graph, NodeDef
from job.engine.health.path import Path
from job.engine.health.subject import Subject
from job.errors import Refused
from job.records import Finding

WEIGHT_INPUTS: Final = {
    "Conv2D": (1,),
    "Conv3D": (1,),
    "DepthwiseConv2dNative": (1,),
    "Conv2DBackpropInput": (1,),
    "MatMul": (0, 1),
    "BatchMatMul": (0, 1),
    "BatchMatMulV2": (0, 1),
    "BiasAdd": (1,),
    "Gather": (0,),
    "GatherV2": (0,),
    "FusedBatchNorm": (1, 2, 3, 4),
    "FusedBatchNormV2": (1, 2, 3, 4),
    "FusedBatchNormV3": (1, 2, 3, 4),
}
"""Where ops take trained numbers. Elsewhere infinity may be meant: it masks, and bounds."""

HELD_BY: Final = ("Identity", "Enter", "Reshape", "Cast", "Transpose")
HALVES: Final = (tf.float16, tf.bfloat16)
FAKE_OPS: Final = (
    *("FakeQuantWithMinMaxArgs", "FakeQuantWithMinMaxVars", "FakeQuantWithMinMaxVarsPerChannel"),
    *("QuantizeAndDequantize", "QuantizeAndDequantizeV2", "QuantizeAndDequantizeV3"),
)


def half_precision(subject: Subject) -> Iterator[Finding]:
    """Say that weights have 16 bits, to whose precision results agree."""
    types = [variable.dtype for variable in subject.variables]
    types += [_dtype(node) for node in _constants(subject.path).values()]
    halves = [dtype for dtype in types if dtype in HALVES]
    if halves:
        names = " and ".join(sorted({dtype.name for dtype in halves}))
        yield Finding(
            code="half_precision",
            cause=f"{len(halves)} of {len(types)} weights are {names}: they are kept so, "
            "and results agree to that type's precision",
        )


def quantised(subject: Subject) -> Iterator[Finding]:
    """Say that weights were quantised, or that training simulated it: both are kept as they are."""
    path = subject.path
    stored = [
        node.name for node in path.of_type("Dequantize") if _holds_constant(path.graph, path.graph.inputs(node.name)[0])
    ]
    if stored:
        yield Finding(
            code="quantised_weights",
            cause=f"{len(stored)} weights are stored in 8 bits and dequantised at run time (first {stored[0]})",
            remedy="nothing is lost by the conversion; the original weights are faster, if you have them",
        )
    fake = [node.name for node in path.of_type(*FAKE_OPS)]
    if fake:
        yield Finding(
            code="fake_quantised",
            cause=f"{len(fake)} places round to few bits in floating point, as quantisation-aware training left them "
            f"(first {fake[0]})",
            remedy="kept as they are; they are what a converter to TFLite reads its ranges from",
        )


def check_constants(path: Path) -> None:
    """Judge frozen weights as variables are: raises `Refused` for one that holds NaN."""
    constants = _constants(path)
    bad = [name for name, node in constants.items() if bool(np.isnan(_value(path.graph, node)).any())]
    if bad:
        raise Refused(
            f"{len(bad)} of {len(constants)} frozen weights hold NaN: {', '.join(bad[:10])}",
            remedy="the training diverged; --allow-nonfinite converts it all the same",
        )


def _constants(path: Path) -> dict[str, NodeDef]:
    """Return the constants of floats that the path uses as weights, by name."""
    graph, found = path.graph, dict[str, NodeDef]()
    for node in path.of_type(*WEIGHT_INPUTS):
        inputs = graph.inputs(node.name)
        for index in WEIGHT_INPUTS[node.op]:
            held = graph.nodes.get(graph.source_of(inputs[index], through=HELD_BY).node, NodeDef())
            if held.op == "Const" and _dtype(held).is_floating and held.attr["value"].tensor.tensor_shape.dim:
                found[held.name] = held
    return found


def _value(graph: Graph, node: NodeDef) -> NDArray[Any]:
    value = np.asarray(graph.const(Edge(node.name, 0)))
    return value if value.dtype.kind == "f" else value.astype(np.float32)


def _dtype(node: NodeDef) -> tf.DType:
    return tf.as_dtype(node.attr["dtype"].type)


def _holds_constant(graph: Graph, edge: Edge) -> bool:
    return bool(graph.nodes[graph.source_of(edge, through=HELD_BY).node].op == "Const")
