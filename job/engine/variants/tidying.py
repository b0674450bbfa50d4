"""Take out what computes nothing: nodes that hand a tensor on, waits for what has no effect, dropout that is off."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Final

from job.engine.graph import Edge, Graph, NodeDef, edge_of
from job.engine.health.dropout_pattern import dropouts, scalar
from job.engine.variants.base import Device, FrozenGraph, Rewritten
from job.engine.variants.editing import rerouted, with_nodes
from job.engine.variants.effects import acts

HANDING_ON: Final = ("Identity", "StopGradient", "PreventGradient", "Snapshot", "PlaceholderWithDefault")

CONTROL_FLOW: Final = frozenset({"Enter", "Exit", "Switch", "Merge", "NextIteration", "LoopCond"})
"""A node that hands on what one of these gives marks the place in a loop or a condition where it stands."""


def tidy(frozen: FrozenGraph, _: Device) -> Rewritten:
    """Return the graph without nodes that change nothing."""
    waiting_less = with_nodes(frozen, _without_waits(frozen.graph_def.node))
    silent = rerouted(waiting_less, dict(_dropouts_off(Graph(waiting_less.graph_def))))
    tidied = rerouted(silent, dict(_handed_on(Graph(silent.graph_def))))
    fewer = len(frozen.graph_def.node) - len(tidied.graph_def.node)
    return tidied, (f"{fewer} nodes that compute nothing taken out",) if fewer else ()


def _without_waits(nodes: Iterable[NodeDef]) -> Iterator[NodeDef]:
    """Drop control inputs behind which nothing acts and no loop or condition decides."""
    nodes = list(nodes)
    acting = _acting(nodes)
    for node in nodes:
        copy = NodeDef()
        copy.CopyFrom(node)
        kept = [text for text in node.input if not text.startswith("^") or text[1:] in acting]
        del copy.input[:]
        copy.input.extend(kept)
        yield copy


def _acting(nodes: Iterable[NodeDef]) -> set[str]:
    """Return the nodes that act or decide, and all that come after them."""
    after = defaultdict[str, list[str]](list)
    for node in nodes:
        for text in node.input:
            after[edge_of(text).node].append(node.name)
    found, queue = set[str](), [node.name for node in nodes if _acts(node)]
    while queue:
        name = queue.pop()
        if name not in found:
            found.add(name)
            queue += after[name]
    return found


def _acts(node: NodeDef) -> bool:
    return acts(node.op) or node.op in CONTROL_FLOW


def _dropouts_off(graph: Graph) -> Iterator[tuple[Edge, Edge]]:
    for dropout in dropouts(graph):
        if scalar(graph, dropout.control) == dropout.off:
            yield Edge(dropout.product, 0), dropout.data


def _handed_on(graph: Graph) -> Iterator[tuple[Edge, Edge]]:
    for node in graph.of_type(*HANDING_ON):
        (given,) = graph.inputs(node.name)
        if not graph.controls(node.name) and graph.nodes[given.node].op not in CONTROL_FLOW:
            yield Edge(node.name, 0), given
