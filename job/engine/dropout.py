"""Dropout that would stay on at inference: switched off where it is baked in, by its own constants.

With those at rate 0 (keep 1) dropout is exactly the identity, in the baseline, which is fed them,
as in the candidate. A constant that something else uses as well is left as it is.
"""

from collections.abc import Iterable, Iterator, Mapping

from job.engine.dropout_pattern import Dropout, dropouts
from job.engine.graph import Edge, Graph
from job.engine.switches import PLACEHOLDERS
from job.records import Finding


def find_dropout(graph: Graph, needed: set[str]) -> dict[str, float]:
    """Return the value of every constant that switches a needed dropout off, by tensor name."""
    places = [place for place in dropouts(graph) if place.product in needed]
    left_on = [place for place in places if not _guards(graph, place)]
    own = frozenset[str]().union(*(place.nodes for place in places))
    return {
        edge.tensor: value
        for place in left_on
        if all(_is_own(graph, edge, own) for edge in place.off())
        for edge, value in place.off().items()
    }


def find_controls(graph: Graph) -> dict[str, bool | float]:
    """Return the placeholders that dropout shows to be training switches, whatever they are called.

    A scalar that is a rate becomes 0 and one that is a probability to keep becomes 1; a predicate
    that chooses between a tensor and its dropout chooses the tensor.
    """
    found: dict[str, bool | float] = {}
    for place in dropouts(graph):
        found |= {edge.tensor: value for edge, value in place.off().items() if _is_placeholder(graph, edge)}
        found |= {edge.tensor: value for edge, value in _guards(graph, place) if _is_placeholder(graph, edge)}
    return found


def findings(bound: Mapping[str, float]) -> Iterator[Finding]:
    """Say that dropout was left on, once for all places."""
    if bound:
        yield Finding(
            code="dropout_switched_off",
            cause=f"the graph was saved with dropout on ({len(bound)} constants, first {next(iter(bound))}); "
            "it was switched off",
            remedy="export the inference graph to be sure of what it computes",
            severity="warning",
        )


def _guards(graph: Graph, place: Dropout) -> list[tuple[Edge, bool]]:
    """Return (predicate, its value) of a condition whose other branch hands the same data on undropped."""
    return [found for merge in _merges(graph, place.product) for found in _bypasses(graph, merge, place)]


def _merges(graph: Graph, name: str) -> Iterable[str]:
    """Yield the merges that a node's value reaches behind nothing but identities."""
    for consumer, _, _ in graph.consumers(name):
        op = graph.nodes[consumer].op
        if op == "Merge":
            yield consumer
        elif op == "Identity":
            yield from _merges(graph, consumer)


def _bypasses(graph: Graph, merge: str, place: Dropout) -> Iterator[tuple[Edge, bool]]:
    data = graph.source_of(place.data)
    for edge in graph.inputs(merge):
        branch = graph.source_of(edge, through=("Identity",))
        if graph.nodes[branch.node].op == "Switch":
            handed_on, predicate = graph.inputs(branch.node)
            if graph.source_of(handed_on) == data:
                yield graph.source_of(predicate), bool(branch.output)


def _is_own(graph: Graph, edge: Edge, nodes: frozenset[str]) -> bool:
    """Whether a constant is used by dropout alone."""
    return graph.nodes[edge.node].op == "Const" and all(who in nodes for who, _, _ in graph.consumers(edge.node))


def _is_placeholder(graph: Graph, edge: Edge) -> bool:
    return graph.nodes[edge.node].op in PLACEHOLDERS
