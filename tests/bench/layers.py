"""What TF1 networks are built of, with random weights that keep activations in range, and the work that it is."""

import math
from collections.abc import Callable, Iterable
from typing import Any, Final

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

Array = NDArray[Any]

EPSILON: Final = 1e-5

BRANCH_GAIN: Final = 0.25
"""What a residual branch adds to what passes: little, as in trained networks, or else errors grow in each block."""


class Layers:
    """Builds layers in the default graph, as frozen constants drawn from `seed`; counts multiply-adds an example.

    Batch norms take what `statistics` holds of each, in order; without it they take their batch's own and offer
    them as `observed`, so that a first pass over some inputs makes those of a trained network.
    """

    def __init__(self, seed: int, statistics: Iterable[tuple[Array, Array]] = ()) -> None:
        self._draw, self._statistics = np.random.default_rng(seed), iter(tuple(statistics))
        self._observes = not statistics
        self.observed = list[tuple[Any, Any]]()
        self.macs = 0

    def weights(self, *shape: int, scale: float) -> Any:
        """Return normally distributed weights."""
        return tf.constant(self._draw.normal(0, scale, shape).astype(np.float32))

    def conv(self, x: Any, filters: int, size: int, stride: int = 1) -> Any:
        """Return a convolution without bias."""
        inputs = x.shape[-1]
        kernel = self.weights(size, size, inputs, filters, scale=math.sqrt(2 / (size * size * inputs)))
        y = tf.nn.conv2d(x, kernel, [1, stride, stride, 1], "SAME")
        self.macs += y.shape[1] * y.shape[2] * size * size * inputs * filters
        return y

    def depthwise(self, x: Any, stride: int = 1) -> Any:
        """Return a depthwise convolution of 3 x 3 without bias."""
        inputs = x.shape[-1]
        y = tf.nn.depthwise_conv2d(
            x, self.weights(3, 3, inputs, 1, scale=math.sqrt(2 / 9)), [1, stride, stride, 1], "SAME"
        )
        self.macs += y.shape[1] * y.shape[2] * 9 * inputs
        return y

    def batch_norm(self, x: Any, gain: float = 1.0) -> Any:
        """Return a fused batch norm, by its moving statistics but in the first pass; its scales are around `gain`."""
        channels = x.shape[-1]
        gamma = tf.constant((gain * self._draw.uniform(0.5, 1.5, channels)).astype(np.float32))
        beta = self.weights(channels, scale=0.2)
        if self._observes:
            y, mean, variance = tf.compat.v1.nn.fused_batch_norm(x, gamma, beta, epsilon=EPSILON, is_training=True)
            self.observed.append((mean, variance))
            return y
        mean, variance = next(self._statistics)
        return tf.compat.v1.nn.fused_batch_norm(x, gamma, beta, mean, variance, epsilon=EPSILON, is_training=False)[0]

    def conv_bn(
        self, x: Any, filters: int, size: int, stride: int = 1, activation: Callable[[Any], Any] = tf.nn.relu
    ) -> Any:
        """Return a convolution, its batch norm and an activation."""
        return activation(self.batch_norm(self.conv(x, filters, size, stride)))

    def dense(self, x: Any, units: int, *, rows: int = 1, scale: float | None = None) -> Any:
        """Return a matrix product with a bias; `x` has two axes and `rows` rows an example."""
        inputs = x.shape[-1]
        scale = scale or math.sqrt(1 / inputs)
        self.macs += rows * inputs * units
        return tf.nn.bias_add(tf.matmul(x, self.weights(inputs, units, scale=scale)), self.weights(units, scale=0.02))

    def layer_norm(self, x: Any) -> Any:
        """Return a layer norm over the last axis, in the nodes that ``tf.contrib.layers.layer_norm`` makes."""
        width = x.shape[-1]
        mean, variance = tf.nn.moments(x, [-1], keepdims=True)
        gamma = tf.constant(self._draw.uniform(0.8, 1.2, width).astype(np.float32))
        return tf.nn.batch_normalization(x, mean, variance, self.weights(width, scale=0.1), gamma, 1e-12)

    def mobilenet_v2(self, images: Any) -> list[Any]:
        """Return the feature maps of MobileNet v2 at a 16th, before the last stride, and a 32nd of the images' size.

        Rows are expansion, filters, repeats and stride (Sandler et al. 2018, table 2).
        """
        x, maps = self.conv_bn(images, 32, 3, 2, tf.nn.relu6), list[Any]()
        rows = (1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)
        for expansion, filters, repeats, stride in rows:
            if filters == 160:
                maps.append(x)
            for repeat in range(repeats):
                x = self._inverted_residual(x, expansion, filters, stride if repeat == 0 else 1)
        return [*maps, self.conv_bn(x, 1280, 1, 1, tf.nn.relu6)]

    def _inverted_residual(self, x: Any, expansion: int, filters: int, stride: int) -> Any:
        y = self.conv_bn(x, expansion * x.shape[-1], 1, 1, tf.nn.relu6) if expansion > 1 else x
        y = tf.nn.relu6(self.batch_norm(self.depthwise(y, stride)))
        adds = stride == 1 and x.shape[-1] == filters
        y = self.batch_norm(self.conv(y, filters, 1), BRANCH_GAIN if adds else 1.0)
        return x + y if adds else y
