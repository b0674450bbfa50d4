"""Let layers compute in numbers of 16 bits, with their weights stored so; arguments and answers keep their dtypes."""

from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import tensorflow as tf
from tensorflow.core.framework import types_pb2
from tensorflow.python.framework import tensor_util

from job.engine.graph import Edge, Graph, NodeDef, arguments, attribute, edge_of
from job.engine.variants.base import Device, FrozenGraph, NotApplicable, Rewritten
from job.engine.variants.editing import constant, is_constant, with_inputs, with_nodes
from job.engine.variants.tidying import CONTROL_FLOW

LAYERS: Final = frozenset(
    {
        *("Conv2D", "Conv3D", "DepthwiseConv2dNative", "Conv2DBackpropInput", "Conv3DBackpropInputV2"),
        *("MatMul", "BatchMatMul", "BatchMatMulV2"),
    }
)
"""What takes the time, and has fast kernels for 16 bits that add up in 32."""

MOVING: Final = frozenset(
    {
        *("Pad", "PadV2", "MirrorPad", "Reshape", "Squeeze", "ExpandDims", "Transpose", "ConcatV2", "Identity"),
        *("Split", "SplitV", "Slice", "StridedSlice", "Pack", "Unpack", "SpaceToBatchND", "BatchToSpaceND", "MaxPool"),
        *("DepthToSpace", "SpaceToDepth", "Tile"),
    }
)
"""What hands numbers on as they are."""

FOLLOWING: Final = frozenset(
    {
        *(
            "BiasAdd",
            "Add",
            "AddV2",
            "AddN",
            "Sub",
            "Mul",
            "RealDiv",
            "Pow",
            "Neg",
            "Maximum",
            "Minimum",
            "Relu",
            "Relu6",
            "LeakyRelu",
        ),
        *("Elu", "Selu", "Sigmoid", "Tanh", "Erf", "AvgPool", "FusedBatchNormV2", "FusedBatchNormV3"),
    }
)
"""What may come after a layer, beside that, in the layer's dtype."""

FLOAT: Final = types_pb2.DT_FLOAT

CPU_INFO: Final = Path("/proc/cpuinfo")
CPU_FLAGS: Final = ("avx512_bf16", "amx_bf16")
"""Processors without them compute in bfloat16 by turning each number into a float32 and back."""


def to_bfloat16(frozen: FrozenGraph, device: Device) -> Rewritten:
    """Return the graph with its layers in bfloat16; raises `NotApplicable` where that is no gain."""
    if device == "cpu" and not has_bfloat16():
        raise NotApplicable(f"this processor has none of {', '.join(CPU_FLAGS)}")
    return _lowered(frozen, tf.bfloat16)


def to_half(frozen: FrozenGraph, _: Device) -> Rewritten:
    """Return the graph with its layers in float16; raises `NotApplicable` where none can be."""
    return _lowered(frozen, tf.float16)


def has_bfloat16() -> bool:
    """Return whether this processor multiplies bfloat16 as such."""
    try:
        flags = CPU_INFO.read_text(encoding="ascii", errors="replace").split()
    except OSError:
        return False
    return any(flag in flags for flag in CPU_FLAGS)


def _lowered(frozen: FrozenGraph, dtype: tf.DType) -> Rewritten:
    graph = Graph(frozen.graph_def)
    low = _low(graph, dtype, {edge_of(name).node for name in frozen.outputs})
    layers = sum(graph.nodes[name].op in LAYERS for name in low)
    if not layers:
        raise NotApplicable("it has no layer in float32 but those that give its answers")
    lowering = _Lowering(graph, low, dtype)
    nodes = [lowering.rewritten(node) for node in frozen.graph_def.node]
    outputs = tuple(lowering.as_float(edge_of(name)).tensor for name in frozen.outputs)
    frozen = with_nodes(replace(frozen, outputs=outputs), [*nodes, *lowering.added.values()])
    return frozen, (f"{layers} layers compute in {dtype.name}",)


def _low(graph: Graph, dtype: tf.DType, fetched: set[str]) -> set[str]:
    """Return the nodes that shall compute in fewer bits: layers, what follows, and what only leads to them."""
    looped = graph.descendants((Edge(node.name, 0) for node in graph.of_type(*CONTROL_FLOW)), opaque=("Exit",))
    able = {node.name for node in graph.graph_def.node if node.name not in looped and _is_able(graph, node, dtype)}
    low = {name for name in able if graph.nodes[name].op in LAYERS and not _gives_answers(graph, name)}
    queue = list(low)
    while queue:
        for name, _, _ in graph.consumers(queue.pop()):
            if name in able - low and graph.nodes[name].op not in LAYERS and _follows(graph, name, low):
                low.add(name)
                queue.append(name)
    queue = list(low)
    while queue:
        for edge in graph.inputs(queue.pop()):
            if edge.node in able - low - fetched and _leads(graph, edge.node, low):
                low.add(edge.node)
                queue.append(edge.node)
    return low


