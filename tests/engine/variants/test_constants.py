from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from job.engine.graph import Graph
from job.engine.variants.constants import MOST_BYTES, fold_constants
from tests.engine.models import v1
from tests.engine.variants.frozen import answers, frozen, ops

X = np.ones([3, 2], np.float32)


def test_what_constants_decide_is_computed_once() -> None:
    """Sums, texts and outputs that no input changes become constants, of the same dtypes."""

    def build() -> Any:
        x = v1.placeholder(tf.float32, [None, 2])
        scale = tf.sqrt(tf.constant([4.0, 9.0])) + tf.cast(tf.size(tf.constant([1, 2])), tf.float32)
        return [x], [x * scale, tf.strings.join([tf.constant("a"), "b"]), tf.cast(scale, tf.bfloat16)]

    before = frozen(build)
    after, changes = fold_constants(before, "cpu")
    assert ops(after) == {"Mul": 1}
    assert changes == ("3 results of constants computed once",)
    running = Graph(after.graph_def)
    assert [running.nodes[name.split(":")[0]].attr["dtype"].type for name in after.outputs[1:]] == [
        tf.string.as_datatype_enum,
        tf.bfloat16.as_datatype_enum,
    ]
    for graph in (before, after):
        said = answers(graph, X)
        np.testing.assert_array_equal(said[0], [[4.0, 5.0]] * 3)
        assert said[1:2] == [b"ab"]


def _random() -> Any:
    return v1.random_uniform([2])


def _large() -> Any:
    return tf.zeros([MOST_BYTES // 4 + 1]) + 1.0


def _looped() -> Any:
    return v1.while_loop(lambda step, _: step < 3, lambda step, y: (step + 1, y * 2.0), (0, tf.constant(1.0)))[1]


def _printed() -> Any:
    with tf.control_dependencies([v1.Assert(tf.constant(True), ["never"])]):
        return tf.constant(1.0) + 1.0


@pytest.mark.parametrize("value", [_random, _large, _looped, _printed])
def test_what_is_computed_at_every_call(value: Any) -> None:
    """Random numbers, what would fill the file, loops, and what waits for something that acts are left alone."""

    def build() -> Any:
        x = v1.placeholder(tf.float32, [None, 2])
        return [x], [tf.reduce_sum(x) + value()]

    before = frozen(build)
    after, _ = fold_constants(before, "cpu")
    assert sum(ops(after).values()) >= sum(ops(before).values()) - 1  # a shape may go
    assert ops(after)["AddV2"] == ops(before)["AddV2"]


def test_large_constants_may_be_cast() -> None:
    """A result as large as what it is made of is a constant: weights that were stored in 16 bits, say."""
    weights = np.ones([MOST_BYTES, 2], np.float32)

    def build() -> Any:
        x = v1.placeholder(tf.float16, [None, 2])
        return [x], [tf.matmul(x, tf.cast(tf.constant(weights), tf.float16), transpose_b=True)]

    after, _ = fold_constants(frozen(build), "cpu")
    assert ops(after) == {"MatMul": 1}
