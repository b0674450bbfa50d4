"""Dropout that would stay on at inference: switched off where it is baked in.

At inference dropout is the identity, and so the node that ends it becomes one, in the source graph:
baseline and candidate are both made of that. Where a placeholder decides, that is a training switch.
"""

from collections.abc import Collection, Iterable, Iterator

from job.engine.graph import Edge, Graph, NodeDef
from job.engine.health.dropout_pattern import Dropout, dropouts, scalar
from job.engine.interface.switches import PLACEHOLDERS
from job.records import Finding


def switch_off(graph: Graph, *, repeatable: bool = True) -> tuple[Graph, frozenset[str]]:
    """Return the graph without its baked-in dropout, changed in place, and the nodes that ended one.

    `repeatable` says whether that goes too whose random numbers a seed repeats in each session.
    """
    left_on = [place for place in dropouts(graph) if _is_left_on(graph, place)]
    left_on = [place for place in left_on if repeatable or not _is_seeded(graph.nodes[place.source])]
    for place in left_on:
        _become_identity(graph.nodes[place.product], place.data)
    if not left_on:
        return graph, frozenset()
    changed = Graph(graph.graph_def)
    changed.recorded_shapes = graph.recorded_shapes
    return changed, frozenset(place.product for place in left_on)


def find_controls(graph: Graph) -> dict[str, bool | float]:
    """Return the placeholders that dropout shows to be training switches, whatever they are called.

    A scalar that is a rate becomes 0 and one that is a probability to keep becomes 1; a predicate
    that chooses between a tensor and its dropout chooses the tensor.
    """
    found: dict[str, bool | float] = {}
    for place in dropouts(graph):
        if _is_placeholder(graph, place.control):
            found[place.control.tensor] = place.off
        found |= {edge.tensor: value for edge, value in _guards(graph, place)}
    return found


def sources_off(graph: Graph, bound: Collection[str]) -> set[str]:
    """Return the nodes that draw random numbers for nothing but dropout whose control is in `bound`."""
    places = list(dropouts(graph))
    on = {place.source for place in places if place.control.tensor not in bound}
    return {place.source for place in places} - on


def findings(switched_off: Collection[str]) -> Iterator[Finding]:
    """Say that dropout was left on, once for all places."""
    if switched_off:
        yield Finding(
            code="dropout_switched_off",
            cause=f"the graph was saved with dropout on ({len(switched_off)} places, first {min(switched_off)}); "
            "it was switched off",
            remedy="export the inference graph to be sure of what it computes; --dropout as_saved leaves it on",
            severity="warning",
        )


def _is_left_on(graph: Graph, place: Dropout) -> bool:
    """Whether dropout is on for good: nothing that is fed decides about it, and it does not keep everything."""
    fed = _is_placeholder(graph, place.control) or any(_guards(graph, place))
    return not fed and scalar(graph, place.control) != place.off


def _is_seeded(node: NodeDef) -> bool:
    return any(name in node.attr and node.attr[name].i for name in ("seed", "seed2"))


def _become_identity(node: NodeDef, data: Edge) -> None:
    controls = [text for text in node.input if text.startswith("^")]
    node.op = "Identity"
    del node.input[:]
    node.input.extend([data.tensor.removesuffix(":0"), *controls])
    for name in [name for name in node.attr if name != "T"]:
        del node.attr[name]


def _guards(graph: Graph, place: Dropout) -> list[tuple[Edge, bool]]:
    """Return (placeholder, its value) of a condition whose other branch hands the same data on undropped."""
    bypasses = (found for merge in _merges(graph, place.product) for found in _bypasses(graph, merge, place))
    return [(edge, value) for edge, value in bypasses if _is_placeholder(graph, edge)]


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


def _is_placeholder(graph: Graph, edge: Edge) -> bool:
    return graph.nodes[edge.node].op in PLACEHOLDERS
