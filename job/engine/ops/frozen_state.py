"""State that a freezer left behind: it made a variable a constant, and the ops that write to it stayed.

TensorFlow cannot import such a graph, since ``Assign`` wants a reference. In TF1 the variable began with the
value that is now the constant, so the constant becomes that variable again.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from numpy.typing import NDArray
from tensorflow.core.framework import types_pb2
from tensorflow.python.framework import op_def_registry, tensor_util

from job.engine.graph import Edge, Graph, NodeDef, reference_inputs
from job.engine.rewrites import VALUE_OPS, WRITE_OPS
from job.records import Finding

Frozen = dict[str, NodeDef]
"""The constants that became variables, and the nodes that now read these, as they were."""


def thaw(graph: Graph) -> Frozen:
    """Turn every constant to which something writes into a variable, in place."""
    frozen: Frozen = {}
    for op, taken in (("VariableV2", reference_inputs), ("VarHandleOp", _resource_inputs)):
        written = {_origin(graph, edge) for node in graph.graph_def.node for edge in _inputs(graph, node, taken)}
        for name in sorted(written & graph.nodes.keys()):
            if graph.nodes[name].op == "Const" and (op == "VariableV2" or _is_read_by_identities(graph, name)):
                frozen |= _thawed(graph, name, op)
    return frozen


def _thawed(graph: Graph, name: str, op: str) -> Frozen:
    """Turn a constant into a variable; where that is a resource, a freezer has made its reads identities."""
    changed = {name, *(reader for reader in _readers(graph, name) if op == "VarHandleOp")}
    frozen = {one: _copy(graph.nodes[one]) for one in changed}
    node = graph.nodes[name]
    node.op = op
    node.attr["shape"].shape.CopyFrom(node.attr["value"].tensor.tensor_shape)
    del node.attr["value"]
    for reader in changed - {name}:
        graph.nodes[reader].op = "ReadVariableOp"
        graph.nodes[reader].attr["dtype"].CopyFrom(node.attr["dtype"])
        del graph.nodes[reader].attr["T"]
    return frozen


def initial_values(graph: Graph, frozen: Frozen, needed: Iterable[str]) -> dict[str, NDArray[Any]]:
    """Return the values of the variables to which something needed writes; the others become constants again."""
    nodes = [graph.nodes[name] for name in needed]
    writers = [node for node in nodes if node.op != "ReadVariableOp"]
    written = {_origin(graph, edge) for node in writers for edge in _inputs(graph, node, _taken)}
    constants = [name for name, node in frozen.items() if node.op == "Const"]
    for name in set(constants) - written:
        for one in (name, *_readers(graph, name)):
            graph.nodes[one].CopyFrom(frozen.get(one, graph.nodes[one]))
    return {name: tensor_util.MakeNdarray(frozen[name].attr["value"].tensor) for name in constants if name in written}


def findings(values: Mapping[str, object]) -> tuple[Finding, ...]:
    """Return what became of the constants."""
    if not values:
        return ()
    names = ", ".join(sorted(values)[:5])
    return (
        Finding(
            code="state_on_constant",
            cause=f"the graph was frozen with ops that write to its constants ({names}), which no TensorFlow runs;"
            " they became variables again, with the frozen values, and every call changes them as in a TF1 session",
            remedy="load the model anew for the frozen state, or freeze the graph without its assignments",
            severity="warning",
        ),
    )


def _inputs(graph: Graph, node: NodeDef, which: Callable[[NodeDef], set[int]]) -> list[Edge]:
    taken = which(node)
    return [edge for index, edge in enumerate(graph.inputs(node.name)) if index in taken] if taken else []


def _taken(node: NodeDef) -> set[int]:
    return reference_inputs(node) | _resource_inputs(node)


def _resource_inputs(node: NodeDef) -> set[int]:
    """Return which inputs of a node are resources, by its op's definition."""
    op_def = op_def_registry.get(node.op)
    return (
        {index for index, arg in enumerate(op_def.input_arg) if arg.type == types_pb2.DT_RESOURCE} if op_def else set()
    )


def _readers(graph: Graph, name: str) -> list[str]:
    return [
        reader for reader, _, _ in graph.consumers(name) if graph.nodes[reader].op in ("Identity", "ReadVariableOp")
    ]


def _is_read_by_identities(graph: Graph, name: str) -> bool:
    """Whether everything else that takes a constant takes it as a resource."""
    others = {reader for reader, _, _ in graph.consumers(name)} - set(_readers(graph, name))
    return all(_resource_inputs(graph.nodes[other]) for other in others)


def _origin(graph: Graph, edge: Edge) -> str:
    """Return the node that a reference comes from, behind those that hand it on or write to it."""
    return graph.source_of(edge, through=("Identity", *VALUE_OPS, *VALUE_OPS.values(), *WRITE_OPS)).node


def _copy(node: NodeDef) -> NodeDef:
    copy = NodeDef()
    copy.CopyFrom(node)
    return copy
