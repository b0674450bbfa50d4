"""Batch norm that normalises by its batch's own mean and variance: what TF1 does in training, left in the graph.

Fused, it is one node that says ``is_training``. Unfused, it is arithmetic: ``tf.nn.moments`` over the
batch, and the root of the variance and a small constant.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from job.engine.graph import Edge, Graph, NodeDef, attribute
from job.engine.health.path import Path

FUSED_OPS: Final = ("FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3")
ROOT_OPS: Final = ("Rsqrt", "Sqrt", "Pow")
ADDITIONS: Final = ("Add", "AddV2")

HANDING_ON: Final = (
    *("Identity", "Squeeze", "Reshape", "ExpandDims", "Cast", "StopGradient", "Merge", "Switch", "Enter", "Maximum"),
)
"""What may lie between a moment and its use, each taking the moment at input 0."""

MAX_EPSILON: Final = 0.1
"""More than any epsilon in use (1e-12 to 1e-2)."""


@dataclass(frozen=True, kw_only=True)
class BatchNorm:
    """One batch norm in training mode.

    `node` is the fused node, or the root of the unfused form. `mean` and `variance` are the
    batch's, `data` is what they are of. `parameters` are the tensors that scale and shift the result, as
    far as they are known. `inside` are the nodes that compute the variance from the mean.
    """

    node: str
    data: Edge
    mean: Edge
    variance: Edge
    parameters: tuple[Edge, ...]
    inside: frozenset[str] = frozenset()
    is_channel_last: bool = True

    @property
    def is_fused(self) -> bool:
        """Whether one node is all of it."""
        return self.mean.node == self.node


class Moments(NamedTuple):
    """What a variance is computed from: the data, their mean, and the nodes between that and the variance."""

    data: Edge
    mean: Edge
    inside: frozenset[str]


def find_training_mode(path: Path) -> list[BatchNorm]:
    """Return the batch norms in training mode that an inference call runs.

    What is normalised must depend on an input, which tells batch norm from the standardisation of weights.
    """
    graph = path.graph
    fused = (_of_fused(graph, node.name) for node in path.of_type(*FUSED_OPS) if _trains(node))
    roots = (one for node in path.of_type(*ROOT_OPS) for one in _of_root(path, node.name))
    found = [*fused, *roots]
    of_data = graph.descendants(path.fed) | {edge.node for edge in path.fed} if found else set[str]()
    of_batch = [one for one in found if one.data.node in of_data and not _keeps_examples_apart(graph, one.data)]
    return list({one.variance: one for one in of_batch}.values())


def functions_in_training(path: Path) -> list[str]:
    """Return the functions that the path can call and that hold a fused batch norm in training mode."""
    return sorted(function.signature.name for function in path.functions() if any(map(_trains, function.node_def)))


def _trains(node: NodeDef) -> bool:
    return node.op in FUSED_OPS and bool(attribute(node, "is_training").b)


def _of_fused(graph: Graph, name: str) -> BatchNorm:
    data, scale, offset = graph.inputs(name)[:3]
    return BatchNorm(node=name, data=data, mean=Edge(name, 1), variance=Edge(name, 2), parameters=(scale, offset))


def _of_root(path: Path, name: str) -> Iterator[BatchNorm]:
    """Yield the unfused batch norm whose variance is under this root, if that is what the root is for."""
    graph = path.graph
    for added in _variances(graph, graph.inputs(name)[0]):
        variance, _ = path.traced(added, HANDING_ON)
        found = _moments(path, variance)
        if found is None:
            continue
        axes = _axes(graph, found.mean)
        if 0 in axes:
            yield BatchNorm(
                node=name,
                data=found.data,
                mean=found.mean,
                variance=variance,
                parameters=tuple(_factors(graph, name)),
                inside=found.inside,
                is_channel_last=axes == list(range(len(axes))),
            )


def _variances(graph: Graph, under: Edge) -> Iterator[Edge]:
    """Yield what a small constant is added to."""
    node = graph.nodes[under.node]
    if node.op in ADDITIONS:
        left, right = graph.inputs(under.node)
        for one, other in ((left, right), (right, left)):
            if _is_small(graph, other):
                yield one


def _is_small(graph: Graph, edge: Edge) -> bool:
    try:
        value = np.asarray(graph.const(edge))
    except KeyError:
        return False
    return value.size == 1 and 0 < abs(float(value.item())) <= MAX_EPSILON


def _moments(path: Path, variance: Edge) -> Moments | None:
    """Return the moments of a variance in either form: E[(x - m)²] or E[x²] - m²."""
    op, inputs = path.graph.nodes[variance.node].op, path.graph.inputs(variance.node)
    if op == "Mean":
        return _of_differences(path, variance.node, inputs[0])
    return _of_squares(path, variance.node, inputs) if op == "Sub" else None


def _of_differences(path: Path, variance: str, squared: Edge) -> Moments | None:
    graph, inside = path.graph, {variance, squared.node}
    if graph.nodes[squared.node].op == "Square":
        squared = graph.inputs(squared.node)[0]
        inside.add(squared.node)
    if graph.nodes[squared.node].op not in ("SquaredDifference", "Sub"):
        return None
    data, subtracted = graph.inputs(squared.node)
    mean, passed = path.traced(subtracted, HANDING_ON)
    is_mean = graph.nodes[mean.node].op == "Mean"
    return Moments(data, mean, frozenset(inside | passed)) if is_mean else None


def _of_squares(path: Path, variance: str, inputs: list[Edge]) -> Moments | None:
    graph = path.graph
    (of_squares, first), (squared, second) = (path.traced(edge, HANDING_ON) for edge in inputs)
    if graph.nodes[of_squares.node].op != "Mean" or graph.nodes[squared.node].op != "Square":
        return None
    mean, third = path.traced(graph.inputs(squared.node)[0], HANDING_ON)
    square = graph.inputs(of_squares.node)[0]
    if graph.nodes[mean.node].op != "Mean" or graph.nodes[square.node].op != "Square":
        return None
    inside = frozenset({variance, of_squares.node, squared.node, square.node, *first, *second, *third})
    return Moments(graph.inputs(square.node)[0], mean, inside)


def _axes(graph: Graph, mean: Edge) -> list[int]:
    """Return the axes over which a mean is taken; none where the graph computes them."""
    try:
        return sorted(int(axis) for axis in np.ravel(graph.const(graph.inputs(mean.node)[1])))
    except KeyError:
        return []


def _factors(graph: Graph, root: str) -> Iterator[Edge]:
    """Yield what the root is multiplied with: gamma, or the data where there is none."""
    for who, index, _ in graph.consumers(root):
        if graph.nodes[who].op == "Mul":
            yield graph.inputs(who)[1 - index]


def _keeps_examples_apart(graph: Graph, data: Edge) -> bool:
    """Whether the data was reshaped to a batch of one, as instance and layer norm do to use the fused op."""
    node = graph.nodes[data.node]
    if node.op != "Reshape":
        return False
    shape = graph.source_of(graph.inputs(data.node)[1])
    first = graph.inputs(shape.node)[0] if graph.nodes[shape.node].op in ("Pack", "ConcatV2") else shape
    try:
        return bool(np.ravel(graph.const(first))[0] == 1)
    except (KeyError, IndexError):
        return False
