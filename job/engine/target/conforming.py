"""Make a SavedModel one that an older TensorFlow loads, or refuse it and say what that one does not know."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Final

from tensorflow.core.framework import attr_value_pb2, graph_pb2, node_def_pb2, types_pb2
from tensorflow.core.protobuf import saved_model_pb2
from tensorflow.python.framework import op_def_registry

from job.engine.graph import all_nodes
from job.engine.target.history import Unknown, number, unknown_to
from job.errors import Refused
from job.records import Finding, SourceSummary, TargetTf
from job.wording import shown

ADVISORY_OPS: Final = frozenset({"DisableCopyOnRead"})
"""Ops without outputs that change no answer: this one spares a copy while a variable is saved."""

ADVISORY_ATTRIBUTES: Final = frozenset({("AssignVariableOp", "validate_shape"), ("VarHandleOp", "debug_name")})
"""Attributes that change no answer: a check of assignments that older ones do not make, and a name for people."""

SHAPED: Final = frozenset(f"ResourceScatterNd{what}" for what in ("Add", "Max", "Min", "Sub", "Update"))
"""Ops that ask for the shape of a variable, which older ones do not pass on to functions: 2.4 and 2.8 end with
``Dimensions [1,0) of input[shape=[]]`` when they load one, 2.12 does not."""

SHAPED_FROM: Final = "2.12"


@dataclass(frozen=True, kw_only=True, order=True)
class Lack:
    """What the target does not know and the model needs; `first` is the version that was the first to know it."""

    what: str
    first: str
    node: str


def conform(saved_model: saved_model_pb2.SavedModel, target: str) -> None:
    """Take out, in place, what TensorFlow `target` does not know and the model can do without.

    Raises `Refused` for what the model needs.
    """
    unknown = unknown_to(target)
    for meta_graph in saved_model.meta_graphs:
        _keep(meta_graph.meta_info_def.stripped_op_list.op, lambda op: op.name not in unknown.ops)
    conform_graphs((meta_graph.graph_def for meta_graph in saved_model.meta_graphs), target)


def conform_graphs(graph_defs: Iterable[graph_pb2.GraphDef], target: str) -> None:
    """Do to graphs and their functions what `conform` does to a SavedModel."""
    unknown, lacks = unknown_to(target), set[Lack]()
    for graph_def in graph_defs:
        if graph_def.versions.min_consumer > unknown.graph_version:
            what = f"the graph is for readers of GraphDef version {graph_def.versions.min_consumer} and later"
            remedy = "choose a later --target-tf"
            raise Refused(f"{what}, TensorFlow {target} reads up to {unknown.graph_version}", remedy=remedy)
        _drop_advice(graph_def, unknown)
        for node in all_nodes(graph_def):
            _drop_attributes(node, unknown)
            lacks.update(_lacks(node, unknown))
    if lacks:
        raise _refusal(sorted(lacks), target)


def with_target(summary: SourceSummary, target: TargetTf) -> SourceSummary:
    """Return what a report says about a model, with what TensorFlow it is made for."""
    if target == "running":
        return summary
    cause = f"TensorFlow {target} and later ones load the model: it holds nothing that is newer"
    return replace(summary, findings=(*summary.findings, Finding(code="made_for_target", cause=cause)))


def _drop_advice(graph_def: graph_pb2.GraphDef, unknown: Unknown) -> None:
    """Drop unknown ops that only advise, and whatever waits for them or counts them among a function's effects."""
    _drop_nodes(graph_def.node, unknown)
    for function in graph_def.library.function:
        gone = _drop_nodes(function.node_def, unknown)
        effects = [name for name, node in function.control_ret.items() if node in gone]
        for name in effects:
            del function.control_ret[name]
        _keep(function.signature.control_output, lambda name: name not in effects)  # noqa: B023 - used at once


