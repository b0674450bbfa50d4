"""What a GraphDef must be before TensorFlow sees it."""

from collections.abc import Iterator, Sequence
from graphlib import CycleError, TopologicalSorter
from typing import Any, Final, NamedTuple

from tensorflow.core.framework import graph_pb2
from tensorflow.core.protobuf import meta_graph_pb2, saved_model_pb2
from tensorflow.python.framework import versions

from job.engine.scanning.fills import check_fills
from job.engine.scanning.functions import check_calls
from job.engine.scanning.names import check_names
from job.engine.scanning.sizes import MAX_GRAPH_BYTES, check_type, dims_of, element_count
from job.engine.scanning.tensors import check_attributes
from job.errors import BadInput, Refused
from job.wording import shown

MAX_NODES: Final = 500_000
"""The largest graph known to us, of a training run with its optimizer, has a fifth of it."""

MAX_META_GRAPHS: Final = 64
"""A SavedModel has one, sometimes one for training and some for accelerators beside it."""

BACK: Final = ("NextIteration", "RefNextIteration")
MERGES: Final = ("Merge", "RefMerge")
"""The only way back in a graph leads from one of the former to one of the latter: a loop of TF1."""

_DAMAGED: Final = "the file is damaged or edited; export the graph again"
_NODES_SHOWN: Final = 5


class _Body(NamedTuple):
    """The nodes of the graph or of one of its functions, and how a message calls it."""

    nodes: Sequence[Any]
    called: str


def check_proto(proto: Any, where: str) -> None:
    """Check whatever holds graphs: a GraphDef, a MetaGraphDef or a SavedModel; `where` is its file's name.

    Raises `BadInput` for what no TensorFlow can have written, `Refused` for what is beyond the limits.
    """
    if isinstance(proto, saved_model_pb2.SavedModel):
        if len(proto.meta_graphs) > MAX_META_GRAPHS:
            what = f"the SavedModel holds {len(proto.meta_graphs)} MetaGraphs; {MAX_META_GRAPHS} are allowed"
            raise Refused(what, where=where, remedy="export the one that is wanted alone")
        for meta_graph in proto.meta_graphs:
            check_proto(meta_graph, where)
    elif isinstance(proto, meta_graph_pb2.MetaGraphDef):
        _check_signatures(proto, where)
        check_graph(proto.graph_def, where)
    elif isinstance(proto, graph_pb2.GraphDef):
        check_graph(proto, where)


def check_graph(graph_def: graph_pb2.GraphDef, where: str) -> None:
    """Check a graph and its functions; raises as `check_proto`."""
    bodies = list(_bodies(graph_def, where))
    _check_count(sum(len(body.nodes) for body in bodies), where)
    _check_versions(graph_def, where)
    declared_bytes = 0
    for body in bodies:
        for node in body.nodes:
            check_names(node, body.called, where)
        _check_order(body, where)
        declared_bytes += sum(check_attributes(node.attr, f"node {node.name}", where) for node in body.nodes)
    declared_bytes += sum(_check_function(function, where) for function in graph_def.library.function)
    if declared_bytes > MAX_GRAPH_BYTES:
        what = f"the graph's constants declare {declared_bytes} bytes; {MAX_GRAPH_BYTES} are allowed"
        raise Refused(what, where=where, remedy="save the model with its weights in a checkpoint")
    check_calls(graph_def, where)
    for body in bodies[1:]:
        check_fills(body.nodes, where)


def _check_function(function: Any, where: str) -> int:
    """Check what a function says of itself and its arguments; return the bytes that it declares there."""
    said = (function.attr, *(one.attr for one in function.arg_attr.values()))
    return sum(check_attributes(attributes, f"the function {function.signature.name}", where) for attributes in said)


def _bodies(graph_def: graph_pb2.GraphDef, where: str) -> Iterator[_Body]:
    yield _Body(graph_def.node, "the graph")
    names = set[str]()
    for function in graph_def.library.function:
        name = function.signature.name
        if name in names:
            raise BadInput(f"two functions are named {name!r}", where=where, remedy=_DAMAGED)
        names.add(name)
        yield _Body(function.node_def, f"the function {name}")


def _check_count(count: int, where: str) -> None:
    if count > MAX_NODES:
        what = f"the graph has {count} nodes; {MAX_NODES} are allowed"
        raise Refused(what, where=where, remedy="export the part of it that answers, without the training")


def _check_versions(graph_def: graph_pb2.GraphDef, where: str) -> None:
    asked = graph_def.versions.min_consumer
    if asked > versions.GRAPH_DEF_VERSION:
        what = (
            f"the graph asks for a TensorFlow of GraphDef version {asked}; this one's is {versions.GRAPH_DEF_VERSION}"
        )
        raise BadInput(what, where=where, remedy="export it from an older TensorFlow, or wait for a newer job")


def _check_signatures(meta_graph: meta_graph_pb2.MetaGraphDef, where: str) -> None:
    for key, signature in meta_graph.signature_def.items():
        for side in (signature.inputs, signature.outputs):
            for name, info in side.items():
                whose = f"{name} of the signature {key}"
                check_type(info.dtype, whose, where)
                element_count(dims_of(info.tensor_shape), whose, where, may_be_open=True)


def _check_order(body: _Body, where: str) -> None:
    """Raise `BadInput` for two nodes of one name, and for nodes that wait for each other."""
    ops = {node.name: node.op for node in body.nodes}
    if len(ops) < len(body.nodes):
        seen = set[str]()
        twice = next(node.name for node in body.nodes if node.name in seen or seen.add(node.name))  # type: ignore[func-returns-value]
        raise BadInput(f"two nodes of {body.called} are named {twice!r}", where=where, remedy=_DAMAGED)
    needs = {node.name: [one for one in _sources(node) if not _leads_back(ops, one, node)] for node in body.nodes}
    try:
        TopologicalSorter(needs).prepare()
    except CycleError as error:
        what = f"nodes of {body.called} need each other: {shown(error.args[1][1:], _NODES_SHOWN)}"
        raise BadInput(what, where=where, remedy=_DAMAGED) from error


def _sources(node: Any) -> Iterator[str]:
    """Yield the nodes that a node takes something from: ``^x``, ``x``, ``x:1`` and, in functions, ``x:y:0``."""
    return (text.removeprefix("^").partition(":")[0] for text in node.input)


def _leads_back(ops: dict[str, str], source: str, node: Any) -> bool:
    return node.op in MERGES and ops.get(source, "") in BACK
