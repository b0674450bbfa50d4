"""How dropout looks in a graph: a random mask, and a scale that makes up for what the mask silences.

``tf.nn.dropout`` of TF1 keeps where ``random_uniform >= rate`` and scales by ``1 / (1 - rate)``; before
1.13 it kept where ``floor(keep_prob + random_uniform)`` is one and divided by ``keep_prob``. By hand the
scale may follow the mask. A mask whose scale does not make up for it is something else, and is none of
ours. Alpha dropout fills in a constant of SELU, Gaussian dropout multiplies with noise around 1.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

import numpy as np

from job.engine.graph import Edge, Graph

STEPS: Final = ("Add", "AddV2", "Mul", "Identity", "Cast", "Enter")
"""From the raw random number to the one that is compared."""

PASSING: Final = ("Identity", "Enter", "Switch")
ADDITIONS: Final = ("Add", "AddV2")
DIVISIONS: Final = ("RealDiv", "Div")
INVERSIONS: Final = (*DIVISIONS, "Reciprocal", "Inv")

COMPARISONS: Final[dict[str, "Role"]] = {
    "GreaterEqual": "rate",
    "Greater": "rate",
    "Less": "keep",
    "LessEqual": "keep",
}
"""What a uniform number at input 0 is compared with, by the comparison."""

SELU_SILENT: Final = -1.7580993408473766
"""What alpha dropout puts in place of what it silences: minus SELU's alpha times its scale."""

Role = Literal["rate", "keep"]


@dataclass(frozen=True, kw_only=True)
class Dropout:
    """One place: `data` goes in, `product` comes out, `source` draws the random numbers.

    `control` is what gives its rate, or its probability to keep, as far back as it can be followed.
    """

    source: str
    data: Edge
    product: str
    control: Edge
    role: Role

    @property
    def off(self) -> float:
        """Return the value of `control` that makes it the identity."""
        return 0.0 if self.role == "rate" else 1.0


class Given(NamedTuple):
    """What decides a mask; `keep` is the probability to keep, `None` where the graph computes it or is fed it."""

    control: Edge
    role: Role
    keep: float | None


def dropouts(graph: Graph) -> Iterator[Dropout]:
    """Yield every dropout of a graph."""
    for node in graph.of_type("RandomUniform"):
        for mask, number in _masks(graph, node.name):
            yield from _of_mask(graph, node.name, mask, number)
    for node in graph.of_type("RandomStandardNormal"):
        yield from _of_noise(graph, node.name)


def scalar(graph: Graph, edge: Edge) -> float | None:
    """Return a scalar constant's value; `None` for anything else."""
    origin = graph.source_of(edge, through=PASSING)
    if graph.nodes[origin.node].op != "Const":
        return None
    value = np.asarray(graph.const(origin))
    return float(value.item()) if value.size == 1 and value.dtype.kind in "fiuV" else None


def _of_mask(graph: Graph, source: str, mask: str, number: str) -> Iterator[Dropout]:
    is_as_tensorflow = graph.nodes[mask].op in ("GreaterEqual", "Floor")
    for threshold, first in _thresholds(graph, mask, number):
        given = _given(graph, threshold, first)
        for product, masked in _products(graph, mask):
            found = [(product, data) for data in _unscaled(graph, masked, given)] if is_as_tensorflow else []
            found = found or list(_scaled_later(graph, source, product, masked, given))
            found = found or list(_alpha(graph, mask, product, masked))
            for last, data in found:
                yield Dropout(source=source, data=data, product=last, control=given.control, role=given.role)


def _of_noise(graph: Graph, normal: str) -> Iterator[Dropout]:
    """Yield a product with normal noise whose mean is 1 and whose deviation is a constant."""
    for scaled, deviation in _with_other(graph, normal, ("Mul",)):
        for noise, mean in _with_other(graph, scaled, ADDITIONS):
            if scalar(graph, deviation) is not None and scalar(graph, mean) == 1.0:
                for product, data in _with_other(graph, noise, ("Mul",)):
                    yield Dropout(source=normal, data=data, product=product, control=deviation, role="rate")


def _with_other(graph: Graph, name: str, ops: tuple[str, ...]) -> Iterator[tuple[str, Edge]]:
    """Yield (consumer, its other input) where one of `ops` takes a node's value."""
    for who, index, _ in graph.consumers(name):
        if graph.nodes[who].op in ops:
            yield who, graph.inputs(who)[1 - index]


def _masks(graph: Graph, uniform: str) -> Iterator[tuple[str, str]]:
    """Yield (mask, what it looks at): a comparison of the uniform number, or a floor of its sum."""
    queue, seen = [uniform], {uniform}
    while queue:
        name = queue.pop()
        for consumer, index, _ in graph.consumers(name):
            op = graph.nodes[consumer].op
            if (op in COMPARISONS and index == 0) or op == "Floor":
                yield consumer, name
            elif op in STEPS and consumer not in seen:
                seen.add(consumer)
                queue.append(consumer)


def _thresholds(graph: Graph, mask: str, number: str) -> Iterator[tuple[Edge, Role]]:
    """Yield what the number is compared with, or what is added to it before the floor."""
    op = graph.nodes[mask].op
    if op in COMPARISONS:
        yield graph.inputs(mask)[1], COMPARISONS[op]
    elif graph.nodes[number].op in ADDITIONS:
        yield from ((edge, "keep") for edge in graph.inputs(number))


