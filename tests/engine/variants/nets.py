"""Small TF1 models of every kind that a variant may meet: each function builds one and returns its signatures."""

from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
import tensorflow as tf

from tests.engine.interface.test_signatures import Signatures, signature
from tests.engine.models import ref, v1

EPSILON: Final = 1e-3


def normal(seed: int, *shape: int) -> Any:
    """Return weights whose products keep the scale of what goes in."""
    fan_in = float(np.prod(shape[:-1])) or 1.0
    return np.random.default_rng(seed).normal(0, fan_in**-0.5, shape).astype(np.float32)


def positive(seed: int, *shape: int) -> Any:
    """Return numbers around one."""
    return np.random.default_rng(seed).uniform(0.5, 1.5, shape).astype(np.float32)


def batch_norm(x: Any, name: str, layout: str = "NHWC") -> Any:
    """Normalise by statistics of its own, in one op."""
    count = x.shape[1 if layout == "NCHW" else -1]
    statistics = [positive(1, count), normal(2, count), normal(3, count), positive(4, count)]
    gamma, beta, mean, variance = (ref(f"{name}/{index}", value) for index, value in enumerate(statistics))
    return v1.nn.fused_batch_norm(x, gamma, beta, mean, variance, EPSILON, layout, is_training=False)[0]


def unfused(x: Any, name: str) -> Any:
    """Normalise as `tf.nn.batch_normalization` does: by products and sums."""
    count = x.shape[-1]
    statistics = [normal(1, count), positive(2, count), normal(3, count), positive(4, count)]
    mean, variance, beta, gamma = (ref(f"{name}/{index}", value) for index, value in enumerate(statistics))
    return v1.nn.batch_normalization(x, mean, variance, beta, gamma, EPSILON)


def convolution() -> Signatures:
    """Convolutions with batch norms, a residual branch, dropout that is off, and a classifier."""
    x = v1.placeholder(tf.float32, [None, 9, 9, 3], name="x")
    first = tf.nn.relu(batch_norm(tf.nn.conv2d(x, ref("w1", normal(5, 3, 3, 3, 8)), 2, "SAME"), "bn1"))
    second = batch_norm(
        tf.nn.bias_add(tf.nn.conv2d(first, ref("w2", normal(6, 3, 3, 8, 8)), 1, "SAME"), normal(7, 8)), "bn2"
    )
    pooled = tf.reduce_mean(tf.nn.relu(first + second), [1, 2])
    kept = v1.nn.dropout(tf.stop_gradient(pooled), rate=tf.constant(0.0) * 1.0)
    logits = tf.identity(kept @ ref("w3", normal(8, 8, 5)), name="logits")
    return {
        "serving_default": signature({"my image": x}, {"scores/1": tf.nn.softmax(logits), "Logits": logits}),
        "features": signature({"my image": x}, {"pooled": pooled}, "tensorflow/serving/classify"),
    }


def depthwise() -> Signatures:
    """A separable convolution behind an explicit pad, one with holes, and a transposed one, each normalised."""
    x = v1.placeholder(tf.float32, [None, 8, 8, 4], name="x")
    padded = tf.pad(x, [[0, 0], [1, 1], [1, 1], [0, 0]])
    deep = tf.nn.relu6(
        batch_norm(tf.nn.depthwise_conv2d(padded, ref("w1", normal(1, 3, 3, 4, 2)), [1, 1, 1, 1], "VALID"), "bn1")
    )
    wide = batch_norm(v1.nn.convolution(deep, ref("w2", normal(2, 3, 3, 8, 6)), "SAME", dilation_rate=[2, 2]), "bn2")
    up = v1.nn.conv2d_transpose(wide, ref("w3", normal(3, 2, 2, 5, 6)), tf.stack([tf.shape(x)[0], 16, 16, 5]), 2)
    up.set_shape([None, 16, 16, 5])
    return {"serving_default": signature({"x": x}, {"y": batch_norm(up, "bn3")})}


def dense() -> Signatures:
    """Dense layers with batch norms in pieces."""
    x = v1.placeholder(tf.float32, [None, 6], name="x")
    hidden = tf.nn.relu(unfused(x @ ref("w1", normal(1, 6, 16)) + ref("b1", normal(2, 16)), "bn"))
    return {
        "serving_default": signature({"x": x}, {"y": tf.matmul(hidden, ref("w2", normal(3, 4, 16)), transpose_b=True)})
    }