def _is_able(graph: Graph, node: NodeDef, dtype: tf.DType) -> bool:
    own = attribute(node, "T") if node.op in LAYERS | FOLLOWING | MOVING else None
    if own is None or own.type != FLOAT:
        return False
    constants = [graph.nodes[edge.node] for edge in _typed_inputs(graph, node) if _is_const(graph, edge)]
    return all(float(np.max(np.abs(_value(one)), initial=0.0)) <= float(dtype.max) for one in constants)


def _gives_answers(graph: Graph, name: str) -> bool:
    """Whether a product of matrices is the last layer: it takes little time, and its rounding shows at once."""
    behind = graph.descendants([Edge(name, 0)])
    return graph.nodes[name].op == "MatMul" and not any(graph.nodes[one].op in LAYERS for one in behind)


def _follows(graph: Graph, name: str, low: set[str]) -> bool:
    return all(edge.node in low or _is_const(graph, edge) for edge in _typed_inputs(graph, graph.nodes[name]))


def _leads(graph: Graph, name: str, low: set[str]) -> bool:
    return graph.nodes[name].op in MOVING and all(consumer in low for consumer, _, _ in graph.consumers(name))


def _typed_inputs(graph: Graph, node: NodeDef) -> list[Edge]:
    """Return the inputs that are of the node's own dtype."""
    edges = graph.inputs(node.name)
    return [edge for edge, arg in zip(edges, arguments(node, "input_arg"), strict=True) if arg.type_attr == "T"]


def _is_const(graph: Graph, edge: Edge) -> bool:
    return is_constant(graph.nodes[edge.node])


def _value(node: NodeDef) -> np.ndarray[Any, Any]:
    return np.asarray(tensor_util.MakeNdarray(node.attr["value"].tensor))


class _Lowering:
    """Casts at the borders of what is low, one for each tensor; `added` are those, and the new constants, by name."""

    def __init__(self, graph: Graph, low: set[str], dtype: tf.DType) -> None:
        self._graph, self._low, self._dtype = graph, low, dtype
        self.added: dict[str, NodeDef] = {}

    def rewritten(self, node: NodeDef) -> NodeDef:
        """Return a node with its inputs, and if it is low itself, in the dtype in which it takes them."""
        edges = self._graph.inputs(node.name)
        if node.name not in self._low:
            return with_inputs(node, map(self.as_float, edges))
        typed = [arg.type_attr == "T" for arg in arguments(node, "input_arg")]
        node = with_inputs(
            node, [self._as_low(edge) if own else self.as_float(edge) for edge, own in zip(edges, typed, strict=True)]
        )
        node.attr["T"].type = self._dtype.as_datatype_enum
        return node

    def as_float(self, edge: Edge) -> Edge:
        """Return a tensor as those take it that are not low."""
        return self._cast(edge, f"{edge.node}/float_{edge.output}", tf.float32) if self._is_low(edge) else edge

    def _as_low(self, edge: Edge) -> Edge:
        if self._is_low(edge):
            return edge
        name = f"{edge.node}/{self._dtype.name}_{edge.output}"
        if not _is_const(self._graph, edge):
            return self._cast(edge, name, self._dtype)
        if name not in self.added:
            value = _value(self._graph.nodes[edge.node]).astype(self._dtype.as_numpy_dtype)
            self.added[name] = constant(name, value, self._dtype.as_datatype_enum)
        return Edge(name, 0)

    def _is_low(self, edge: Edge) -> bool:
        node = self._graph.nodes[edge.node]
        return edge.node in self._low and arguments(node, "output_arg")[edge.output].type_attr == "T"

    def _cast(self, edge: Edge, name: str, dtype: tf.DType) -> Edge:
        if name not in self.added:
            node = with_inputs(NodeDef(name=name, op="Cast"), [edge])
            node.attr["DstT"].type = dtype.as_datatype_enum
            node.attr["SrcT"].type = (self._dtype if dtype == tf.float32 else tf.float32).as_datatype_enum
            self.added[name] = node
        return Edge(name, 0)
