"""Dropout baked into a graph by constants: found by its pattern, and switched off by those constants.

``tf.nn.dropout`` of TF1 keeps where ``random_uniform >= rate`` and scales by ``1 / (1 - rate)``, and
before 1.13 where ``floor(keep_prob + random_uniform)`` and divides by ``keep_prob``. With the
constants at rate 0 (keep 1) both are exactly the identity, in the baseline as in the candidate.
"""

from collections.abc import Iterator
from typing import Final

from job.engine.graph import Edge, Graph, NodeDef
from job.engine.switches import PLACEHOLDERS
from job.records import Finding

STEPS: Final = ("Add", "AddV2", "Mul", "Identity", "Cast")
"""From the raw uniform number to the one that is compared."""


def find_dropout(graph: Graph, needed: set[str]) -> dict[str, float]:
    """Return the value of every constant that switches a needed dropout off, by tensor name."""
    found = dict[str, float]()
    for node in graph.of_type("RandomUniform"):
        if node.name in needed and not _is_guarded(graph, node.name):
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


def find_guards(graph: Graph) -> dict[str, bool]:
    """Return the placeholders that decide whether dropout draws, whatever they are called, with "it does not"."""
    found = dict[str, bool]()
    for node in graph.of_type("RandomUniform"):
        for predicate, branch in _conditions(graph, node.name) if any(_masks(graph, node.name)) else ():
            if graph.nodes[predicate.node].op in PLACEHOLDERS:
                found[predicate.tensor] = not branch
    return found


def _is_guarded(graph: Graph, uniform: str) -> bool:
    """Whether a condition of the graph itself decides if the number is drawn."""
    return any(_conditions(graph, uniform))


def _conditions(graph: Graph, name: str) -> Iterator[tuple[Edge, bool]]:
    """Yield (predicate, branch) of every condition in whose branch a node lies; a loop's condition is none."""
    inside = graph.ancestors([name])
    for switch in (one for one in inside if graph.nodes[one].op in ("Switch", "RefSwitch")):
        predicate = graph.source_of(graph.inputs(switch)[1])
        branches = {output for who, _, output in graph.consumers(switch) if who in inside}
        if graph.nodes[predicate.node].op != "LoopCond" and len(branches) == 1:
            yield predicate, bool(branches.pop())


def _constants(graph: Graph, uniform: str) -> Iterator[tuple[str, float]]:
    for mask, number in _masks(graph, uniform):
        if not _products(graph, mask.name):
            continue  # a comparison or floor that masks nothing is no dropout
        if mask.op == "GreaterEqual":
            rate = graph.inputs(mask.name)[1]
            if _is_const(graph, rate):
                yield rate.tensor, 0.0
                yield from ((scale.tensor, 1.0) for scale in _scales(graph, mask.name))
        elif graph.nodes[number].op in ("Add", "AddV2"):
            yield from _keep(graph, mask.name, number)


def _keep(graph: Graph, mask: str, number: str) -> Iterator[tuple[str, float]]:
    """Yield what makes ``floor(keep + uniform)`` one: `keep` itself, or the rate that it is one minus of (1.13)."""
    for edge in graph.inputs(number):
        if _is_const(graph, edge):
            yield edge.tensor, 1.0
            yield from ((scale.tensor, 1.0) for scale in _scales(graph, mask) if scale != edge)
        elif graph.nodes[edge.node].op == "Sub" and all(_is_const(graph, part) for part in graph.inputs(edge.node)):
            yield graph.inputs(edge.node)[1].tensor, 0.0


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
    """Yield the constants that scale what the mask silences."""
    for product in _products(graph, mask):
        for edge in graph.inputs(product):
            if graph.nodes[edge.node].op in ("Mul", "RealDiv"):
                yield from (scale for scale in graph.inputs(edge.node) if _is_const(graph, scale))


def _products(graph: Graph, mask: str) -> list[str]:
    """Return the products with the mask, and the choices by it between something and zero (since TF 2.5)."""
    uses = [use for name in _cast(graph, mask) for use in graph.consumers(name)]
    return [who for who, index, _ in uses if graph.nodes[who].op == "Mul" or _chooses_zero(graph, who, index)]


def _chooses_zero(graph: Graph, name: str, index: int) -> bool:
    if graph.nodes[name].op not in ("Select", "SelectV2") or index != 0:
        return False
    other = graph.inputs(name)[2]
    return graph.nodes[other.node].op == "ZerosLike" or (_is_const(graph, other) and not graph.const(other).any())


def _cast(graph: Graph, mask: str) -> list[str]:
    return [mask, *(who for who, _, _ in graph.consumers(mask) if graph.nodes[who].op == "Cast")]


def _is_const(graph: Graph, edge: Edge) -> bool:
    return bool(graph.nodes[edge.node].op == "Const")