def _drop_nodes(nodes: Any, unknown: Unknown) -> set[str]:
    """Drop the advisory ones of a repeated ``NodeDef``; who waited for one waits for what it waited for."""
    gone = {node.name: node for node in nodes if node.op in ADVISORY_OPS & unknown.ops.keys()}
    if gone:
        _keep(nodes, lambda node: node.name not in gone)
        for node in nodes:
            _replace(node.input, [edge for name in node.input for edge in _waited_for(name, gone)])
    return set(gone)


def _waited_for(edge: str, gone: dict[str, node_def_pb2.NodeDef]) -> Iterator[str]:
    """Yield an edge, or the control edges behind one that comes from a dropped node."""
    if edge.removeprefix("^") not in gone:
        yield edge
    else:
        for before in gone[edge.removeprefix("^")].input:
            yield from _waited_for(f"^{before.removeprefix('^').partition(':')[0]}", gone)


def _drop_attributes(node: node_def_pb2.NodeDef, unknown: Unknown) -> None:
    """Drop unknown attributes that say what has always been so, or that change no answer."""
    for name in [name for name in node.attr if (node.op, name) in unknown.attributes]:
        if (node.op, name) in ADVISORY_ATTRIBUTES or node.attr[name] == _default(node.op, name):
            del node.attr[name]


def _default(op: str, attribute: str) -> attr_value_pb2.AttrValue:
    return next(one.default_value for one in op_def_registry.get(op).attr if one.name == attribute)


def _lacks(node: node_def_pb2.NodeDef, unknown: Unknown) -> Iterator[Lack]:
    """Yield what of a node the target does not know: the op, or an attribute, or a value."""
    if node.op in unknown.ops:
        yield Lack(what=f"the op {node.op}", first=unknown.ops[node.op], node=node.name)
        return
    if node.op in SHAPED and number(unknown.version) < number(SHAPED_FROM):
        yield Lack(what=f"how to load a function with {node.op}", first=SHAPED_FROM, node=node.name)
    for name, attribute in node.attr.items():
        if first := unknown.attributes.get((node.op, name)):
            yield Lack(what=f"{name} of {node.op}", first=first, node=node.name)
        for value in _values(attribute):
            if first := unknown.values.get((node.op, name, value)):
                yield Lack(what=f"{node.op} with {name}={value}", first=first, node=node.name)


def _values(attribute: attr_value_pb2.AttrValue) -> Iterator[str]:
    """Yield the types, texts and numbers of an attribute, one or a list of them, as the history writes them."""
    is_list = attribute.WhichOneof("value") == "list"
    values = attribute.list if is_list else attr_value_pb2.AttrValue.ListValue()
    # Of a field that is not set comes the default of its type, which the history has under no such attribute.
    yield from (types_pb2.DataType.Name(one)[3:].lower() for one in values.type or [attribute.type])
    yield from (one.decode(errors="replace") for one in values.s or [attribute.s])
    yield from map(str, values.i or [attribute.i])


def _refusal(lacks: list[Lack], target: str) -> Refused:
    told = {lack.what: lack for lack in reversed(lacks)}  # the first node of each
    listed = [f"{what} (first in {lack.first})" for what, lack in sorted(told.items())]
    enough = max((lack.first for lack in lacks), key=number)
    return Refused(
        f"TensorFlow {target} does not know what the model needs: {shown(listed)}",
        where=f"node {lacks[0].node}",
        remedy=f"--target-tf {enough} knows all of it; or choose outputs that do without, by `outputs` in the manifest",
    )


def _keep(repeated: Any, wanted: Callable[[Any], bool]) -> None:
    """Delete the other elements of a repeated field, which takes no shorter one in its place."""
    for index in reversed([index for index, one in enumerate(repeated) if not wanted(one)]):
        del repeated[index]


def _replace(repeated: Any, values: list[str]) -> None:
    if values != list(repeated):
        del repeated[:]
        repeated.extend(values)
