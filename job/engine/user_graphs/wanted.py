"""What a graph's variables are called in a checkpoint, and how others are found for them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import tensorflow as tf
from tensorflow.core.framework import graph_pb2
from tensorflow.core.protobuf import meta_graph_pb2

from job.engine.architectures.matching import Pattern
from job.engine.graph import Graph, attribute
from job.engine.state.checkpoint import RESTORE_OPS, VARIABLE_OPS, definitions, restored_tensors
from job.engine.state.recorded import COLLECTIONS, recorded_slices

Restored = tuple[str, str]
"""A stored tensor and the slice of it that is taken, as ``RestoreV2`` takes them; the slice is empty for all of it."""

_SCOPE: Final = "tf1lift_restore"
"""Begins the names of the nodes that are added; no graph of a user's has it."""


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What a variable is restored from, and the shape of that tensor, `None` where it is of any shape."""

    name: str
    slice_spec: str
    shape: Pattern | None


def wanted_by(meta_graph: meta_graph_pb2.MetaGraphDef) -> dict[str, Wanted]:
    """Return what each variable of a graph wants, by its node.

    It is what the graph's saver restores into it, else what collections record of partitions, else its own name.
    """
    graph = Graph(meta_graph.graph_def)
    known = recorded_slices(definitions(meta_graph, *COLLECTIONS)) | dict(restored_tensors(graph))
    return {node.name: _wanted(node, *known.get(node.name, (node.name, ""))) for node in graph.of_type(*VARIABLE_OPS)}


def _wanted(node: Any, name: str, slice_spec: str) -> Wanted:
    shape = attribute(node, "shape").shape
    if slice_spec:
        return Wanted(name=name, slice_spec=slice_spec, shape=tuple(map(int, slice_spec.split(" ")[:-1])))
    own = None if shape.unknown_rank else tuple(None if dim.size < 0 else dim.size for dim in shape.dim)
    return Wanted(name=name, slice_spec="", shape=own)


def restored_names(graph: Graph) -> Iterator[str]:
    """Yield every tensor that a graph restores, whatever it restores it into."""
    for node in graph.of_type(*RESTORE_OPS):
        names = graph.inputs(node.name)[1]
        if graph.nodes[graph.source_of(names).node].op == "Const":
            yield from (name.decode() for name in np.ravel(graph.const(names)))


def restore_from(graph_def: graph_pb2.GraphDef, found: Mapping[str, Restored]) -> None:
    """Add a saver's nodes that restore variables from these tensors, in place; they count before those that are there.

    The checkpoint's path is left open, as in any graph that is not in a session.
    """
    if not found:
        return
    variables = {node.name: node for node in graph_def.node if node.name in found}
    dtypes = [variables[name].attr["dtype"].type for name in found]
    prefix = _constant(graph_def, "prefix", "model")
    names = _constant(graph_def, "names", [name for name, _ in found.values()])
    slices = _constant(graph_def, "slices", [spec for _, spec in found.values()])
    restore = graph_def.node.add(name=f"{_SCOPE}/restore", op="RestoreV2", input=[prefix, names, slices])
    restore.attr["dtypes"].list.type.extend(dtypes)
    for index, (name, dtype) in enumerate(zip(found, dtypes, strict=True)):
        is_resource = variables[name].op == "VarHandleOp"
        assign = graph_def.node.add(
            name=f"{_SCOPE}/assign_{index}",
            op="AssignVariableOp" if is_resource else "Assign",
            input=[name, f"{restore.name}:{index}"],
        )
        assign.attr["dtype" if is_resource else "T"].type = dtype


def _constant(graph_def: graph_pb2.GraphDef, name: str, value: str | list[str]) -> str:
    node = graph_def.node.add(name=f"{_SCOPE}/{name}", op="Const")
    node.attr["dtype"].type = tf.string.as_datatype_enum
    node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(value, tf.string))
    return f"{_SCOPE}/{name}"
