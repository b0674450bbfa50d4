from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from job.engine.graph import Graph
from job.engine.variants.base import FrozenGraph, Pass
from job.engine.variants.constants import fold_constants
from job.engine.variants.fold_batch_norm import fold_batch_norm
from job.engine.variants.fold_before import fold_before
from job.engine.variants.tidying import tidy
from tests.engine.models import v1
from tests.engine.variants.frozen import Array, Build, answers, assert_same, frozen, ops
from tests.engine.variants.nets import normal, positive

Norm = Callable[[Any], Any]


def folded(graph: FrozenGraph) -> FrozenGraph:
    for one in (tidy, fold_constants, fold_batch_norm):
        graph, _ = one(graph, "cpu")
    return graph


def image(rng: np.random.Generator, *shape: int) -> Array:
    return rng.normal(size=shape).astype(np.float32)


def fused(x: Any, layout: str = "NHWC", *, is_training: bool = False) -> Any:
    """Return a batch norm in one op, by statistics of its own."""
    count = x.shape[1 if layout == "NCHW" else -1]
    mean, variance = ([], []) if is_training else (normal(3, count), positive(4, count))
    return v1.nn.fused_batch_norm(
        x, positive(1, count), normal(2, count), mean, variance, 1e-3, layout, is_training=is_training
    )[0]


def pieces(x: Any) -> Any:
    """Return a batch norm in products and sums."""
    count = x.shape[-1]
    return v1.nn.batch_normalization(
        x, normal(1, count), positive(2, count), normal(3, count), positive(4, count), 1e-3
    )


def steps(x: Any) -> Any:
    """Return some steps of every kind, one of them of one number for all channels."""
    count = x.shape[-1]
    return -(2.0 - (tf.nn.bias_add(x, normal(1, count)) - normal(2, 1, 1, 1, count)) * 3.0) / positive(3, count)


NORMS: list[Norm] = [fused, pieces, steps]


def convolution(rng: np.random.Generator, x: Any, channels: int) -> Any:
    sizes, out = rng.integers(1, 4, 2).tolist(), int(rng.integers(1, 5))
    dilation = int(rng.integers(1, 3))
    stride = 1 if dilation > 1 else int(rng.integers(1, 3))
    padding = [str(rng.choice(["SAME", "VALID"])), [[0, 0], [1, 0], [0, 2], [0, 0]]][int(rng.integers(2))]
    return tf.nn.conv2d(x, normal(9, *sizes, channels, out), stride, padding, dilations=dilation)


def depthwise(rng: np.random.Generator, x: Any, channels: int) -> Any:
    weights = normal(9, *rng.integers(1, 4, 2).tolist(), channels, int(rng.integers(1, 4)))
    stride = int(rng.integers(1, 3))
    return tf.nn.depthwise_conv2d(x, weights, [1, stride, stride, 1], str(rng.choice(["SAME", "VALID"])))


def transposed(rng: np.random.Generator, x: Any, channels: int) -> Any:
    stride, out = int(rng.integers(1, 4)), int(rng.integers(1, 5))
    shape = [int(size) * stride for size in x.shape[1:3]]
    return v1.nn.conv2d_transpose(x, normal(9, 3, 2, out, channels), [x.shape[0], *shape, out], stride)


def with_holes(rng: np.random.Generator, x: Any, channels: int) -> Any:
    """Convolve as TF1 does with holes: between two moves of space to batch and back."""
    rates = rng.integers(2, 4, 2).tolist()
    crops = [[0, int(-size % rate)] for size, rate in zip(x.shape[1:3], rates, strict=True)]
    there = tf.space_to_batch(x, rates, crops)
    out = int(rng.integers(1, 5))
    return tf.batch_to_space(tf.nn.conv2d(there, normal(9, 1, 1, channels, out), 1, "VALID"), rates, crops)


def in_a_line(rng: np.random.Generator, x: Any, channels: int) -> Any:
    """Convolve in one dimension, as TF1 does in two and takes one out."""
    flat = tf.nn.conv2d(x[:, :1], normal(9, 1, 3, channels, int(rng.integers(1, 5))), 1, "SAME")
    return tf.squeeze(flat, [1])


LINEAR = [convolution, depthwise, transposed, with_holes, in_a_line]


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("linear", LINEAR)
def test_any_convolution(linear: Callable[..., Any], seed: int) -> None:
    """Of all shapes, paddings, strides and dilations one op and its bias are left, with the same answers."""
    rng = np.random.default_rng(seed)
    shape = [int(size) for size in rng.integers((1, 6, 6, 1), (3, 12, 12, 5))]
    norm = NORMS[seed % len(NORMS)] if linear is not in_a_line else pieces

    def build() -> Any:
        x = v1.placeholder(tf.float32, shape)
        return [x], [norm(linear(rng, x, shape[-1]))]

    before = frozen(build)
    after = folded(before)
    assert_same(before, after, image(rng, *shape))
    assert not set(ops(after)) & {"FusedBatchNormV3", "Mul", "AddV2", "Sub", "RealDiv", "Neg"}
    assert ops(after)["BiasAdd"] == 1


