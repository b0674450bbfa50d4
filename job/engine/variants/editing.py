"""Small edits of a frozen graph, each of which leaves a whole one: what its outputs need, and no more."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from numpy.typing import NDArray
from tensorflow.python.framework import tensor_util
from tensorflow.python.framework.dtypes import as_dtype

from job.engine.graph import Edge, Graph, GraphDef, NodeDef, edge_of
from job.engine.pruning import subgraph
from job.engine.variants.base import FrozenGraph


def constant(name: str, value: NDArray[Any], dtype: int) -> NodeDef:
    """Return a constant of a dtype of TensorFlow's."""
    node = NodeDef(name=name, op="Const")
    node.attr["dtype"].type = dtype
    proto = tensor_util.make_tensor_proto(value, dtype=as_dtype(dtype), shape=value.shape)
    node.attr["value"].tensor.CopyFrom(proto)
    return node


def is_constant(node: NodeDef) -> bool:
    """Tell whether a node is a constant outside of TF1's loops and conditions: one in there waits for its turn."""
    return node.op == "Const" and not node.input


def with_inputs(node: NodeDef, edges: Iterable[Edge]) -> NodeDef:
    """Return a copy of a node that takes other data; what it waits for stays."""
    copy = NodeDef()
    copy.CopyFrom(node)
    waits = [text for text in node.input if text.startswith("^")]
    del copy.input[:]
    copy.input.extend([*(edge.tensor if edge.output else edge.node for edge in edges), *waits])
    return copy


def rerouted(frozen: FrozenGraph, routes: Mapping[Edge, Edge], added: Iterable[NodeDef] = ()) -> FrozenGraph:
    """Let whoever took the first tensor of a pair take the second one, or what that one is routed to.

    That may be one of a node that is `added`.
    """

    def target(edge: Edge) -> Edge:
        while edge in routes:
            edge = routes[edge]
        return edge

    graph = Graph(frozen.graph_def)
    nodes = [with_inputs(node, map(target, graph.inputs(node.name))) for node in frozen.graph_def.node]
    outputs = tuple(target(edge_of(name)).tensor for name in frozen.outputs)
    return with_nodes(replace(frozen, outputs=outputs), [*nodes, *added])


def with_nodes(frozen: FrozenGraph, nodes: Iterable[NodeDef]) -> FrozenGraph:
    """Return the graph of these nodes without those that no output needs; the last one of a name counts."""
    by_name = {node.name: node for node in nodes}
    graph_def = GraphDef(versions=frozen.graph_def.versions, library=frozen.graph_def.library)
    graph_def.node.extend(by_name.values())
    graph = Graph(graph_def)
    needed = graph.ancestors(edge_of(name).node for name in frozen.outputs)
    return replace(frozen, graph_def=subgraph(graph, needed))
