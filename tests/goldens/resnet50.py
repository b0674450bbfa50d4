"""ResNet-50 v1.5 as TensorFlow 1 wrote it: plain ops and reference variables.

Runs under TensorFlow 1.15 and under ``tf.compat.v1`` of TensorFlow 2. Every variable's seed comes
from its name, so that all graphs of one width hold the same weights. Batch-norm statistics are
random and never those of the data: a reader that resets them or leaves training mode on is seen.
"""

from __future__ import annotations  # Python 3.7 runs this

import zlib
from typing import Any

import tensorflow.compat.v1 as tf  # noqa: TID253 - a graph is built here, not only described

UNITS = (3, 4, 6, 3)
"""Bottleneck units of the four blocks; a block has twice the filters of the one before."""

EPSILON = 1.001e-5  # the smallest that cuDNN takes; Keras uses it too
DECAY = 0.997


def resnet50(images: Any, *, training: Any = None, width: int = 64, classes: int = 1000) -> Any:
    """Return the logits, shape (batch, `classes`), of NHWC `images`.

    `width` is the number of filters of the first convolution; 64 is the full size. `training` is
    a boolean tensor that switches batch norm, or None for a graph that can only infer.
    """
    with tf.variable_scope("resnet50"):
        features = _conv_bn("conv1", images, width, size=7, stride=2, training=training)
        features = tf.nn.max_pool(tf.nn.relu(features), [1, 3, 3, 1], [1, 2, 2, 1], "SAME", name="pool1")
        for block, units in enumerate(UNITS):
            for unit in range(units):
                stride = 2 if unit == 0 and block > 0 else 1
                with tf.variable_scope(f"block{block + 1}/unit{unit + 1}"):
                    features = _bottleneck(features, width * 2**block, stride, project=unit == 0, training=training)
        return _dense(tf.reduce_mean(features, [1, 2], name="pool5"), classes)


def train(logits: Any, labels: Any, *, scope: str = "") -> Any:
    """Return the op of one training step: SGD with momentum, and batch norm's averages.

    Only variables whose names match `scope`, a regular expression, are trained.
    """
    loss = tf.losses.sparse_softmax_cross_entropy(labels, logits)
    tf.summary.scalar("loss", loss)
    optimizer = tf.train.MomentumOptimizer(learning_rate=0.1, momentum=0.9)
    step = optimizer.minimize(loss, tf.train.get_or_create_global_step(), tf.trainable_variables(scope))
    return tf.group(step, *tf.get_collection(tf.GraphKeys.UPDATE_OPS), name="train")


def _bottleneck(inputs: Any, filters: int, stride: int, *, project: bool, training: Any) -> Any:
    shortcut = inputs
    if project:
        shortcut = _conv_bn("shortcut", inputs, 4 * filters, size=1, stride=stride, training=training)
    features = tf.nn.relu(_conv_bn("conv1", inputs, filters, size=1, training=training))
    features = tf.nn.relu(_conv_bn("conv2", features, filters, size=3, stride=stride, training=training))
    features = _conv_bn("conv3", features, 4 * filters, size=1, training=training)
    return tf.nn.relu(shortcut + features)


def _conv_bn(name: str, inputs: Any, filters: int, *, size: int, stride: int = 1, training: Any) -> Any:
    with tf.variable_scope(name):
        return _batch_norm(_convolution(inputs, filters, size, stride), training)


def _convolution(inputs: Any, filters: int, size: int, stride: int) -> Any:
    channels = int(inputs.shape[-1])
    kernel = _variable("kernel", [size, size, channels, filters], stddev=(2 / (size * size * channels)) ** 0.5)
    padding = "SAME"
    if stride > 1 and size > 1:  # symmetric whatever the image's size, as every v1.5 pads
        edge = [(size - 1) // 2, size // 2]
        inputs, padding = tf.pad(inputs, [[0, 0], edge, edge, [0, 0]]), "VALID"
    return tf.nn.conv2d(inputs, kernel, [1, stride, stride, 1], padding)


def _batch_norm(inputs: Any, training: Any) -> Any:
    channels = [int(inputs.shape[-1])]
    with tf.variable_scope("bn"):
        gamma, beta = _variable("gamma", channels, mean=1.0, stddev=0.2), _variable("beta", channels, stddev=0.1)
        mean = _variable("moving_mean", channels, stddev=0.1, trainable=False)
        variance = _variable("moving_variance", channels, mean=1.0, stddev=0.1, trainable=False)

        def infer() -> Any:
            return tf.nn.fused_batch_norm(inputs, gamma, beta, mean, variance, epsilon=EPSILON, is_training=False)

        if training is None:
            return infer()[0]
        outputs = tf.cond(training, lambda: tf.nn.fused_batch_norm(inputs, gamma, beta, epsilon=EPSILON), infer)
        _update_on_training(mean, outputs[1])
        _update_on_training(variance, outputs[2])
        return outputs[0]


def _update_on_training(average: Any, value: Any) -> None:
    update = tf.assign_sub(average, (average - value) * (1 - DECAY))
    tf.add_to_collection(tf.GraphKeys.UPDATE_OPS, update)


def _dense(features: Any, classes: int) -> Any:
    with tf.variable_scope("logits"):
        width = int(features.shape[-1])
        kernel = _variable("kernel", [width, classes], stddev=6 * width**-0.5)
        return tf.nn.bias_add(tf.matmul(features, kernel), _variable("bias", [classes], stddev=0.1))


def _variable(name: str, shape: list[int], *, mean: float = 0.0, stddev: float, trainable: bool = True) -> Any:
    seed = zlib.crc32((tf.get_variable_scope().name + "/" + name).encode()) & 0x7FFFFFFF

    def values(shape: list[int], dtype: Any, partition_info: Any = None) -> Any:  # noqa: ARG001 - TensorFlow's protocol
        drawn = tf.truncated_normal(shape, mean, stddev, dtype, seed=seed)
        # A kernel's filters sum to zero: else the ReLUs of 49 random layers make all images alike.
        return drawn - tf.reduce_mean(drawn, list(range(len(shape) - 1)), keepdims=True) if len(shape) > 1 else drawn

    return tf.get_variable(name, shape, tf.float32, values, trainable=trainable, use_resource=False)
