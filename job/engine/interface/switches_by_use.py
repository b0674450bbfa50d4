"""Training switches told by what they choose: batch statistics in training, moving ones at inference."""

import re
from collections import defaultdict
from collections.abc import Iterator
from typing import Final

import tensorflow as tf

from job.engine.graph import Edge, Graph, attribute, edge_of
from job.engine.interface.contexts import LOOP, SWITCHES, Contexts
from job.engine.interface.switches import PLACEHOLDERS, may_be_scalar

FUSED: Final = ("FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3")
STORED: Final = ("Const", "Variable", "VariableV2", "VarHandleOp")
READING: Final = (*SWITCHES, "Identity", "Enter", "RefEnter", "ReadVariableOp")
HANDING: Final = ("Identity", "Cast", "ToBool")

MOVING: Final = re.compile(
    r"((moving|running)_?(mean|var|avg|average)|ExponentialMovingAverage|(^|[_/])(pop|ema|population)_?(mean|var))",
    re.IGNORECASE,
)
"""How variables are called that hold what batch norm uses at inference."""

Vote = tuple[Edge, bool]
"""A predicate's tensor, and its value at inference."""


def find_by_use(graph: Graph) -> dict[str, bool | int]:
    """Return the inference value of every placeholder that chooses how batch norm is computed, whatever its name.

    One that is asked for both values by different places is none.
    """
    votes = defaultdict[str, set[bool | int]](set)
    contexts = Contexts(graph)
    for predicate, value in (*_fused(graph, contexts), *_merged(graph, contexts), *_selected(graph)):
        origin, inference = _origin(graph, predicate, value)
        if _is_switch(graph, origin):
            votes[origin.tensor].add(inference if _dtype(graph, origin).is_bool else int(inference))
    return {tensor: next(iter(values)) for tensor, values in votes.items() if len(values) == 1}


def _fused(graph: Graph, contexts: Contexts) -> Iterator[Vote]:
    """Yield predicates with a batch norm of the batch in one branch and one of the moving statistics in the other."""
    sides = defaultdict[str, dict[bool, set[int]]](lambda: {True: set(), False: set()})
    for node in graph.of_type(*FUSED):
        for around in contexts.of(node.name):
            if around.side != LOOP:
                sides[around.what][bool(attribute(node, "is_training").b)].add(around.side)
    for predicate, found in sides.items():
        if len(found[False]) == 1 and found[True] == {1 - side for side in found[False]}:
            yield edge_of(predicate), bool(next(iter(found[False])))


def _merged(graph: Graph, contexts: Contexts) -> Iterator[Vote]:
    """Yield predicates one of whose branches gives a moving statistic, and the other one something computed."""
    for node in graph.of_type("Merge"):
        edges = graph.inputs(node.name)
        stored = [edge for edge in edges if _is_moving(graph, edge)]
        if len(edges) == 2 and len(stored) == 1 and not _is_stored(graph, next(e for e in edges if e not in stored)):
            yield from _side(graph, contexts, node.name, stored[0])


def _side(graph: Graph, contexts: Contexts, merge: str, edge: Edge) -> Iterator[Vote]:
    if graph.nodes[edge.node].op in SWITCHES:
        yield graph.inputs(edge.node)[1], bool(edge.output)
        return
    for around in contexts.of(edge.node) - contexts.of(merge):
        if around.side != LOOP:
            yield edge_of(around.what), bool(around.side)


def _selected(graph: Graph) -> Iterator[Vote]:
    """Yield the conditions of a choice between a moving statistic and something computed."""
    for node in graph.of_type("Select", "SelectV2"):
        condition, *sides = graph.inputs(node.name)
        moving = [_is_moving(graph, edge) for edge in sides]
        if moving.count(True) == 1 and not _is_stored(graph, sides[moving.index(False)]):
            yield condition, moving[0]


def _is_moving(graph: Graph, edge: Edge) -> bool:
    return _is_stored(graph, edge) and bool(MOVING.search(graph.source_of(edge, through=READING).node))


def _is_stored(graph: Graph, edge: Edge) -> bool:
    origin = graph.source_of(edge, through=READING).node
    return origin in graph.nodes and graph.nodes[origin].op in STORED


def _origin(graph: Graph, predicate: Edge, value: bool) -> Vote:  # noqa: FBT001 - half of a vote
    """Return where a predicate is given; what is negated on the way has the other value there."""
    edge = graph.source_of(predicate, through=HANDING)
    while edge.node in graph.nodes and graph.nodes[edge.node].op == "LogicalNot":
        edge, value = graph.source_of(graph.inputs(edge.node)[0], through=HANDING), not value
    return edge, value


def _is_switch(graph: Graph, edge: Edge) -> bool:
    node = graph.nodes.get(edge.node)
    if node is None or node.op not in PLACEHOLDERS or not may_be_scalar(node):
        return False
    return bool(_dtype(graph, edge).is_bool or _dtype(graph, edge).is_integer)


def _dtype(graph: Graph, edge: Edge) -> tf.DType:
    return tf.as_dtype(attribute(graph.nodes[edge.node], "dtype").type)
