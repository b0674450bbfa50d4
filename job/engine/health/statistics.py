"""Moving statistics that never moved: inference with them is not what the model was trained for."""

from collections.abc import Collection, Iterator
from typing import Final

import numpy as np
import tensorflow as tf

from job.engine.graph import Edge, attribute
from job.engine.health.batch_norm import FUSED_OPS
from job.engine.health.moving_statistics import NAMES, READS, MovingStatistics
from job.engine.health.path import Path
from job.engine.health.subject import Subject
from job.engine.state.checkpoint import VARIABLE_OPS, read_tensor, read_values, variables_of
from job.errors import JobError
from job.records import Finding

HOLDERS: Final = (*VARIABLE_OPS, "Const")


def statistics_untrained(subject: Subject) -> Iterator[Finding]:
    """Say that means are 0 and variances 1 as on the first day: the training never ran its update ops."""
    pairs = list(dict.fromkeys(_pairs(subject.path)))
    values = subject.values({name for pair in pairs for name in pair})
    untrained = [mean for mean, variance in pairs if _is(values.get(mean), 0) and _is(values.get(variance), 1)]
    if untrained:
        yield Finding(
            code="statistics_untrained",
            cause=f"the moving statistics of {len(untrained)} of {len(pairs)} batch norms are still at their initial "
            f"values, mean 0 and variance 1 (first {untrained[0]}): the training did not run UPDATE_OPS",
            remedy="train again with the update ops, or recompute the statistics from data; what was trained with "
            "batch statistics answers wrongly with these",
            severity="warning",
        )


def have_moved(path: Path, pairs: Collection[MovingStatistics], checkpoint: str) -> bool:
    """Whether the checkpoint holds all of these statistics, and none as it was on the first day."""
    names = {name for pair in pairs for name in (pair.mean, pair.variance)}
    try:
        variables = variables_of(path.graph, names & path.graph.nodes.keys(), checkpoint)
        values = dict(zip((one.name for one in variables), read_values(checkpoint, variables), strict=True))
        values |= {name: read_tensor(checkpoint, name, tf.float32) for name in names - path.graph.nodes.keys()}
    except JobError:
        return False
    return not any(_is(values[pair.mean], 0) and _is(values[pair.variance], 1) for pair in pairs)


def _pairs(path: Path) -> Iterator[tuple[str, str]]:
    """Yield (mean, variance) nodes, variables or constants, of every batch norm in inference mode on the path."""
    graph = path.graph
    for node in path.of_type(*FUSED_OPS):
        if not attribute(node, "is_training").b:
            yield _holder(path, graph.inputs(node.name)[3]), _holder(path, graph.inputs(node.name)[4])
    for node in path.of_type(*HOLDERS):
        for mean, variance in NAMES:
            other = f"{node.name.removesuffix(mean)}{variance}"
            if node.name.endswith(mean) and other in path.nodes:
                yield node.name, other


def _holder(path: Path, edge: Edge) -> str:
    return path.traced(edge, READS)[0].node


def _is(value: np.ndarray[tuple[int, ...], np.dtype[np.generic]] | None, constant: float) -> bool:
    return value is not None and value.size > 0 and bool((value == constant).all())
