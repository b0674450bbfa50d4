"""Compute once what no input changes."""

from collections.abc import Iterable, Iterator
from typing import Any, Final

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from tensorflow.core.framework import types_pb2
from tensorflow.python.framework import op_def_registry

from job.engine.graph import Edge, Graph, edge_of
from job.engine.pruning import subgraph
from job.engine.shapes import dtype_of
from job.engine.variants.base import Device, FrozenGraph, Rewritten
from job.engine.variants.editing import constant, rerouted
from job.engine.variants.tidying import CONTROL_FLOW

MOST_BYTES: Final = 1 << 20
"""A result may be larger than this only if it is no larger than the constants that it is made of."""

HELD_OUTSIDE: Final = (types_pb2.DT_RESOURCE, types_pb2.DT_VARIANT)
"""Dtypes of what no constant can hold."""

Array = NDArray[Any]


def fold_constants(frozen: FrozenGraph, _: Device) -> Rewritten:
    """Return the graph with constants in place of nodes that take nothing but constants."""
    graph = Graph(frozen.graph_def)
    values = dict(_fitting(graph, _computed(graph, _handed_over(graph, frozen.outputs))))
    if not values:
        return frozen, ()
    made = {edge: constant(f"{edge.node}/folded_{edge.output}", *values[edge]) for edge in values}
    routes = {edge: Edge(node.name, 0) for edge, node in made.items()}
    return rerouted(frozen, routes, made.values()), (f"{len(made)} results of constants computed once",)


def _handed_over(graph: Graph, outputs: Iterable[str]) -> list[Edge]:
    """Return the tensors that constants decide and others take."""
    decided = _decided(graph)
    taken = [edge for node in graph.graph_def.node if node.name not in decided for edge in graph.inputs(node.name)]
    edges = {edge for edge in (*taken, *map(edge_of, outputs)) if edge.node in decided}
    return sorted(edge for edge in edges if graph.nodes[edge.node].op != "Const")


def _decided(graph: Graph) -> set[str]:
    """Return the constants, and the nodes that take nothing else."""
    found = {node.name for node in graph.of_type("Const") if not node.input}
    queue = list(found)
    while queue:
        for consumer, _, _ in graph.consumers(queue.pop()):
            if consumer not in found and _folds(graph, consumer, found):
                found.add(consumer)
                queue.append(consumer)
    return found


def _folds(graph: Graph, name: str, decided: set[str]) -> bool:
    node = graph.nodes[name]
    definition = op_def_registry.get(node.op)
    is_plain = definition is not None and not definition.is_stateful and node.op not in CONTROL_FLOW
    calls = any(value.WhichOneof("value") == "func" for value in node.attr.values())
    return is_plain and not calls and all(edge_of(text).node in decided for text in node.input)


def _computed(graph: Graph, edges: list[Edge]) -> dict[Edge, Array]:
    """Return the values of tensors, by the kernels that would compute them at every call."""
    edges = [edge for edge in edges if dtype_of(graph, edge).as_datatype_enum not in HELD_OUTSIDE]
    if not edges:
        return {}
    with tf.Graph().as_default() as computing:
        tf.import_graph_def(subgraph(graph, graph.ancestors(edge.node for edge in edges)), name="")
        config = tf.compat.v1.ConfigProto(device_count={"GPU": 0})
        config.graph_options.rewrite_options.disable_meta_optimizer = True
        with tf.compat.v1.Session(graph=computing, config=config) as session:
            values = session.run({edge: edge.tensor for edge in edges})
    return {edge: np.asarray(value) for edge, value in values.items()}


def _fitting(graph: Graph, values: dict[Edge, Array]) -> Iterator[tuple[Edge, tuple[Array, int]]]:
    for edge, value in values.items():
        if value.nbytes <= max(MOST_BYTES, _made_of_bytes(graph, edge.node)):
            yield edge, (value, dtype_of(graph, edge).as_datatype_enum)


def _made_of_bytes(graph: Graph, name: str) -> int:
    return sum(graph.nodes[one].ByteSize() for one in graph.ancestors([name]) if graph.nodes[one].op == "Const")
