"""Put functions in the place of their calls where Grappler does not: it leaves those that hold TF1's loops."""

from collections.abc import Iterator, Mapping
from typing import Final

import tensorflow as tf
from tensorflow.python.framework.function_def_to_graph import function_def_to_graph_def

from job.engine.graph import Edge, Graph, GraphDef, NodeDef, edge_of
from job.engine.reaching import reached_library
from job.engine.variants.editing import with_inputs

CALLS: Final = ("PartitionedCall", "StatefulPartitionedCall")


def inlined(graph_def: GraphDef) -> GraphDef:
    """Return a graph that calls no function but in loops and conditions of TF2, and writes no state.

    What a function does beside its outputs is left out, as is the order of its call among others.
    """
    with tf.Graph().as_default():  # where functions are looked up that functions name
        tf.import_graph_def(GraphDef(versions=graph_def.versions, library=graph_def.library))
        while any(node.op in CALLS for node in graph_def.node):
            graph_def = _once(graph_def)
    return graph_def


def _once(graph_def: GraphDef) -> GraphDef:
    graph, routes = Graph(graph_def), dict[Edge, Edge]()
    nodes = list[NodeDef]()
    for node in graph_def.node:
        nodes += _body(graph, node, routes) if node.op in CALLS else [node]
    result = GraphDef(versions=graph_def.versions)
    result.node.extend(_rerouted(node, routes) for node in nodes)
    result.library.CopyFrom(reached_library(result.node, graph_def.library))
    return result


def _body(graph: Graph, call: NodeDef, routes: dict[Edge, Edge]) -> Iterator[NodeDef]:
    """Yield a function's nodes, under its call's name; `routes` are told where outputs and arguments come from."""
    function = graph.functions[call.attr["f"].func.name]
    body, flat = function_def_to_graph_def(function)
    arguments = [arg.name for arg in function.signature.input_arg]
    for name, given in zip(arguments, graph.inputs(call.name), strict=True):
        routes[Edge(f"{call.name}/{name}", 0)] = given
    for index, arg in enumerate(function.signature.output_arg):
        output = edge_of(flat[function.ret[arg.name]])
        routes[Edge(call.name, index)] = Edge(f"{call.name}/{output.node}", output.output)
    for node in body.node:
        if node.name not in arguments:
            node.name = f"{call.name}/{node.name}"
            names = [
                f"^{call.name}/{text[1:]}" if text.startswith("^") else f"{call.name}/{text}" for text in node.input
            ]
            node.input[:] = names
            if "frame_name" in node.attr:  # two loops of one name would be one
                node.attr["frame_name"].s = f"{call.name}/".encode() + node.attr["frame_name"].s
            yield node


def _rerouted(node: NodeDef, routes: Mapping[Edge, Edge]) -> NodeDef:
    """Return a node that takes, and waits for, what stands where a call was, or an argument."""

    def target(edge: Edge) -> Edge:
        while edge in routes:
            edge = routes[edge]
        return edge

    edges = [target(edge_of(text)) for text in node.input if not text.startswith("^")]
    copy = with_inputs(node, edges)
    waits = {f"^{target(Edge(text[1:], 0)).node}" for text in node.input if text.startswith("^")}
    del copy.input[len(edges) :]
    copy.input.extend(sorted(waits))
    return copy