def channels_first(layout: str = "NCHW") -> Signatures:
    """Convolutions over channels that come first, as models trained on GPUs have them; in the other layout the same."""
    is_first, how = layout == "NCHW", {"data_format": layout}
    x = v1.placeholder(tf.float32, [None, 3, 9, 9], name="x")
    start = x if is_first else tf.transpose(x, [0, 2, 3, 1])
    biased = tf.nn.bias_add(
        tf.nn.conv2d(start, ref("w1", normal(1, 3, 3, 3, 8)), 1, "SAME", **how), ref("b1", normal(2, 8)), **how
    )
    first = tf.nn.relu(batch_norm(biased, "bn1", layout))
    padded = tf.pad(first, [[0, 0], [0, 0], [1, 1], [1, 1]] if is_first else [[0, 0], [1, 1], [1, 1], [0, 0]])
    second = batch_norm(tf.nn.conv2d(padded, ref("w2", normal(3, 3, 3, 8, 8)), 2, "VALID", **how), "bn2", layout)
    both = tf.nn.relu(second + tf.nn.max_pool2d(first, 3, 2, "SAME", **how))
    scores = tf.reduce_mean(both, [2, 3] if is_first else [1, 2]) @ ref("w3", normal(4, 8, 5))
    places = both if is_first else tf.transpose(both, [0, 3, 1, 2])
    return {"serving_default": signature({"x": x}, {"places": places, "scores": scores})}


def shared() -> Signatures:
    """Two branches with the same weights, of which one is normalised."""
    left, right = (v1.placeholder(tf.float32, [None, 6, 6, 3], name=name) for name in ("left", "right"))
    weights = ref("w", normal(1, 3, 3, 3, 4))
    normalised = batch_norm(tf.nn.conv2d(left, weights, 1, "SAME"), "bn")
    return {
        "serving_default": signature(
            {"a": left, "b": right},
            {"y": normalised * tf.nn.conv2d(right, weights, 1, "VALID", name="plain")[:, :1, :1]},
        )
    }


def words() -> Signatures:
    """A vocabulary, an embedding and a dense layer."""
    x = v1.placeholder(tf.string, [None, 3], name="x")
    keys = tf.constant(["the", "cat", "sat"])
    table = v1.lookup.StaticHashTable(v1.lookup.KeyValueTensorInitializer(keys, tf.range(3, dtype=tf.int64)), 0)
    embedded = tf.gather(ref("embedding", normal(1, 3, 8)), table.lookup(x))
    hidden = tf.nn.relu(tf.reduce_mean(embedded, 1) @ ref("w1", normal(2, 8, 8)))
    return {"serving_default": signature({"x": x}, {"y": hidden @ ref("w2", normal(3, 8, 2))})}


def looped() -> Signatures:
    """A loop of TF1's around a product with a weight."""
    x = v1.placeholder(tf.float32, [None, 4], name="x")
    weights = ref("w", normal(1, 4, 4))
    last = v1.while_loop(lambda step, _: step < 3, lambda step, state: (step + 1, tf.tanh(state @ weights)), (0, x))[1]
    return {"serving_default": signature({"x": x}, {"y": last @ ref("w2", normal(2, 4, 4))})}


def looked_up() -> Signatures:
    """Rows of two variables that are resources, and a loop of TF1's, which keeps functions from being inlined."""
    x = v1.placeholder(tf.int32, [None, 2], name="x")
    table = v1.get_variable("table", initializer=normal(1, 5, 4), use_resource=True)
    pairs = v1.get_variable("pairs", initializer=normal(2, 5, 5, 4), use_resource=True)
    start = tf.gather(table, tf.minimum(x[:, 0], 4)) + tf.gather_nd(pairs, tf.minimum(x, 4))

    def body(step: Any, state: Any) -> tuple[Any, Any]:
        return step + 1, state * 0.5 + tf.gather(table, tf.minimum(x[:, 1], step))

    return {"serving_default": signature({"x": x}, {"y": v1.while_loop(lambda step, _: step < 3, body, (0, start))[1]})}


def recurrent() -> Signatures:
    """An LSTM of TF1's over sequences of any length."""
    x = v1.placeholder(tf.float32, [None, None, 4], name="x")
    weights, bias = ref("w", normal(1, 12, 32)), ref("b", normal(2, 32))
    steps, batch = tf.shape(x)[1], tf.shape(x)[0]
    inputs = tf.transpose(x, [1, 0, 2])
    array = v1.TensorArray(tf.float32, steps).unstack(inputs)

    def step(time: Any, cell: Any, hidden: Any) -> tuple[Any, Any, Any]:
        gates = tf.nn.bias_add(tf.concat([array.read(time), hidden], 1) @ weights, bias)
        i, j, f, o = tf.split(gates, 4, 1)
        cell = cell * tf.sigmoid(f + 1.0) + tf.sigmoid(i) * tf.tanh(j)
        return time + 1, cell, tf.tanh(cell) * tf.sigmoid(o)

    start = tf.zeros(tf.stack([batch, 8]))
    shapes = (tf.TensorShape([]), tf.TensorShape([None, 8]), tf.TensorShape([None, 8]))
    _, _, hidden = v1.while_loop(lambda time, *_: time < steps, step, (0, start, start), shapes)
    return {"serving_default": signature({"x": x}, {"y": hidden @ ref("w2", normal(3, 8, 2))})}


NETS: Final[Mapping[str, Callable[[], Signatures]]] = {
    "convolution": convolution,
    "depthwise": depthwise,
    "dense": dense,
    "channels_first": channels_first,
    "shared": shared,
    "words": words,
    "looped": looped,
    "looked_up": looked_up,
    "recurrent": recurrent,
}
