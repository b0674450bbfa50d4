from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from job.engine.variants.constants import fold_constants
from job.engine.variants.fold_batch_norm import fold_batch_norm
from job.engine.variants.fold_before import fold_before
from job.engine.variants.tidying import tidy
from tests.engine.models import v1
from tests.engine.variants.frozen import assert_same, frozen, ops
from tests.engine.variants.nets import normal, positive
from tests.engine.variants.test_fold_batch_norm import fused, pieces

X = np.random.default_rng(0).normal(size=(2, 7, 7, 3)).astype(np.float32)


def activated(x: Any) -> Any:
    return tf.nn.relu(tf.nn.conv2d(x, normal(5, 3, 3, 3, 4), 1, "SAME"))


def _second_consumer(x: Any) -> Any:
    y = pieces(x)
    return tf.nn.conv2d(y, normal(1, 1, 1, 4, 4), 1, "SAME") + y


FOLDED: dict[str, Callable[[Any], Any]] = {
    "a batch norm before a convolution without zeros": lambda x: tf.nn.conv2d(
        fused(x), normal(1, 3, 3, 4, 5), 2, "VALID"
    ),
    "before one of size one": lambda x: tf.nn.conv2d(pieces(x), normal(1, 1, 1, 4, 5), 2, "SAME"),
    "a scale before zeros": lambda x: tf.nn.conv2d(x * positive(1, 4), normal(1, 3, 3, 4, 5), 1, "SAME"),
    "a scale before a pad": lambda x: tf.nn.conv2d(
        tf.pad(x / positive(1, 4), [[0, 0], [1, 2], [0, 1], [0, 0]]), normal(1, 3, 3, 4, 5), 1, "VALID"
    ),
}

LEFT: dict[str, Callable[[Any], Any]] = {
    "a shift before zeros": lambda x: tf.nn.conv2d(fused(x), normal(1, 3, 3, 4, 5), 1, "SAME"),
    "a shift before a pad": lambda x: tf.nn.conv2d(
        tf.pad(fused(x), [[0, 0], [1, 1], [1, 1], [0, 0]]), normal(1, 3, 3, 4, 5), 1, "VALID"
    ),
    "a pad of channels": lambda x: tf.nn.conv2d(
        tf.pad(x * 2.0, [[0, 0], [0, 0], [0, 0], [0, 1]]), normal(1, 1, 1, 5, 5), 1, "VALID"
    ),
    "a second consumer": _second_consumer,
    "a constant that makes more channels": lambda x: tf.nn.conv2d(
        tf.nn.relu(tf.nn.conv2d(x, normal(2, 1, 1, 4, 1), 1, "SAME")) * positive(3, 4), normal(1, 1, 1, 4, 5), 1, "SAME"
    ),
    "groups of channels": lambda x: tf.nn.conv2d(x * positive(1, 4), normal(1, 1, 1, 2, 4), 1, "SAME"),
    "statistics of the batch": lambda x: tf.nn.conv2d(fused(x, is_training=True), normal(1, 1, 1, 4, 5), 1, "SAME"),
}


def prepared(change: Callable[[Any], Any]) -> Any:
    def build() -> Any:
        x = v1.placeholder(tf.float32, [None, 7, 7, 3])
        return [x], [change(activated(x))]

    return fold_constants(tidy(frozen(build), "cpu")[0], "cpu")[0]


@pytest.mark.parametrize("what", FOLDED)
def test_what_comes_before(what: str) -> None:
    """Behind an activation, a batch norm goes into the next convolution, and a scale even through zeros."""
    before = prepared(FOLDED[what])
    after, _ = fold_batch_norm(fold_before(before, "cpu")[0], "cpu")
    assert_same(before, after, X)
    assert not set(ops(after)) & {"FusedBatchNormV3", "Mul", "AddV2", "RealDiv"}
    assert ops(after)["Conv2D"] == 2


@pytest.mark.parametrize("what", LEFT)
def test_what_is_left_alone(what: str) -> None:
    """Where folding would change an answer, or the channels cannot be told, the graph stays as it is."""
    before = prepared(LEFT[what])
    assert fold_before(before, "cpu") == (before, ())


def test_dense_after_batch_norm() -> None:
    """Between dense layers too, and the bias that this makes is one with the layer's own."""

    def build() -> Any:
        x = v1.placeholder(tf.float32, [None, 6])
        hidden = pieces(tf.nn.relu(tf.matmul(x, normal(1, 6, 8))))
        return [x], [tf.matmul(hidden, normal(2, 4, 8), transpose_b=True) + normal(3, 4)]

    before = fold_constants(frozen(build), "cpu")[0]
    after, _ = fold_batch_norm(fold_before(before, "cpu")[0], "cpu")
    assert_same(before, after, normal(7, 5, 6))
    assert ops(after) == {"MatMul": 2, "Relu": 1, "BiasAdd": 1}
