"""Frozen graphs for tests of single passes: built as TF1 builds, with constants for weights, and run as they are."""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from job.engine.variants.base import FrozenGraph
from tests.engine.models import v1, v1_graph

Array = NDArray[Any]
Build = Callable[[], tuple[Sequence[Any], Sequence[Any]]]
"""Builds ops in the current graph and returns what goes in and what comes out."""


def frozen(build: Build) -> FrozenGraph:
    """Return what `build` builds."""
    with v1_graph() as graph:
        inputs, outputs = build()
    return FrozenGraph(
        graph_def=graph.as_graph_def(),
        inputs=tuple(tensor.name for tensor in inputs),
        outputs=tuple(tensor.name for tensor in outputs),
    )


def ops(graph: FrozenGraph) -> Counter[str]:
    """Return how many nodes there are of each op, constants and inputs apart."""
    return Counter(node.op for node in graph.graph_def.node if node.op not in ("Const", "Placeholder"))


def answers(graph: FrozenGraph, *feeds: Array) -> list[Array]:
    """Return the outputs, computed node by node as they stand there."""
    config = v1.ConfigProto()
    config.graph_options.rewrite_options.disable_meta_optimizer = True
    with tf.Graph().as_default() as running:
        tf.import_graph_def(graph.graph_def, name="")
        with v1.Session(graph=running, config=config) as session:
            given = dict(zip(graph.inputs, feeds, strict=True))
            return [np.asarray(value) for value in session.run(list(graph.outputs), given)]


def assert_same(before: FrozenGraph, after: FrozenGraph, *feeds: Array, tolerance: float = 1e-5) -> None:
    """Hold the answers of two graphs against each other, as shares of their scale."""
    for wanted, said in zip(answers(before, *feeds), answers(after, *feeds), strict=True):
        assert (said.dtype, said.shape) == (wanted.dtype, wanted.shape)
        np.testing.assert_allclose(said, wanted, rtol=0, atol=tolerance * float(np.abs(wanted).max()))
