"""Fold what scales and shifts the channels that a linear op takes into its weights and one bias.

So after an activation: a batch norm there comes before the next layer. A shift is not that of zeros which a
convolution puts around: it is folded only where there are none.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from tensorflow.python.framework.dtypes import as_dtype

from job.engine.graph import Edge, Graph, NodeDef, attribute, edge_of
from job.engine.variants.affine import Affine, Channels, affine_of
from job.engine.variants.base import Device, FrozenGraph, Rewritten
from job.engine.variants.editing import constant, is_constant, with_inputs, with_nodes
from job.engine.variants.fold_batch_norm import DTYPES
from job.engine.variants.linear import LINEAR_OPS, channel_axis, channels, linear_op, rank_of, scaled

Array = NDArray[Any]

LAYERS: Final = ("Conv2D", "Conv3D", "MatMul")

KEEPING: Final = ("Relu", "Relu6", "LeakyRelu", "Elu", "Selu", "Sigmoid", "Tanh", "MaxPool", "AvgPool", "Pad")
"""Ops that give as many channels as they take; a pad is looked at before."""


@dataclass(frozen=True, kw_only=True)
class Prelude:
    """A linear op with the affine nodes before it; `start` is what the first of them takes."""

    linear: NodeDef
    weights: Array
    start: Edge
    nodes: tuple[str, ...]
    pads: tuple[NodeDef, ...]
    affine: Affine


def fold_before(frozen: FrozenGraph, _: Device) -> Rewritten:
    """Return the graph with every such prelude in the linear op's weights, and a ``BiasAdd`` of the op's name."""
    graph = Graph(frozen.graph_def)
    fetched = {edge_of(name).node for name in frozen.outputs}
    preludes = [one for node in graph.of_type(*LAYERS) for one in _preludes(graph, node, fetched)]
    if not preludes:
        return frozen, ()
    made = [node for prelude in preludes for node in _folded(prelude)]
    count = sum(len(prelude.nodes) for prelude in preludes)
    changes = (f"{count} scales and shifts folded into {len(preludes)} linear ops behind them",)
    return with_nodes(frozen, [*frozen.graph_def.node, *made]), changes


def _preludes(graph: Graph, linear: NodeDef, fetched: set[str]) -> Iterator[Prelude]:
    where = linear_op(linear)
    weights_node = graph.nodes[graph.inputs(linear.name)[where.weights].node]
    turned = attribute(linear, "transpose_a")
    if not is_constant(weights_node) or attribute(linear, "T").type not in DTYPES or (turned is not None and turned.b):
        return
    weights = np.asarray(graph.const(Edge(weights_node.name, 0)))
    known = Channels(count=channels(weights, where.in_axes), axis=channel_axis(linear), rank=rank_of(linear))
    prelude = _followed(graph, linear, weights, known, fetched)
    if prelude.nodes and _fits(prelude):
        yield prelude


def _followed(graph: Graph, linear: NodeDef, weights: Array, known: Channels, fetched: set[str]) -> Prelude:
    """Go back from a linear op for as long as what comes before is affine, and is for it alone."""
    affine, nodes, pads, waiting = known.identity(), list[str](), list[NodeDef](), list[NodeDef]()
    edge = start = graph.inputs(linear.name)[linear_op(linear).data]
    while edge.node not in fetched and edge.output == 0 and len(graph.consumers(edge.node)) == 1:
        node = graph.nodes[edge.node]
        if node.op == "Pad" and not graph.controls(node.name) and _pads_no_channel(graph, node, known):
            waiting.append(node)
            edge = graph.inputs(node.name)[0]
            continue
        try:
            before, edge = _before(graph, node, known)
        except ValueError:
            break
        combined = before.then(affine)
        if combined.shift.any() and (waiting or pads or _pads(linear, weights)):
            break
        affine, start = combined, edge
        nodes.append(node.name)
        pads, waiting = pads + waiting, []
    return Prelude(linear=linear, weights=weights, start=start, nodes=tuple(nodes), pads=tuple(pads), affine=affine)


def _before(graph: Graph, node: NodeDef, known: Channels) -> tuple[Affine, Edge]:
    """Return what an affine node does, and to what; raises `ValueError` where it is none, or adds channels."""
    data = [index for index, edge in enumerate(graph.inputs(node.name)) if graph.nodes[edge.node].op != "Const"]
    if len(data) != 1 or graph.controls(node.name):
        raise ValueError
    taken = graph.inputs(node.name)[data[0]]
    if _count(graph, taken, known) != known.count:
        raise ValueError
    return affine_of(graph, node, data[0], known), taken


def _count(graph: Graph, edge: Edge, known: Channels) -> int:
    """Return how many channels a tensor of the same rank has, 0 where that is not plain to see."""
    node = graph.nodes[edge.node]
    while node.op in KEEPING and (node.op != "Pad" or _pads_no_channel(graph, node, known)):
        node = graph.nodes[graph.inputs(node.name)[0].node]
    inputs = graph.inputs(node.name)
    if node.op in LINEAR_OPS and rank_of(node) == known.rank and channel_axis(node) == known.axis:
        where = linear_op(node)
        weights = graph.nodes[inputs[where.weights].node]
        return channels(graph.const(Edge(weights.name, 0)), where.out_axes) if weights.op == "Const" else 0
    is_told = node.op == "BiasAdd" or node.op.startswith("FusedBatchNorm")
    if is_told and graph.nodes[inputs[1].node].op == "Const":
        return int(graph.const(inputs[1]).size)
    others = [one for one in inputs if graph.nodes[one.node].op != "Const"]
    return _count(graph, others[0], known) if node.op in ("Mul", "AddV2", "Add", "Sub") and len(others) == 1 else 0


def _pads(linear: NodeDef, weights: Array) -> bool:
    """Whether a linear op puts zeros around what it takes."""
    padding = attribute(linear, "padding")
    spatial = weights.shape[:-2]
    return padding is not None and padding.s != b"VALID" and not (padding.s == b"SAME" and set(spatial) == {1})


def _pads_no_channel(graph: Graph, pad: NodeDef, known: Channels) -> bool:
    sizes = graph.nodes[graph.inputs(pad.name)[1].node]
    return sizes.op == "Const" and not np.asarray(graph.const(Edge(sizes.name, 0)))[known.axis].any()


def _fits(prelude: Prelude) -> bool:
    """Whether the new weights and bias are numbers of the op's dtype."""
    with np.errstate(over="ignore"):  # what overflows is refused
        return all(bool(np.isfinite(value).all()) for value in _constants(prelude))


