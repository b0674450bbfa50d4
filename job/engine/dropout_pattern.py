"""How dropout looks in a graph: a random mask, and a scale that makes up for what the mask silences.

``tf.nn.dropout`` of TF1 keeps where ``random_uniform >= rate`` and scales by ``1 / (1 - rate)``; before
1.13 it kept where ``floor(keep_prob + random_uniform)`` is one and divided by ``keep_prob``. A mask
whose scale does not make up for it is something else, and is none of ours.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from job.engine.graph import Edge, Graph
from job.engine.switches import PLACEHOLDERS

STEPS: Final = ("Add", "AddV2", "Mul", "Identity", "Cast")
"""From the raw uniform number to the one that is compared."""

PASSING: Final = ("Identity", "Enter", "Switch")
ADDITIONS: Final = ("Add", "AddV2")

Role = Literal["rate", "keep"]


@dataclass(frozen=True, kw_only=True)
class Dropout:
    """One place: `data` goes in, `product` comes out.

    `control` is the constant or placeholder that is its rate, or its probability to keep. `scale`
    is a constant of its own that makes up for it, where the graph does not compute that from
    `control`. `nodes` are those of the pattern.
    """

    data: Edge
    product: str
    control: Edge
    role: Role
    scale: Edge | None
    nodes: frozenset[str]

    def off(self) -> dict[Edge, float]:
        """Return what makes it the identity."""
        values = {self.control: 0.0 if self.role == "rate" else 1.0}
        return values | ({self.scale: 1.0} if self.scale is not None else {})


def dropouts(graph: Graph) -> Iterator[Dropout]:
    """Yield every dropout of a graph."""
    for node in graph.of_type("RandomUniform"):
        for mask, number in _masks(graph, node.name):
            yield from _of_mask(graph, mask, number)


def _of_mask(graph: Graph, mask: str, number: str) -> Iterator[Dropout]:
    for threshold, first in _thresholds(graph, mask, number):
        control, role, passed = _trace(graph, threshold, first)
        if graph.nodes[control.node].op not in (*PLACEHOLDERS, "Const"):
            continue
        keep = _keep(graph, control, role)
        for product, scaled in _products(graph, mask):
            for data, scale, nodes in _scales(graph, scaled, control, keep):
                yield Dropout(
                    data=data,
                    product=product,
                    control=control,
                    role=role,
                    scale=scale,
                    nodes=frozenset({mask, number, scaled.node, *passed, *nodes}),
                )


def _masks(graph: Graph, uniform: str) -> Iterator[tuple[str, str]]:
    """Yield (mask, what it looks at): a comparison of the uniform number, or a floor of its sum."""
    queue, seen = [uniform], {uniform}
    while queue:
        name = queue.pop()
        for consumer, index, _ in graph.consumers(name):
            op = graph.nodes[consumer].op
            if (op == "GreaterEqual" and index == 0) or op == "Floor":
                yield consumer, name
            elif op in STEPS and consumer not in seen:
                seen.add(consumer)
                queue.append(consumer)


def _thresholds(graph: Graph, mask: str, number: str) -> Iterator[tuple[Edge, Role]]:
    """Yield what the number is compared with, or what is added to it before the floor."""
    if graph.nodes[mask].op == "GreaterEqual":
        yield graph.inputs(mask)[1], "rate"
    elif graph.nodes[number].op in ADDITIONS:
        yield from ((edge, "keep") for edge in graph.inputs(number))


def _trace(graph: Graph, edge: Edge, role: Role) -> tuple[Edge, Role, set[str]]:
    """Follow a rate or keep probability to where it is given; ``1 - x`` turns one into the other."""
    passed = set[str]()
    while graph.nodes[edge.node].op in PASSING or _is_complement(graph, edge):
        if edge.node in passed:
            break
        passed.add(edge.node)
        if graph.nodes[edge.node].op == "Sub":
            edge, role = graph.inputs(edge.node)[1], "keep" if role == "rate" else "rate"
        else:
            edge = graph.inputs(edge.node)[0]
    return edge, role, passed


def _is_complement(graph: Graph, edge: Edge) -> bool:
    return graph.nodes[edge.node].op == "Sub" and _value(graph, graph.inputs(edge.node)[0]) == 1.0


def _keep(graph: Graph, control: Edge, role: Role) -> float | None:
    """Return the probability to keep; `None` where a placeholder decides."""
    value = _value(graph, control)
    return value if value is None or role == "keep" else 1.0 - value


def _products(graph: Graph, mask: str) -> Iterator[tuple[str, Edge]]:
    """Yield (product with the mask, what it masks); since TF 2.5 a choice between that and zero."""
    casts = [who for who, _, _ in graph.consumers(mask) if graph.nodes[who].op == "Cast"]
    for name in (mask, *casts):
        for who, index, _ in graph.consumers(name):
            node, inputs = graph.nodes[who], graph.inputs(who)
            if node.op == "Mul":
                yield who, inputs[1 - index]
            elif node.op in ("Select", "SelectV2") and index == 0 and _is_zero(graph, inputs[2]):
                yield who, inputs[1]


def _scales(
    graph: Graph, scaled: Edge, control: Edge, keep: float | None
) -> Iterator[tuple[Edge, Edge | None, set[str]]]:
    """Yield (data, constant scale, nodes) where `scaled` is data made up for a probability `keep`."""
    node = graph.nodes[scaled.node]
    if node.op not in ("Mul", "RealDiv"):
        return
    inputs = graph.inputs(scaled.node)
    sides = [(inputs[0], inputs[1])] if node.op == "RealDiv" else [(inputs[0], inputs[1]), (inputs[1], inputs[0])]
    for data, factor in sides:
        expected = keep if node.op == "RealDiv" or not keep else 1.0 / keep
        value = _value(graph, factor)
        if (
            value is not None
            and expected is not None
            and factor != control
            and math.isclose(value, expected, rel_tol=1e-4)
        ):
            yield data, graph.source_of(factor, through=PASSING), _way(graph, factor)
        elif _is_made_of(graph, factor, control, inverse=node.op == "Mul"):
            yield data, None, _way(graph, factor) | _way_to(graph, factor)


def _is_made_of(graph: Graph, factor: Edge, control: Edge, *, inverse: bool) -> bool:
    """Whether a factor is the keep probability (or one over it), computed from `control`."""
    if inverse:
        origin = graph.source_of(factor, through=PASSING)
        if graph.nodes[origin.node].op not in ("RealDiv", "Reciprocal", "Inv"):
            return False
        inputs = graph.inputs(origin.node)
        if len(inputs) == 2 and _value(graph, inputs[0]) != 1.0:
            return False
        factor = inputs[-1]
    return _trace(graph, factor, "keep")[0] == control


def _way(graph: Graph, edge: Edge) -> set[str]:
    """Return the nodes that only hand an edge on."""
    return _trace(graph, edge, "keep")[2]


def _way_to(graph: Graph, factor: Edge) -> set[str]:
    """Return the division that makes a factor, and what leads into it."""
    origin = graph.source_of(factor, through=PASSING).node
    if graph.nodes[origin].op not in ("RealDiv", "Reciprocal", "Inv"):
        return set()
    return {origin} | _way(graph, graph.inputs(origin)[-1])


def _value(graph: Graph, edge: Edge) -> float | None:
    """Return a scalar constant's value; `None` for anything else."""
    origin = graph.source_of(edge, through=PASSING)
    if graph.nodes[origin.node].op != "Const":
        return None
    value = np.asarray(graph.const(origin))
    return float(value.item()) if value.size == 1 and value.dtype.kind in "fiuV" else None


def _is_zero(graph: Graph, edge: Edge) -> bool:
    return bool(graph.nodes[edge.node].op == "ZerosLike") or _value(graph, edge) == 0.0
