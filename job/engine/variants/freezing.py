"""Freeze a signature: its functions inlined, its variables constants, its lookup tables still outside."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any, Final

import numpy as np
import tensorflow as tf
from tensorflow.core.framework import types_pb2
from tensorflow.python.framework import convert_to_constants

from job.engine.graph import GraphDef, NodeDef, all_nodes, edge_of
from job.engine.run_errors import message_of
from job.engine.variants.base import FrozenGraph, NotApplicable
from job.engine.variants.editing import constant, with_nodes
from job.engine.variants.faithful import Faithful, Served
from job.engine.variants.inlining import inlined

MOST_BYTES: Final = 1_800_000_000
"""A variant's constants live in its GraphDef, and a protocol buffer ends at 2 GiB."""

WRITING: Final = ("Assign", "ResourceScatter", "ResourceApply", "ResourceSparseApply", "ResourceStridedSliceAssign")
WRITING_TABLES: Final = ("LookupTableInsert", "LookupTableRemove", "LookupTableImport")

NOTES: Final = ("_class", "_output_shapes", "_user_specified_name")
"""Attributes that are remarks about how a node came to be."""

GATHERS: Final = {"ResourceGather": "GatherV2", "ResourceGatherNd": "GatherNd"}

LOWERED: Final = "_lower_using_switch_merge"
"""TensorFlow runs a loop that bears this as one of TF1's, which is faster; its freezer takes it off."""


def freeze(faithful: Faithful, served: Served) -> FrozenGraph:
    """Return a signature's graph with its weights as constants.

    Raises `NotApplicable` where it writes state, is too large, or TensorFlow cannot freeze it.
    """
    function = served.function
    _check(function)
    try:
        # The two halves of `convert_variables_to_constants_v2` that make the graph; its third builds a function of it.
        data = convert_to_constants._FunctionConverterDataInEager(  # noqa: SLF001 - as above
            function, lower_control_flow=False, aggressive_inlining=False
        )
        graph_def = inlined(convert_to_constants._replace_variables_by_constants(data)[0])  # noqa: SLF001 - as above
    except (ValueError, KeyError, NotImplementedError, tf.errors.OpError) as error:
        raise NotApplicable(f"TensorFlow cannot freeze it: {message_of(error)}") from error
    inputs = tuple(tensor.name for tensor in function.inputs[: len(served.arguments)])
    outputs = tuple(tensor.name for tensor in function.outputs)
    frozen = with_nodes(FrozenGraph(graph_def=graph_def, inputs=inputs, outputs=outputs), _plain(graph_def.node))
    return replace(frozen, handles=_handles(faithful.loaded, function, frozen.graph_def))


def _check(function: Any) -> None:
    """Raise `NotApplicable` where a function writes, or reads more than fits."""
    size_bytes = sum(variable.shape.num_elements() * variable.dtype.size for variable in function.graph.variables)
    if size_bytes > MOST_BYTES:
        raise NotApplicable(f"its weights, {size_bytes / 1e9:.1f} GB, are more than a GraphDef holds")
    for node in all_nodes(function.graph.as_graph_def()):
        if node.op.startswith((*WRITING, *WRITING_TABLES)):
            raise NotApplicable(f"it writes state, by {node.op}, and constants cannot be written to")


def check_size(graph_defs: Iterable[GraphDef]) -> None:
    """Raise `NotApplicable` where the signatures' constants, which share none, are more than one file holds."""
    size_bytes = sum(graph_def.ByteSize() for graph_def in graph_defs)
    if size_bytes > MOST_BYTES:
        raise NotApplicable(f"its signatures hold {size_bytes / 1e9:.1f} GB as constants, more than a GraphDef can")


def _handles(loaded: Any, function: Any, graph_def: GraphDef) -> dict[str, Any]:
    """Return the captures that are no constants now, as tensors of the graph, with the tables that own them."""
    kept = {node.name for node in graph_def.node if node.op == "Placeholder"}
    resources = [one for one in tf.train.TrackableView(loaded).descendants() if hasattr(one, "resource_handle")]
    found = dict[str, Any]()
    for outside, inside in function.graph.captures:
        if inside.op.name in kept:
            owner = next((one for one in resources if one.resource_handle is outside), None)
            if owner is None:
                raise NotApplicable(f"{inside.name} is a resource that is no table")
            found[inside.name] = owner
    return found


def _plain(nodes: Iterable[NodeDef]) -> Iterator[NodeDef]:
    """Yield nodes without remarks, and loops as TensorFlow runs them fastest."""
    for node in nodes:
        for name in NOTES:
            node.attr.pop(name, None)
        if LOWERED in node.attr:
            node.attr[LOWERED].b = True
        yield from _gathered(node) if node.op in GATHERS else [node]


def _gathered(node: NodeDef) -> Iterator[NodeDef]:
    """Yield a look-up in a constant for one in a variable; TensorFlow's freezer forgets those in functions."""
    gather = NodeDef(name=node.name, op=GATHERS[node.op], input=node.input)
    gather.attr["Tparams"].CopyFrom(node.attr["dtype"])
    gather.attr["Tindices"].CopyFrom(node.attr["Tindices"])
    if node.op == "ResourceGather":
        gather.attr["Taxis"].type = types_pb2.DT_INT32
        gather.attr["batch_dims"].i = node.attr["batch_dims"].i
        axis = constant(f"{node.name}/axis", np.asarray(node.attr["batch_dims"].i), types_pb2.DT_INT32)
        axis.input.append(f"^{edge_of(node.input[1]).node}")  # it may be in a loop, where all that it takes must be
        gather.input.insert(2, axis.name)
        yield axis
    yield gather