def _constants(prelude: Prelude) -> tuple[Array, Array]:
    """Return the new weights and the bias."""
    where, dtype = linear_op(prelude.linear), prelude.weights.dtype
    summed = tuple(axis for axis in range(prelude.weights.ndim) if axis not in where.out_axes)
    bias = scaled(prelude.weights, where.in_axes, prelude.affine.shift).sum(axis=summed)
    return scaled(prelude.weights, where.in_axes, prelude.affine.scale).astype(dtype), bias.astype(dtype)


def _folded(prelude: Prelude) -> Iterator[NodeDef]:
    linear, where = prelude.linear, linear_op(prelude.linear)
    name, dtype = linear.name, attribute(linear, "T").type
    weights, bias = _constants(prelude)
    yield constant(f"{name}/scaled_weights", weights.astype(as_dtype(dtype).as_numpy_dtype), dtype)
    yield constant(f"{name}/shifted_bias", bias.astype(as_dtype(dtype).as_numpy_dtype), dtype)
    start = prelude.start
    for pad in reversed(prelude.pads):
        yield with_inputs(pad, [start, edge_of(pad.input[1])])
        start = Edge(pad.name, 0)
    edges = [edge_of(text) for text in linear.input if not text.startswith("^")]
    edges[where.data], edges[where.weights] = start, Edge(f"{name}/scaled_weights", 0)
    unbiased = with_inputs(linear, edges)
    unbiased.name = f"{name}/unbiased"
    yield unbiased
    node = NodeDef(name=name, op="BiasAdd", input=[unbiased.name, f"{name}/shifted_bias"])
    node.attr["T"].type = dtype
    node.attr["data_format"].s = b"NHWC" if channel_axis(linear) == -1 else b"NCHW"
    yield node
