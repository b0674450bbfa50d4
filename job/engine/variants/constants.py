"""Compute once what no input changes."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from tensorflow.core.framework import types_pb2

from job.engine.graph import Edge, Graph, NodeDef, edge_of
from job.engine.pruning import subgraph
from job.engine.shapes import dtype_of
from job.engine.variants.base import Device, FrozenGraph, Rewritten
from job.engine.variants.editing import constant, is_constant, rerouted
from job.engine.variants.effects import only_computes
from job.engine.variants.tidying import CONTROL_FLOW

MOST_BYTES: Final = 1 << 20
"""A result may be larger than this only if it is no larger than the constants that it is made of.

What would be larger is not even computed, nor is that of which nobody knows.
"""

HELD_OUTSIDE: Final = (types_pb2.DT_RESOURCE, types_pb2.DT_VARIANT)
"""Dtypes of what no constant can hold."""

Array = NDArray[Any]


def fold_constants(frozen: FrozenGraph, _: Device) -> Rewritten:
    """Return the graph with constants in place of nodes that take nothing but constants."""
    graph = Graph(frozen.graph_def)
    decided = _decided(graph, {node.name for node in frozen.graph_def.node if _only_computes(node)})
    with _imported(graph, decided) as computing:
        fitting = _decided(graph, {name for name in decided if _fits(graph, computing, name)})
        values = _computed(computing, _handed_over(graph, fitting, frozen.outputs))
    if not values:
        return frozen, ()
    made = {
        edge: constant(f"{edge.node}/folded_{edge.output}", value, dtype_of(graph, edge).as_datatype_enum)
        for edge, value in values.items()
    }
    routes = {edge: Edge(node.name, 0) for edge, node in made.items()}
    return rerouted(frozen, routes, made.values()), (f"{len(made)} results of constants computed once",)


def _only_computes(node: NodeDef) -> bool:
    calls = any(value.WhichOneof("value") == "func" for value in node.attr.values())
    return only_computes(node.op) and not calls and node.op not in CONTROL_FLOW


def _decided(graph: Graph, able: set[str]) -> set[str]:
    """Return the constants, and of the nodes that are `able` those that take nothing else."""
    found = {node.name for node in graph.of_type("Const") if is_constant(node)}
    queue = list(found)
    while queue:
        for name, _, _ in graph.consumers(queue.pop()):
            if name in able - found and all(edge_of(text).node in found for text in graph.nodes[name].input):
                found.add(name)
                queue.append(name)
    return found


def _handed_over(graph: Graph, decided: set[str], outputs: Iterable[str]) -> list[Edge]:
    """Return the tensors that constants decide and others take."""
    taken = [edge for node in graph.graph_def.node if node.name not in decided for edge in graph.inputs(node.name)]
    edges = {edge for edge in (*taken, *map(edge_of, outputs)) if edge.node in decided}
    return sorted(edge for edge in edges if graph.nodes[edge.node].op != "Const" and _can_be_held(graph, edge))


def _can_be_held(graph: Graph, edge: Edge) -> bool:
    return dtype_of(graph, edge).as_datatype_enum not in HELD_OUTSIDE


@contextmanager
def _imported(graph: Graph, decided: set[str]) -> Iterator[tf.Graph]:
    """Give a graph of what is computed, with the shapes that TensorFlow infers."""
    wanted = graph.ancestors(name for name in decided if graph.nodes[name].op != "Const")
    with tf.Graph().as_default() as computing:
        tf.import_graph_def(subgraph(graph, wanted), name="")
        yield computing


def _fits(graph: Graph, computing: tf.Graph, name: str) -> bool:
    """Whether what a node gives is known to be small beforehand: it is computed here."""
    if graph.nodes[name].op == "Const":
        return True
    sizes = [
        (tensor.shape.num_elements(), tensor.dtype.size) for tensor in computing.get_operation_by_name(name).outputs
    ]
    if any(count is None for count, _ in sizes):
        return False
    size_bytes = max((count * each for count, each in sizes), default=0)
    return size_bytes <= MOST_BYTES or size_bytes <= _made_of_bytes(graph, name)


def _made_of_bytes(graph: Graph, name: str) -> int:
    return sum(graph.nodes[one].ByteSize() for one in graph.ancestors([name]) if graph.nodes[one].op == "Const")


def _computed(computing: tf.Graph, edges: list[Edge]) -> dict[Edge, Array]:
    """Return the values of tensors, by the kernels that would compute them at every call, but for those that fail."""
    if not edges:
        return {}
    config = tf.compat.v1.ConfigProto(device_count={"GPU": 0})
    config.graph_options.rewrite_options.disable_meta_optimizer = True
    with tf.compat.v1.Session(graph=computing, config=config) as session:
        try:
            return _run(session, edges)
        except tf.errors.OpError:
            return dict(value for edge in edges for value in _tried(session, edge))


def _tried(session: tf.compat.v1.Session, edge: Edge) -> Iterator[tuple[Edge, Array]]:
    with suppress(tf.errors.OpError):  # so it does at every call, if it is called at all
        yield from _run(session, [edge]).items()


def _run(session: tf.compat.v1.Session, edges: list[Edge]) -> dict[Edge, Array]:
    values = session.run({edge: edge.tensor for edge in edges})
    return {edge: np.asarray(value) for edge, value in values.items()}
