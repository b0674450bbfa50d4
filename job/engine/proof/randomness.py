"""Models that answer otherwise each time: which ones they are, and what they draw."""

import time
from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from job import distribution, parity
from job.engine.health.random_numbers import RANDOM_OPS
from job.engine.pruning import computed_by
from job.engine.reaching import reachable
from job.engine.source_graph import SourceGraph
from job.records import Signature

Array = NDArray[Any]
Run = Callable[[], Sequence[Array]]

DRAWING_OPS: Final = (
    *RANDOM_OPS,
    *("LogUniformCandidateSampler", "UniformCandidateSampler", "LearnedUnigramCandidateSampler"),
)

REPEATS: Final = 8
"""How often a graph with such an op is run before it counts as one whose outputs do not depend on it."""

BUDGET_S: Final = 20.0
FEWEST: Final = 100
"""A slow model is drawn from less often, but not less than this."""


def has_random_ops(source: SourceGraph, signature: Signature) -> bool:
    """Whether some node that the signature needs draws random numbers, in a function or not."""
    needed = list(computed_by(source.graph, signature, source.switches))
    return any(node.op in DRAWING_OPS for _, node in reachable(source.graph, needed))


def difference(first: Sequence[Array], again: Sequence[Array]) -> float:
    """Return by which share of the scale two answers differ at most; 1 where whole numbers or strings do."""
    return max((_difference(*pair) for pair in zip(first, again, strict=True)), default=0.0)


def _difference(left: Array, right: Array) -> float:
    if left.shape != right.shape:
        return 1.0
    found = parity.compare(left, right, tolerance=0.0)
    if found.relative is not None:
        return found.relative
    return float(found.verdict == "failed")


def draw(run: Run, count: int = 0) -> tuple[Array, ...]:
    """Run `count` times, or as often as the time allows, and return the draws of every output as rows of numbers.

    Empty for an output of strings, or whose shape changes.
    """
    start = time.monotonic()
    rows = [[_numbers(output) for output in run()]]
    fastest = max(time.monotonic() - start, 1e-6)
    wanted = count or int(np.clip(BUDGET_S / fastest, FEWEST, distribution.DRAWS))
    rows += [[_numbers(output) for output in run()] for _ in range(wanted - 1)]
    return tuple(_stacked(column) for column in zip(*rows, strict=True))


def _numbers(output: Array) -> Array:
    return np.zeros(0) if output.dtype.kind in "OSUc" else distribution.numbers_of(output)


def _stacked(rows: Sequence[Array]) -> Array:
    same = len({row.size for row in rows}) == 1
    return np.stack(rows) if same else np.zeros((len(rows), 0))
