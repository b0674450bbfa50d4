"""Dropout baked into a graph by constants: found by its pattern, and switched off by those constants.

``tf.nn.dropout`` of TF1 keeps where ``random_uniform >= rate`` and scales by ``1 / (1 - rate)``, and
before 1.13 where ``floor(keep_prob + random_uniform)`` and divides by ``keep_prob``. With the
constants at rate 0 (keep 1) both are exactly the identity, in the baseline as in the candidate.
"""

from collections.abc import Iterator
from typing import Final

from job.engine.graph import Edge, Graph, NodeDef
from job.records import Finding

STEPS: Final = ("Add", "AddV2", "Mul", "Identity", "Cast")
"""From the raw uniform number to the one that is compared."""


def find_dropout(graph: Graph, needed: set[str]) -> dict[str, float]:
    """Return the value of every constant that switches a needed dropout off, by tensor name."""
    found = dict[str, float]()
    for node in graph.of_type("RandomUniform"):
        if node.name in needed:
            found.update(_constants(graph, node.name))
    return found


def findings(bound: dict[str, float]) -> Iterator[Finding]:
    """Say that dropout was left on, once for all places."""
    if bound:
        yield Finding(
            code="dropout_switched_off",
            cause=f"the graph was saved with dropout on ({len(bound)} constants, first {next(iter(bound))}); "
            "it was switched off",
            remedy="export the inference graph to be sure of what it computes",
            severity="warning",
        )


def _constants(graph: Graph, uniform: str) -> Iterator[tuple[str, float]]:
    for mask, number in _masks(graph, uniform):
        if mask.op == "GreaterEqual":
            rate = graph.inputs(mask.name)[1]
            if _is_const(graph, rate):
                yield rate.tensor, 0.0
                yield from ((scale.tensor, 1.0) for scale in _scales(graph, mask.name))
        else:
            keep = next((edge for edge in graph.inputs(number) if _is_const(graph, edge)), None)
            if keep is not None:
                yield keep.tensor, 1.0
                yield from ((scale.tensor, 1.0) for scale in _scales(graph, mask.name) if scale != keep)


def _masks(graph: Graph, uniform: str) -> Iterator[tuple[NodeDef, str]]:
    """Yield (mask node, what it looks at): a comparison of the uniform number, or a floor of its sum."""
    queue, seen = [uniform], {uniform}
    while queue:
        name = queue.pop()
        for consumer, index, _ in graph.consumers(name):
            node = graph.nodes[consumer]
            if (node.op == "GreaterEqual" and index == 0) or node.op == "Floor":
                yield node, name
            elif node.op in STEPS and consumer not in seen:
                seen.add(consumer)
                queue.append(consumer)


def _scales(graph: Graph, mask: str) -> Iterator[Edge]:
    """Yield the constants that scale what the mask is multiplied with."""
    masked = [who for name in _cast(graph, mask) for who, _, _ in graph.consumers(name) if graph.nodes[who].op == "Mul"]
    for product in masked:
        for edge in graph.inputs(product):
            if graph.nodes[edge.node].op in ("Mul", "RealDiv"):
                yield from (scale for scale in graph.inputs(edge.node) if _is_const(graph, scale))


def _cast(graph: Graph, mask: str) -> list[str]:
    return [mask, *(who for who, _, _ in graph.consumers(mask) if graph.nodes[who].op == "Cast")]


def _is_const(graph: Graph, edge: Edge) -> bool:
    return bool(graph.nodes[edge.node].op == "Const")
