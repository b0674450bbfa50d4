"""Fold what scales and shifts the channels that a linear op gives into its weights and one bias."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from tensorflow.core.framework import types_pb2
from tensorflow.python.framework.dtypes import as_dtype

from job.engine.graph import Edge, Graph, NodeDef, attribute, edge_of
from job.engine.variants.affine import Affine, Channels, affine_of
from job.engine.variants.base import Device, FrozenGraph, Rewritten
from job.engine.variants.editing import constant, is_constant, with_nodes
from job.engine.variants.linear import LINEAR_OPS, channel_axis, channels, linear_op, rank_of, scaled

Array = NDArray[Any]

DTYPES: Final = (types_pb2.DT_FLOAT, types_pb2.DT_DOUBLE)
"""Of fewer bits, rounding the new weights would show in the answers."""

PASSED: Final = ("BatchToSpaceND", "Squeeze")
"""Ops that may stand between: they move what is in a channel and leave the channels as they are."""


@dataclass(frozen=True, kw_only=True)
class Chain:
    """A linear op, the affine nodes that follow it alone, and what these do together.

    `passed` are the nodes between that stay; they come to stand before the bias.
    """

    linear: NodeDef
    weights: Array
    nodes: tuple[NodeDef, ...]
    passed: tuple[NodeDef, ...]
    affine: Affine


def fold_batch_norm(frozen: FrozenGraph, _: Device) -> Rewritten:
    """Return the graph with every such chain as the linear op and one ``BiasAdd``."""
    graph = Graph(frozen.graph_def)
    chains = [chain for node in graph.of_type(*LINEAR_OPS) for chain in _chains(graph, node, frozen.outputs)]
    made = [node for chain in chains for node in _folded(chain)]
    if not made:
        return frozen, ()
    return with_nodes(frozen, [*frozen.graph_def.node, *made]), (
        f"{sum(len(chain.nodes) for chain in chains)} scales and shifts folded into {len(chains)} linear ops",
    )


def _chains(graph: Graph, linear: NodeDef, outputs: tuple[str, ...]) -> Iterator[Chain]:
    """Yield the chain behind a linear op, if it is worth folding: one bias alone is left as it is."""
    where = linear_op(linear)
    weights_node = graph.nodes[graph.inputs(linear.name)[where.weights].node]
    if not is_constant(weights_node) or attribute(linear, "T").type not in DTYPES:
        return
    weights = np.asarray(graph.const(Edge(weights_node.name, 0)))
    known = Channels(count=channels(weights, where.out_axes), axis=channel_axis(linear), rank=rank_of(linear))
    chain = _followed(graph, linear, weights, known, {edge_of(name).node for name in outputs})
    is_bias = len(chain.nodes) == 1 and chain.nodes[0].op == "BiasAdd"
    if chain.nodes and not is_bias and _fits(chain, where.out_axes):
        yield chain


def _followed(graph: Graph, linear: NodeDef, weights: Array, known: Channels, fetched: set[str]) -> Chain:
    """Follow a linear op's only consumers as far as they are affine."""
    affine, nodes, passed, waiting, last = known.identity(), list[NodeDef](), list[NodeDef](), list[NodeDef](), linear
    while last.name not in fetched and len(taken := graph.consumers(last.name)) == 1:
        (name, index, output) = taken[0]
        node = graph.nodes[name]
        if output or graph.controls(name):
            break
        if _passes(graph, node, index, known):
            known = _behind(node, known)
            waiting.append(node)
        else:
            try:
                affine = affine.then(affine_of(graph, node, index, known))
            except ValueError:
                break
            nodes.append(node)
            passed, waiting = passed + waiting, []
        last = node
    return Chain(linear=linear, weights=weights, nodes=tuple(nodes), passed=tuple(passed), affine=affine)


def _passes(graph: Graph, node: NodeDef, index: int, known: Channels) -> bool:
    if node.op == "BatchToSpaceND":
        return index == 0 and known.axis == -1 and _leaves_channels(graph, node, known)
    return node.op == "Squeeze" and known.axis == -1 and bool(_squeezed(node, known))


def _leaves_channels(graph: Graph, node: NodeDef, known: Channels) -> bool:
    """Whether the blocks of a ``BatchToSpaceND`` are known to lie along other axes than the channels'."""
    block = graph.nodes[graph.inputs(node.name)[1].node]
    return block.op == "Const" and np.asarray(graph.const(Edge(block.name, 0))).size <= known.rank - 2


def _squeezed(node: NodeDef, known: Channels) -> list[int]:
    """Return the axes that go, none where those are not told or the channels' may be among them."""
    axes = [axis % known.rank for axis in attribute(node, "squeeze_dims").list.i]
    return [] if known.rank - 1 in axes else axes


def _behind(node: NodeDef, known: Channels) -> Channels:
    gone = len(_squeezed(node, known)) if node.op == "Squeeze" else 0
    return Channels(count=known.count, axis=known.axis, rank=known.rank - gone)


def _fits(chain: Chain, axes: tuple[int, ...]) -> bool:
    """Whether the new weights and bias are numbers of the op's dtype."""
    dtype = chain.weights.dtype
    with np.errstate(over="ignore"):  # what overflows is refused
        new = (scaled(chain.weights, axes, chain.affine.scale).astype(dtype), chain.affine.shift.astype(dtype))
    return chain.affine.is_finite and all(bool(np.isfinite(value).all()) for value in new)


def _folded(chain: Chain) -> Iterator[NodeDef]:
    """Yield the nodes that take the place of a chain's; the bias has the name of the last one."""
    where, last = linear_op(chain.linear), chain.nodes[-1]
    dtype = attribute(chain.linear, "T").type
    number = as_dtype(dtype).as_numpy_dtype
    weights = scaled(chain.weights, where.out_axes, chain.affine.scale).astype(number)
    yield constant(f"{chain.linear.name}/folded_weights", weights, dtype)
    yield constant(f"{last.name}/folded_bias", chain.affine.shift.astype(number), dtype)
    yield _with_input(chain.linear, where.weights, f"{chain.linear.name}/folded_weights")
    before = chain.linear.name
    for node in chain.passed:
        yield _with_input(node, 0, before)
        before = node.name
    bias = NodeDef(name=last.name, op="BiasAdd", input=[before, f"{last.name}/folded_bias"])
    bias.attr["T"].type = dtype
    bias.attr["data_format"].s = b"NHWC" if channel_axis(chain.linear) == -1 else b"NCHW"
    yield bias


def _with_input(node: NodeDef, index: int, name: str) -> NodeDef:
    copy = NodeDef()
    copy.CopyFrom(node)
    copy.input[index] = name
    return copy
