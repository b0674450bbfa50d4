"""What a model itself runs once when it is loaded: its init ops, as far as they fill tables."""

from collections.abc import Iterator
from typing import Final

from tensorflow.core.protobuf import meta_graph_pb2

from job.engine.graph import Graph, edge_of
from job.errors import BadInput

COLLECTIONS: Final = ("saved_model_main_op", "legacy_init_op", "table_initializer")
SIGNATURE: Final = "__saved_model_init_op"


def init_ops(meta_graph: meta_graph_pb2.MetaGraphDef, graph: Graph) -> tuple[str, ...]:
    """Return the nodes that TF1 runs after it has restored a model; raises `BadInput` for one that is not there."""
    names = dict.fromkeys(edge_of(name).node for name in _names(meta_graph))
    missing = [name for name in names if name not in graph.nodes]
    if missing:
        raise BadInput(f"the model's init op {missing[0]} is not in its graph", remedy="the file is cut or edited")
    return tuple(names)


def _names(meta_graph: meta_graph_pb2.MetaGraphDef) -> Iterator[str]:
    for key in COLLECTIONS:
        if key in meta_graph.collection_def:
            yield from meta_graph.collection_def[key].node_list.value
    if SIGNATURE in meta_graph.signature_def:
        yield from (info.name for info in meta_graph.signature_def[SIGNATURE].outputs.values())


def members(graph: Graph, ops: tuple[str, ...], tables: set[str]) -> tuple[str, ...]:
    """Return what the init ops group and what needs one of the tables, each with all that it needs.

    The rest of a group, such as variables' initialisers, would undo what a checkpoint restores.
    """
    return tuple(name for name in grouped(graph, ops) if tables & graph.ancestors([name]))


def grouped(graph: Graph, ops: tuple[str, ...]) -> tuple[str, ...]:
    """Return what the init ops run, looking into groups."""
    found, seen, queue = dict[str, None](), set[str](), list(reversed(ops))
    while queue:
        name = queue.pop()
        if name in seen:
            continue
        seen.add(name)
        if graph.nodes[name].op == "NoOp":
            queue += reversed(graph.controls(name))
        else:
            found[name] = None
    return tuple(found)
