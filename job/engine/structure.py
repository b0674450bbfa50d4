"""Whether a graph is one that TensorFlow would take: what its nodes hold, and what their ops' definitions ask for."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import numpy as np
from tensorflow.core.framework import function_pb2, graph_pb2, types_pb2
from tensorflow.python.framework import op_def_registry, tensor_util
from tensorflow.python.saved_model.function_deserialization import load_function_def_library

from job.engine.graph import Graph, NodeDef, input_count, output_count
from job.engine.run_errors import message_of
from job.errors import BadInput

FIELDS: Final = {"bool": "b", "float": "f", "int": "i", "string": "s"}
"""The field of an ``AttrValue`` where it is not called as the kind of an op's attribute is."""


@contextmanager
def blaming(graph_def: graph_pb2.GraphDef) -> Iterator[None]:
    """Let a malformed graph answer for what goes wrong with it; with any other it is a bug.

    To look only then spares graphs whose unneeded part is of another release.
    """
    try:
        yield
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        fault = next(_faults(Graph(graph_def)), "") or _fault_of_functions(graph_def.library)
        if not fault:
            raise
        raise BadInput(
            f"the graph is malformed: {fault}", remedy="the file is damaged or edited; export the graph again"
        ) from error


def _faults(graph: Graph) -> Iterator[str]:
    """Yield what TensorFlow would refuse, of the ops that it knows: nodes first, then what they take of each other."""
    known = {name: node for name, node in graph.nodes.items() if op_def_registry.get(node.op)}
    for name, node in known.items():
        unfit = [
            f"the attribute {key} has no value" for key, value in node.attr.items() if not value.WhichOneof("value")
        ]
        unfit += [said for one in op_def_registry.get(node.op).attr if (said := _unfit(node, one))]
        yield from (f"{said} (node {name}, op {node.op})" for said in unfit)
        count = len(graph.inputs(name))
        if not unfit and count != input_count(node):
            yield f"node {name} has {count} inputs, and its op {node.op} takes {input_count(node)}"
    for name in graph.nodes:
        for edge in graph.inputs(name):
            gives = output_count(known[edge.node]) if edge.node in known else edge.output + 1
            if edge.node not in graph.nodes or edge.output >= gives:
                yield f"node {name} takes {edge.tensor}, which there is not"


def _fault_of_functions(library: function_pb2.FunctionDefLibrary) -> str:
    """Return why TensorFlow cannot load the functions, all of which it looks into; empty where it can."""
    copy = function_pb2.FunctionDefLibrary.FromString(library.SerializeToString())  # it is changed while it is loaded
    try:
        load_function_def_library(copy)
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        return f"its functions cannot be loaded ({message_of(error)})"
    return ""


def _unfit(node: NodeDef, defined: Any) -> str:
    """Return what is wrong with an attribute; empty where it is as its definition says."""
    if defined.name not in node.attr:
        return "" if defined.HasField("default_value") else f"the attribute {defined.name} is missing"
    value = node.attr[defined.name]
    field = "list" if defined.type.startswith("list") else FIELDS.get(defined.type, defined.type)
    if value.WhichOneof("value") != field:  # a placeholder stands in functions alone
        return f"the attribute {defined.name} is no {defined.type}"
    if field == "type" and value.type not in types_pb2.DataType.values()[1:]:
        return f"the attribute {defined.name} is no type"
    return (
        f"the attribute {defined.name} holds other bytes than it says"
        if field == "tensor" and not _is_array(value)
        else ""
    )


def _is_array(value: Any) -> bool:
    try:
        np.asarray(tensor_util.MakeNdarray(value.tensor))
    except (TypeError, ValueError):
        return False
    return True