def _trace(graph: Graph, edge: Edge, role: Role) -> tuple[Edge, Role]:
    """Follow a rate or keep probability to where it is given; ``1 - x`` turns one into the other."""
    passed = set[str]()
    while (graph.nodes[edge.node].op in PASSING or _is_complement(graph, edge)) and edge.node not in passed:
        passed.add(edge.node)
        if graph.nodes[edge.node].op == "Sub":
            edge, role = graph.inputs(edge.node)[1], "keep" if role == "rate" else "rate"
        else:
            edge = graph.inputs(edge.node)[0]
    return edge, role


def _is_complement(graph: Graph, edge: Edge) -> bool:
    return graph.nodes[edge.node].op == "Sub" and scalar(graph, graph.inputs(edge.node)[0]) == 1.0


def _given(graph: Graph, threshold: Edge, first: Role) -> Given:
    control, role = _trace(graph, threshold, first)
    value = scalar(graph, control)
    return Given(control, role, value if value is None or role == "keep" else 1.0 - value)


def _products(graph: Graph, mask: str) -> Iterator[tuple[str, Edge]]:
    """Yield (product with the mask, what it masks); since TF 2.5 a choice between that and zero."""
    for name in _handed_on(graph, mask):
        for who, index, _ in graph.consumers(name):
            node, inputs = graph.nodes[who], graph.inputs(who)
            if node.op == "Mul":
                yield who, inputs[1 - index]
            elif node.op in ("Select", "SelectV2") and index == 0 and _is_zero(graph, inputs[2]):
                yield who, inputs[1]


def _handed_on(graph: Graph, mask: str) -> list[str]:
    """Return a mask in all its forms: as numbers, in another shape, inside a loop."""
    found = [mask]
    for name in found:
        taken = (who for who, index, _ in graph.consumers(name) if index == 0)
        found += [who for who in taken if graph.nodes[who].op in ("Cast", "Enter", "Reshape") and who not in found]
    return found


def _unscaled(graph: Graph, scaled: Edge, given: Given) -> Iterator[Edge]:
    """Yield what `scaled` was made of if it makes up for a probability `keep`."""
    node = graph.nodes[scaled.node]
    if node.op not in ("Mul", *DIVISIONS):
        return
    inputs, is_division = graph.inputs(scaled.node), node.op in DIVISIONS
    sides = [(inputs[0], inputs[1])] if is_division else [(inputs[0], inputs[1]), (inputs[1], inputs[0])]
    for data, factor in sides:
        if _makes_up(graph, factor, given, is_division=is_division):
            yield data


def _makes_up(graph: Graph, factor: Edge, given: Given, *, is_division: bool) -> bool:
    """Whether a factor is the probability to keep, or one over it; both by value or both by origin."""
    value = scalar(graph, factor)
    if value is not None and given.keep is not None:
        expected = given.keep if is_division or not given.keep else 1.0 / given.keep
        return math.isclose(value, expected, rel_tol=1e-3)  # 16-bit floats are rounded as much
    return _is_made_of(graph, factor, given, inverse=not is_division)


def _is_made_of(graph: Graph, factor: Edge, given: Given, *, inverse: bool) -> bool:
    """Whether a factor is the keep probability (or one over it), computed from what is given."""
    if inverse:
        origin = graph.source_of(factor, through=PASSING)
        if graph.nodes[origin.node].op not in INVERSIONS:
            return False
        inputs = graph.inputs(origin.node)
        if len(inputs) == 2 and scalar(graph, inputs[0]) != 1.0:
            return False
        factor = inputs[-1]
    return _trace(graph, factor, "keep") == (given.control, given.role)


def _scaled_later(graph: Graph, source: str, product: str, masked: Edge, given: Given) -> Iterator[tuple[str, Edge]]:
    """Yield (result, data) where the scale follows the mask, which must then have the data's own shape."""
    shape = graph.source_of(graph.inputs(source)[0])
    if graph.nodes[shape.node].op != "Shape" or graph.inputs(shape.node)[0] != masked:
        return
    for who, _, _ in graph.consumers(product):
        if any(data == Edge(product, 0) for data in _unscaled(graph, Edge(who, 0), given)):
            yield who, masked


def _alpha(graph: Graph, mask: str, product: str, data: Edge) -> Iterator[tuple[str, Edge]]:
    """Yield (result, data) of ``a * (x * mask + alpha * (1 - mask)) + b``."""
    silenced = {
        who for one in _handed_on(graph, mask) for who, _, _ in graph.consumers(one) if _is_complement_of(graph, who)
    }
    for filled, other in _with_other(graph, product, ADDITIONS):
        inputs = graph.inputs(other.node)
        is_selu = graph.nodes[other.node].op == "Mul" and any(
            one.node in silenced and math.isclose(scalar(graph, two) or 0.0, SELU_SILENT, rel_tol=1e-3)
            for one, two in (inputs, inputs[::-1])
        )
        for scaled, _ in _with_other(graph, filled, ("Mul",)) if is_selu else ():
            for shifted, _ in _with_other(graph, scaled, ADDITIONS):
                yield shifted, data


def _is_complement_of(graph: Graph, name: str) -> bool:
    return _is_complement(graph, Edge(name, 0))


def _is_zero(graph: Graph, edge: Edge) -> bool:
    return bool(graph.nodes[edge.node].op == "ZerosLike") or scalar(graph, edge) == 0.0