@pytest.mark.parametrize("transpose", [False, True])
@pytest.mark.parametrize("dtype", [tf.float32, tf.float64])
def test_dense(transpose: bool, dtype: tf.DType) -> None:  # noqa: FBT001 - a parameter of the test
    """A product of matrices takes up its batch norm, whichever way its weights lie, in its own dtype."""
    weights = normal(1, 3, 4) if transpose else normal(1, 4, 3)

    def build() -> Any:
        x = v1.placeholder(dtype, [None, 4])
        y = tf.matmul(x, tf.cast(weights, dtype), transpose_b=transpose)
        return [x], [tf.cast(normal(3, 3), dtype) + y * tf.cast(positive(2, 3), dtype)]

    before = frozen(build)
    after = folded(before)
    assert_same(before, after, image(np.random.default_rng(0), 5, 4).astype(dtype.as_numpy_dtype))
    assert ops(after) == {"MatMul": 1, "BiasAdd": 1}


def test_channels_first_as_channels_last() -> None:
    """With channels first, the new weights and biases are those of the same model with channels last."""

    def build(layout: str) -> Build:
        def built() -> Any:
            x = v1.placeholder(tf.float32, [None, 3, 6, 6] if layout == "NCHW" else [None, 6, 6, 3])
            y = tf.nn.conv2d(x, normal(9, 3, 3, 3, 4), 1, "SAME", data_format=layout)
            along = (1, 4, 1, 1) if layout == "NCHW" else (4,)
            return [x], [fused(tf.nn.bias_add(y, normal(8, 4), layout) * normal(7, 4).reshape(along), layout)]

        return built

    def constants(graph: FrozenGraph) -> list[Array]:
        indexed = Graph(graph.graph_def)
        (bias,) = indexed.of_type("BiasAdd")
        (convolution,) = indexed.of_type("Conv2D")
        return [indexed.const(indexed.inputs(node.name)[1]) for node in (convolution, bias)]

    first, last = (folded(frozen(build(layout))) for layout in ("NCHW", "NHWC"))
    assert ops(first) == ops(last) == {"Conv2D": 1, "BiasAdd": 1}
    for one, other in zip(constants(first), constants(last), strict=True):
        np.testing.assert_array_equal(one, other)
    (bias,) = Graph(first.graph_def).of_type("BiasAdd")
    assert bias.attr["data_format"].s == b"NCHW"


def test_shared_weights_are_copied() -> None:
    """The other convolution with the same weights keeps them as they were."""

    def build() -> Any:
        x = v1.placeholder(tf.float32, [None, 6, 6, 3])
        weights = tf.constant(normal(1, 3, 3, 3, 4))
        return [x], [fused(tf.nn.conv2d(x, weights, 1, "SAME")), tf.nn.conv2d(x, weights, 2, "VALID")]

    before = frozen(build)
    after = folded(before)
    assert_same(before, after, image(np.random.default_rng(0), 2, 6, 6, 3))
    assert ops(after) == {"Conv2D": 2, "BiasAdd": 1}


def test_residual_branch_ends_a_chain() -> None:
    """What is added to another branch is folded up to there; a sum of tensors is no bias."""

    def build() -> Any:
        x = v1.placeholder(tf.float32, [None, 6, 6, 4])
        return [x], [fused(tf.nn.conv2d(x, normal(1, 3, 3, 4, 4), 1, "SAME")) + x]

    before = frozen(build)
    after = folded(before)
    assert_same(before, after, image(np.random.default_rng(0), 2, 6, 6, 4))
    assert ops(after) == {"Conv2D": 1, "BiasAdd": 1, "AddV2": 1}


def _convolved(x: Any) -> Any:
    return tf.nn.conv2d(x, normal(1, 3, 3, 4, 4), 1, "SAME")


def _second_consumer(x: Any) -> Any:
    y = _convolved(x)
    return fused(y) + tf.nn.relu(y)


def _fetched(x: Any) -> Any:
    y = _convolved(x)
    return [y, fused(y)]


def _statistics_used(x: Any) -> Any:
    return tf.add_n(
        v1.nn.fused_batch_norm(
            _convolved(x), positive(1, 4), normal(2, 4), normal(3, 4), positive(4, 4), is_training=False
        )[:2]
    )


