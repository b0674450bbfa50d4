from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from job.engine.assembling import read_source
from job.engine.samples.sizes import Sizes, concrete, implied
from tests.engine.models import Saver, ref, v1

IMAGE = np.ones([3, 3, 2, 1], np.float32)
MATRIX = np.ones([5, 2], np.float32)


@pytest.mark.parametrize(
    ("shape", "use", "wanted"),
    [
        (None, lambda x: tf.nn.conv2d(x, ref("w", IMAGE), 1, "SAME"), (None, None, None, 2)),
        ([None] * 4, lambda x: tf.nn.conv2d(tf.nn.relu(x), ref("w", IMAGE), 1, "SAME"), (None, None, None, 2)),
        (None, lambda x: tf.nn.conv2d(tf.expand_dims(x, 0), ref("w", IMAGE), 1, "SAME"), (None, None, 2)),
        (None, lambda x: tf.raw_ops.MatMul(a=x, b=ref("w", MATRIX)), (None, 5)),
        ([None, None], lambda x: tf.matmul(x, ref("w", MATRIX), transpose_b=True), (None, 2)),
        (None, lambda x: tf.reshape(x, [-1, 28, 28, 1]), (None, 28, 28, 1)),
        ([None, None], lambda x: tf.reshape(x, [-1, 28, 28, 1]), (None, 784)),
        (None, lambda x: v1.image.resize_bilinear(x, [8, 8]), (None, None, None, None)),
        ([None, 7], lambda x: tf.reduce_sum(x, 1), (None, 7)),
    ],
    ids=["conv", "channels", "one image", "matrix", "turned matrix", "reshape", "flat", "resize", "known"],
)  # fmt: skip
def test_free_sizes_are_as_the_graph_needs(saved: Saver, shape: Any, use: Callable[[Any], Any], wanted: Any) -> None:
    """Rank, channels, columns and sizes come from the first op that fixes them; what is known stays."""

    def build() -> None:
        tf.identity(use(v1.placeholder(tf.float32, shape, name="x")), name="y")

    source = read_source(saved(build))
    assert implied(source, source.signatures[0].inputs[0]) == wanted


@pytest.mark.parametrize(
    ("shape", "wanted"),
    [
        ((None, None, None, 3), (4, 64, 64, 3)),
        ((None, None, 3), (4, 8, 3)),
        (None, (4,)),
        ((), ()),
        ((2, None), (2, 8)),
    ],
)
def test_free_sizes_get_numbers(shape: Any, wanted: Any) -> None:
    """The batch stands first; images are square; other dimensions are lengths; known ones stay."""
    assert concrete(shape, Sizes(batch=4, spatial=64, length=8)) == wanted


def test_vector_is_as_long_as_its_constant_shape_asks(saved: Saver) -> None:
    """A vector that is reshaped to so many numbers holds so many: an example that a queue hands over alone."""
    source = read_source(saved(lambda: tf.reshape(v1.placeholder(tf.float32, [None], name="x"), [1, 6], name="y")))
    assert implied(source, source.signatures[0].inputs[0]) == (6,)
