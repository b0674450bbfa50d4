"""A checkpoint with the graph that its owner's function builds."""

import itertools
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import tensorflow as tf
from tensorflow.core.framework import graph_pb2
from tensorflow.core.protobuf import meta_graph_pb2

from job.engine.architectures.matching import Fit
from job.engine.formats.base import LoadedMetaGraph, checkpoint_of, predict_signature
from job.engine.graph import Graph
from job.engine.user_graphs.calling import call, told
from job.engine.user_graphs.interface import Interface, interface_of
from job.engine.user_graphs.matching import fit_of, refusal
from job.engine.user_graphs.names import named
from job.engine.user_graphs.wanted import Wanted, restore_from, wanted_by
from job.errors import UsageError
from job.records import Finding
from job.requests import SourceRequest
from job.user_function import UserFunction, parse_user_function
from job.wording import shown


def read(request: SourceRequest, prefix: str) -> LoadedMetaGraph:
    """Build the graph by the function in ``options.architecture`` and pair its variables with what is at `prefix`.

    Every variable that the outputs need gets one tensor by its name, and every tensor goes to one variable.
    Raises `UsageError` for what the function does wrong, `BadInput` naming what is missing, left over or of
    another shape.
    """
    said, graph = parse_user_function(request.options.architecture), tf.Graph()
    with told(said, f"the model of {said.name} failed"):
        interface = interface_of(call(said, graph), graph, said.name)
    meta_graph = _meta_graph(graph, interface, said)
    wanted = _wanted(meta_graph, interface.names, said.name)
    checkpoint, called = checkpoint_of(prefix), {one.name for one in wanted.values()}
    behind = Graph(meta_graph.graph_def).ancestors(tensor.op.name for tensor in interface.outputs.values())
    needed = {node: one for node, one in wanted.items() if node in behind}
    tensors, findings = named(needed.values(), called, checkpoint, request.options.rules)
    found = _without(called - {one.name for one in needed.values()}, fit_of(needed.values(), tensors))
    if not found.is_exact:
        raise refusal(found, said.name, request.entry)
    restore_from(meta_graph.graph_def, {node: (tensors.keys[one.name], one.slice_spec) for node, one in needed.items()})
    return LoadedMetaGraph(
        meta_graph=meta_graph,
        checkpoint=checkpoint,
        beside=Path(prefix).parent,
        findings=(*_given(said, found), *findings),
        restated=True,
    )


def _wanted(meta_graph: meta_graph_pb2.MetaGraphDef, names: Mapping[str, str], where: str) -> dict[str, Wanted]:
    """Return what each variable wants; a Keras model's are called as it calls them."""
    wanted = {node: replace(one, name=names.get(node, one.name)) for node, one in wanted_by(meta_graph).items()}
    counts = Counter(one.name for one in wanted.values() if not one.slice_spec)
    twice = [name for name, count in counts.items() if count > 1]
    if twice:
        raise UsageError(
            f"{len(twice)} names are those of more than one variable: {shown(twice)}",
            where=where,
            remedy="give the layers names of their own",
        )
    return wanted


def _without(unneeded: Collection[str], found: Fit) -> Fit:
    """Leave out tensors whose variables are in the graph and not needed: an auxiliary head's, for one."""
    return replace(found, extra=tuple(name for name in found.extra if name not in unneeded))


def _meta_graph(graph: tf.Graph, interface: Interface, said: UserFunction) -> meta_graph_pb2.MetaGraphDef:
    """Return the graph with ``serving_default``, and who made it in place of TensorFlow's version."""
    with graph.as_default():
        meta_graph: meta_graph_pb2.MetaGraphDef = tf.compat.v1.train.export_meta_graph()
    rename_functions(meta_graph.graph_def)
    meta_graph.meta_info_def.tensorflow_version = said.name
    meta_graph.signature_def["serving_default"].CopyFrom(predict_signature(interface.inputs, interface.outputs))
    return meta_graph


def rename_functions(graph_def: graph_pb2.GraphDef) -> None:
    """Give a graph's functions names that this process does not know, in place.

    Those that were registered while the graph was built stay so as long as anything holds them, and another
    function of the same name, such as the lifted one, would be refused.
    """
    names = {function.signature.name: f"tf1lift_{function.signature.name}" for function in graph_def.library.function}
    for function in graph_def.library.function:
        function.signature.name = names[function.signature.name]
    for gradient in graph_def.library.gradient:
        gradient.function_name = names.get(gradient.function_name, gradient.function_name)
        gradient.gradient_func = names.get(gradient.gradient_func, gradient.gradient_func)
    bodies = (function.node_def for function in graph_def.library.function)
    for node in itertools.chain(graph_def.node, *bodies):
        node.op = names.get(node.op, node.op)
        for value in node.attr.values():
            for called in (value.func, *value.list.func):
                if called.name in names:
                    called.name = names[called.name]


def _given(said: UserFunction, found: Fit) -> Iterator[Finding]:
    yield Finding(
        code="architecture_given",
        cause=f"the graph was built by {said.name}, as was asked for; its {len(found.matched)} tensors are those of "
        "the checkpoint, name by name and shape by shape",
    )
