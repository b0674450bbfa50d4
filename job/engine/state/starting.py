"""Variables whose value no saver's node restores: where else it is stored, or what makes it when a model is loaded.

Hub modules have no saver's nodes: collections record which slice of which tensor a partition is. Keras's
object-based checkpoints name values by the way to them. Local variables are in no checkpoint, and an init op
may assign any variable after the checkpoint was restored.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import tensorflow as tf
from numpy.typing import NDArray
from tensorflow.core.protobuf import meta_graph_pb2
from tensorflow.python.framework import op_def_registry

from job.engine.formats.base import LoadedMetaGraph
from job.engine.graph import Edge, Graph, edge_of
from job.engine.ops.policy import check_ops
from job.engine.pruning import subgraph
from job.engine.scanning.fills import check_fills
from job.engine.state.checkpoint import (
    ASSIGN_OPS,
    RESTORE_OPS,
    VARIABLE_OPS,
    Elsewhere,
    definitions,
)
from job.engine.state.initialising import grouped, init_ops
from job.engine.state.recorded import COLLECTIONS, recorded_objects, recorded_slices

LOCAL: Final = "local_variables"


def elsewhere(loaded: LoadedMetaGraph, graph: Graph, needed: set[str]) -> Elsewhere:
    """Return where the values of needed variables are that no saver restores.

    A variable's own initialiser among the init ops counts only where no checkpoint holds the variable: TF1
    would undo with it what it restored. What is drawn at random, or made from other state, is left out.
    """
    if not any(node.name in needed for node in graph.of_type(*VARIABLE_OPS)):
        return Elsewhere()
    known = definitions(loaded.meta_graph, *COLLECTIONS)
    own = {edge_of(one.initializer_name).node for one in known}
    assigned, initial = dict[str, Edge](), dict(_local(loaded.meta_graph))
    for node in grouped(graph, init_ops(loaded.meta_graph, graph)):
        if graph.nodes[node].op in ASSIGN_OPS:
            target, value = graph.inputs(node)[:2]
            (initial if node in own else assigned)[graph.source_of(target).node] = value
    return Elsewhere(
        recorded=recorded_slices(known) | recorded_objects(loaded.checkpoint),
        assigned=dict(_evaluated(graph, assigned, needed)),
        initial=dict(_evaluated(graph, initial, needed)),
    )


def _local(meta_graph: meta_graph_pb2.MetaGraphDef) -> Iterator[tuple[str, Edge]]:
    for one in definitions(meta_graph, LOCAL):
        if one.initial_value_name:
            yield edge_of(one.variable_name).node, edge_of(one.initial_value_name)


def _evaluated(graph: Graph, values: Mapping[str, Edge], needed: set[str]) -> Iterator[tuple[str, NDArray[Any]]]:
    for variable, edge in values.items():
        if variable in needed and edge.node in graph.nodes:
            nodes = graph.ancestors([edge.node])
            if not any(_is_state(graph, name) for name in nodes):
                check_ops(graph, nodes)
                check_fills(graph.nodes[name] for name in nodes)
                yield variable, _run(graph, edge, nodes)


def _is_state(graph: Graph, name: str) -> bool:
    op = graph.nodes[name].op
    registered = op_def_registry.get(op)
    return op in (*VARIABLE_OPS, *RESTORE_OPS, "Placeholder") or registered is None or registered.is_stateful


def _run(graph: Graph, edge: Edge, nodes: set[str]) -> NDArray[Any]:
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        (tensor,) = tf.import_graph_def(subgraph(graph, nodes), return_elements=[edge.tensor], name="")
        value: NDArray[Any] = session.run(tensor)
    return value