NOT_FOLDED: dict[str, Callable[[Any], Any]] = {
    "a second consumer of what the convolution gives": _second_consumer,
    "an output between": _fetched,
    "statistics of the batch": lambda x: fused(_convolved(x), is_training=True),
    "a scale for each example": lambda x: _convolved(x) * positive(2, 2, 1, 1, 1),
    "a scale along another axis": lambda x: _convolved(x) * positive(2, 4, 1),
    "a scale that is computed": lambda x: _convolved(x) * tf.reduce_mean(x),
    "a constant over the convolution": lambda x: 1.0 / _convolved(x),
    "a constant that broadcasts the channels": lambda x: (
        tf.nn.conv2d(x, normal(1, 3, 3, 4, 1), 1, "SAME") * positive(1, 5)
    ),
    "a constant of more dimensions": lambda x: _convolved(x) * positive(1, 1, 1, 1, 1, 4),
    "weights that are computed": lambda x: fused(tf.nn.conv2d(x, normal(1, 3, 3, 4, 4) * tf.reduce_mean(x), 1, "SAME")),
    "infinite scales": lambda x: _convolved(x) / np.array([1.0, 0.0, 1.0, 1.0], np.float32),
    "weights that would overflow": lambda x: _convolved(x) * np.float32(3e38) * np.float32(3e38),
    "one bias": lambda x: tf.nn.bias_add(_convolved(x), normal(1, 4)),
}


@pytest.mark.parametrize("why", NOT_FOLDED)
def test_what_is_left_alone(why: str) -> None:
    """Where folding would change an answer, or gain nothing, the graph stays as it is."""

    def build() -> Any:
        x = v1.placeholder(tf.float32, [2, 4, 4, 4])
        outputs = NOT_FOLDED[why](x)
        return [x], outputs if isinstance(outputs, list) else [outputs]

    before, _ = tidy(frozen(build), "cpu")
    before, _ = fold_constants(before, "cpu")
    after, changes = fold_batch_norm(before, "cpu")
    assert (after, changes) == (before, ())


def test_half_precision_is_left_alone() -> None:
    """New weights in 16 bits would be rounded anew, which shows in the answers."""

    def build() -> Any:
        x = v1.placeholder(tf.float16, [2, 4])
        return [x], [tf.matmul(x, normal(1, 4, 3).astype(np.float16)) * normal(2, 3).astype(np.float16)]

    before = frozen(build)
    assert fold_batch_norm(before, "cpu") == (before, ())


def test_a_wrong_fold_would_show(monkeypatch: pytest.MonkeyPatch) -> None:
    """The comparison of these tests tells a fold that forgets a shift from one that does not."""

    def build() -> Any:
        x = v1.placeholder(tf.float32, [None, 6, 6, 4])
        return [x], [fused(_convolved(x))]

    before, feed = frozen(build), image(np.random.default_rng(0), 2, 6, 6, 4)
    monkeypatch.setattr(
        "job.engine.variants.affine.Affine.then",
        lambda _, after: after.__class__(scale=after.scale, shift=0 * after.shift),
    )
    after = folded(before)
    assert ops(after) == {"Conv2D": 1, "BiasAdd": 1}
    assert np.abs(answers(after, feed)[0] - answers(before, feed)[0]).max() > 0.1


@pytest.mark.parametrize("fold", [fold_batch_norm, fold_before])
def test_constants_of_a_loop_stay_in_it(fold: Pass) -> None:
    """What a TF1 loop holds waits for its turn; a new constant without that would be of another frame."""

    def build() -> Any:
        x = v1.placeholder(tf.float32, [2, 3], name="x")

        def body(step: Any, y: Any) -> Any:
            y = tf.matmul(y, tf.constant(np.eye(3, dtype=np.float32) * 0.5))
            if fold is fold_before:
                y = tf.matmul(tf.nn.relu(y) * tf.constant([1.0, 2.0, 3.0]), tf.constant(np.eye(3, dtype=np.float32)))
            return step + 1, y * tf.constant([1.0, 2.0, 0.5]) + tf.constant([1.0, 0.0, 2.0])

        return [x], [v1.while_loop(lambda step, _: step < 3, body, (0, x))[1]]

    before = after = frozen(build)
    for one in (tidy, fold_constants, fold):
        after, _ = one(after, "cpu")
    assert ops(after)["Enter"]
    assert_same(before, after, np.ones([2, 3], np.float32))


@pytest.mark.parametrize(("block", "folds"), [((2, 2), True), ((2, 2, 2), False)])
def test_blocks_along_the_channels_are_not_passed(block: tuple[int, ...], *, folds: bool) -> None:
    """Blocks of two axes are of height and width; those of three move what is in a channel into another one."""

    def build() -> Any:
        x = v1.placeholder(tf.float32, [8, 2, 2, 3], name="x")
        y = v1.nn.conv2d(x, normal(1, 1, 1, 3, 4), padding="VALID")
        y = tf.batch_to_space(y, block, [[0, 0], [0, 0], [2, 2]][: len(block)])
        return [x], [y * normal(2, 4) + normal(3, 4)]

    before = frozen(build)
    after = folded(before)
    assert ("Mul" not in ops(after)) == folds
    assert_same(before, after, image(np.random.default_rng(0), 8, 2, 2, 3))
