"""The moving statistics of a batch norm in training mode: found by what updates them, or by their names."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import tensorflow as tf

from job.engine.graph import Edge, Graph, attribute
from job.engine.health.batch_norm import BatchNorm
from job.engine.health.path import Path
from job.engine.state.checkpoint import VARIABLE_OPS

UPDATE_OPS: Final = (
    *("Assign", "AssignSub", "AssignAdd"),
    *("AssignVariableOp", "AssignSubVariableOp", "AssignAddVariableOp"),
)
AVERAGING_OPS: Final = (
    *("Identity", "Sub", "Mul", "Add", "AddV2", "AddN", "Neg", "RealDiv", "Cast", "Squeeze", "Reshape", "ExpandDims"),
    *("Switch", "Merge", "Enter", "StopGradient"),
)
"""Between a batch's statistic and the moving one that it updates there is only the arithmetic of an average."""

NAMES: Final = (
    ("moving_mean", "moving_variance"),
    ("moving_mean", "moving_var"),
    ("mean/EMA", "variance/EMA"),
    ("pop_mean", "pop_var"),
    ("running_mean", "running_var"),
)
"""What libraries of TF1 call them beside gamma and beta: layers, contrib, Keras and slim; the others by hand."""

BIASED: Final = "/biased"
"""An average that started at zero, of which ``zero_debias`` makes the moving statistic; never that itself."""

READS: Final = ("Identity", "Enter", "RefEnter", "Switch", "RefSwitch", "Merge", "Reshape", "ReadVariableOp", "Cast")


@dataclass(frozen=True, kw_only=True)
class MovingStatistics:
    """The variables that hold what a batch norm uses at inference."""

    mean: str
    variance: str


def pair(path: Path, norms: Sequence[BatchNorm], stored: Mapping[str, Sequence[int]]) -> dict[str, MovingStatistics]:
    """Return the moving statistics of every batch norm whose own are beyond doubt, by its node.

    `stored` has the shapes of what the checkpoint holds, where a variable that the graph no longer has may be.
    """
    updated = _updated(path.graph, norms)
    pairs = {norm.node: _by_updates(updated, norm) or _by_names(path.graph, norm, stored) for norm in norms}
    return {
        norm.node: found
        for norm in norms
        if (found := pairs[norm.node]) is not None and _fits(path.graph, norm, found, stored)
    }


def _updated(graph: Graph, norms: Sequence[BatchNorm]) -> dict[Edge, set[str]]:
    """Return, by batch statistic, the variables that average it."""
    wanted = {edge for norm in norms for edge in (norm.mean, norm.variance)}
    found: dict[Edge, set[str]] = defaultdict(set)
    if not wanted:
        return found
    for node in graph.of_type(*UPDATE_OPS):
        inputs = graph.inputs(node.name)
        variable = graph.source_of(inputs[0]).node
        averaged = _averaged(graph, inputs[1], wanted) if variable in graph.nodes else set()
        if len(averaged) == 1 and graph.nodes[variable].op in VARIABLE_OPS and not variable.endswith(BIASED):
            found[averaged.pop()].add(variable)
    return found


def _averaged(graph: Graph, value: Edge, wanted: Collection[Edge]) -> set[Edge]:
    """Return the statistics that a value is made of by averaging alone."""
    hits, seen, queue = set[Edge](), set[Edge](), [value]
    while queue:
        edge = queue.pop()
        if edge in seen or edge.node not in graph.nodes:
            continue
        seen.add(edge)
        if edge in wanted:
            hits.add(edge)
        elif graph.nodes[edge.node].op in AVERAGING_OPS:
            queue += graph.inputs(edge.node)
    return hits


def _by_updates(updated: Mapping[Edge, set[str]], norm: BatchNorm) -> MovingStatistics | None:
    means, variances = (list(updated.get(edge, ())) for edge in (norm.mean, norm.variance))
    if len(means) != 1 or len(variances) != 1:
        return None
    return MovingStatistics(mean=means[0], variance=variances[0])


def _by_names(graph: Graph, norm: BatchNorm, stored: Mapping[str, Sequence[int]]) -> MovingStatistics | None:
    """Look beside gamma and beta: in the graph, else in the checkpoint."""
    for scope in _scopes(graph, norm):
        for mean, variance in NAMES:
            names = f"{scope}{mean}", f"{scope}{variance}"
            if all(_is_variable(graph, name) or name in stored for name in names):
                return MovingStatistics(mean=names[0], variance=names[1])
    return None


def _scopes(graph: Graph, norm: BatchNorm) -> list[str]:
    """Return the scopes of the variables that scale and shift what was normalised."""
    origins = (graph.source_of(edge, through=READS).node for edge in norm.parameters)
    scopes = (f"{name.rpartition('/')[0]}/" for name in origins if _is_variable(graph, name) and "/" in name)
    return list(dict.fromkeys(scopes))


def _fits(graph: Graph, norm: BatchNorm, found: MovingStatistics, stored: Mapping[str, Sequence[int]]) -> bool:
    """Whether both have one shape, that of the parameters where these are known, and broadcast as the batch's do."""
    shapes = [shape_of_variable(graph, name, stored) for name in (found.mean, found.variance)]
    if found.mean == found.variance or shapes[0] != shapes[1] or shapes[0] is None:
        return False
    origins = (graph.source_of(edge, through=READS).node for edge in norm.parameters)
    beside = [shape_of_variable(graph, name, {}) for name in origins if _is_variable(graph, name)]
    same = all(shape == shapes[0] for shape in beside) if norm.is_fused else True
    return same and (norm.is_channel_last or len(shapes[0]) > 1)


def shape_of_variable(graph: Graph, name: str, stored: Mapping[str, Sequence[int]]) -> list[int] | None:
    """Return the shape of a variable of the graph, else of the checkpoint; `None` where it is not fully known."""
    if not _is_variable(graph, name):
        return list(stored[name]) if name in stored else None
    shape = tf.TensorShape(attribute(graph.nodes[name], "shape").shape)
    return shape.as_list() if shape.is_fully_defined() else list(stored[name]) if name in stored else None


def _is_variable(graph: Graph, name: str) -> bool:
    return name in graph.nodes and graph.nodes[name].op in VARIABLE_OPS
