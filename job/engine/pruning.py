"""What a signature needs of a graph, cut where its inputs come in."""

from collections.abc import Iterable, Mapping

from tensorflow.core.framework import graph_pb2

from job.engine.graph import Edge, Graph, edge_of
from job.engine.reaching import reached_library
from job.records import Signature


def cut_at(inputs: Iterable[str], bound: Mapping[str, object]) -> set[Edge]:
    """Return the tensors at which a signature's graph begins: its inputs and the bound switches."""
    return {edge_of(tensor) for tensor in (*inputs, *bound)}


def needed_by(graph: Graph, cut: Iterable[Edge], outputs: Iterable[str]) -> set[str]:
    """Return the nodes that `outputs` need, those of `cut` included and nothing behind them."""
    return graph.ancestors([edge_of(name).node for name in outputs], stop={edge.node for edge in cut})


def computed_by(graph: Graph, signature: Signature, bound: Mapping[str, object]) -> set[str]:
    """Return the nodes that run when a signature is called, whose inputs and switches are fed."""
    cut = cut_at((spec.tensor for spec in signature.inputs), bound)
    return needed_by(graph, cut, (spec.tensor for spec in signature.outputs)) - {edge.node for edge in cut}


def prune(graph: Graph, cut: set[Edge], outputs: Iterable[str]) -> graph_pb2.GraphDef:
    """Return the nodes that `outputs` need, without those of `cut`.

    Who imports the result gives the cut tensors by `input_map`. Control inputs from what is
    left out go with it.
    """
    keep = needed_by(graph, cut, outputs) - {edge.node for edge in cut}
    return subgraph(graph, keep)


def subgraph(graph: Graph, keep: set[str]) -> graph_pb2.GraphDef:
    """Copy the kept nodes, in order, with the functions that they can run, without control inputs from others."""
    copy = graph_pb2.GraphDef(versions=graph.graph_def.versions)
    copy.node.extend(node for node in graph.graph_def.node if node.name in keep)
    copy.library.CopyFrom(reached_library(copy.node, graph.graph_def.library))
    for node in copy.node:
        kept = [text for text in node.input if not text.startswith("^") or text[1:] in keep]
        if len(kept) < len(node.input):
            del node.input[:]
            node.input.extend(kept)
    return copy
