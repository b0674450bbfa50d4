"""Layers that mean what they meant: TensorFlow 1's own, and those that later code lost or changed."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import tensorflow as tf
import tf_keras
from tf_keras.api._v1.keras import layers as v1

RENAMED: Final[dict[str, tuple[str, dict[str, Any]]]] = {
    "CuDNNLSTM": ("LSTM", {"activation": "tanh", "recurrent_activation": "sigmoid"}),
    "CuDNNGRU": ("GRU", {"activation": "tanh", "recurrent_activation": "sigmoid", "reset_after": True}),
}
"""Layers that only ran on a GPU → the layer that computes the same anywhere, with what the first one left unsaid."""

FUNCTIONS: Final[dict[str, Callable[..., tf.Tensor]]] = {
    "relu6": tf.nn.relu6,
    "leaky_relu": tf.nn.leaky_relu,
    "silu": tf.nn.silu,
    "log_softmax": tf.nn.log_softmax,
    "log_sigmoid": tf.math.log_sigmoid,
    "softmax_v2": tf_keras.activations.softmax,
}
"""Functions that are not Keras' own and that files name all the same: there is one function of that name."""


def anywhere(kind: type[Any]) -> type[Any]:
    """Return a layer whose ``channels_first`` runs on a CPU, too.

    Keras for TensorFlow 1 transposed on a CPU as this does; TensorFlow's kernels refuse there.
    """

    class Anywhere(kind):  # type: ignore[misc]
        def call(self, inputs: tf.Tensor) -> tf.Tensor:
            if self.data_format != "channels_first":
                return super().call(inputs)
            rank = inputs.shape.rank
            with _channels_last(self) as activation:
                outputs = super().call(tf.transpose(inputs, [0, *range(2, rank), 1]))
            outputs = tf.transpose(outputs, [0, rank - 1, *range(1, rank - 1)])
            return activation(outputs) if activation else outputs

    Anywhere.__name__ = kind.__name__
    return Anywhere


@contextmanager
def _channels_last(layer: Any) -> Iterator[Callable[..., tf.Tensor] | None]:
    """Change a layer's data format for a while; gives its activation, which may look at the last axis."""
    known = ("data_format", "_tf_data_format", "_channels_first", "activation")
    before = {name: getattr(layer, name) for name in known if hasattr(layer, name)}
    changed = {
        "data_format": "channels_last",
        "_tf_data_format": "N" + "DHW"[-_spatial(layer) :] + "C",
        "_channels_first": False,
        "activation": None,
    }
    for name in before:
        setattr(layer, name, changed[name])
    try:
        yield before.get("activation")
    finally:
        for name, value in before.items():
            setattr(layer, name, value)


def _spatial(layer: Any) -> int:
    return int(type(layer).__name__.removesuffix("Transpose")[-2])


class BatchNormalization(v1.BatchNormalization):  # type: ignore[misc]
    """Batch normalization over any axis on any device: the fused kernel takes the first axis on GPUs alone."""

    def build(self, input_shape: Any) -> None:
        """Create the weights."""
        axis = self.axis if isinstance(self.axis, int) else next(iter(self.axis))
        if axis not in (-1, len(input_shape) - 1):
            self.fused = False
        super().build(input_shape)


class LegacyUpSampling2D(v1.UpSampling2D):  # type: ignore[misc]
    """Bilinear up-sampling before TensorFlow 1.14: corners of pixels, not their centres, lie on the grid."""

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Resize."""
        first = self.data_format == "channels_first"
        images = tf.transpose(inputs, [0, 2, 3, 1]) if first else inputs
        size = tf.shape(images)[1:3] * tf.constant(self.size)
        resized = tf.compat.v1.image.resize_bilinear(images, size)
        outputs = tf.transpose(resized, [0, 3, 1, 2]) if first else resized
        outputs.set_shape(self.compute_output_shape(inputs.shape))
        return outputs


class Highway(tf_keras.layers.Layer):  # type: ignore[misc]
    """Keras 1's dense highway layer; weights W, W_carry, b, b_carry."""

    def __init__(self, activation: str = "linear", *, use_bias: bool = True, **base: Any) -> None:
        super().__init__(**base)
        self._activation, self._use_bias = tf_keras.activations.get(activation), use_bias

    def build(self, input_shape: Any) -> None:
        """Create the weights."""
        size = int(input_shape[-1])
        self._kernels = [self.add_weight(name=name, shape=(size, size)) for name in ("W", "W_carry")]
        self._biases = [self.add_weight(name=name, shape=(size,)) for name in ("b", "b_carry") if self._use_bias]
        super().build(input_shape)

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Mix the input with what is computed of it."""
        biases = self._biases or (0.0, 0.0)
        said, carried = (inputs @ kernel + bias for kernel, bias in zip(self._kernels, biases, strict=True))
        share = tf.sigmoid(carried)
        return self._activation(said) * share + (1 - share) * inputs


class MaxoutDense(tf_keras.layers.Layer):  # type: ignore[misc]
    """Keras 1's maximum over several dense layers; weights W (features, inputs, outputs), b."""

    def __init__(self, units: int, nb_feature: int = 4, *, use_bias: bool = True, **base: Any) -> None:
        super().__init__(**base)
        self._units, self._features, self._use_bias = units, nb_feature, use_bias

    def build(self, input_shape: Any) -> None:
        """Create the weights."""
        self._kernel = self.add_weight(name="W", shape=(self._features, int(input_shape[-1]), self._units))
        self._bias = self.add_weight(name="b", shape=(self._features, self._units)) if self._use_bias else 0.0
        super().build(input_shape)

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Return the largest feature."""
        return tf.reduce_max(tf.einsum("bi,fio->bfo", inputs, self._kernel) + self._bias, axis=1)


class ParametricSoftplus(tf_keras.layers.Layer):  # type: ignore[misc]
    """Keras 1's ``alpha * log(1 + exp(beta * x))``."""

    def build(self, input_shape: Any) -> None:
        """Create the weights."""
        self._scales = [self.add_weight(name=name, shape=input_shape[1:]) for name in ("alphas", "betas")]
        super().build(input_shape)

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Compute it."""
        alphas, betas = self._scales
        return tf.math.softplus(betas * inputs) * alphas


class SReLU(tf_keras.layers.Layer):  # type: ignore[misc]
    """Keras 1's S-shaped rectifier; weights t_left, a_left, t_right, a_right."""

    def build(self, input_shape: Any) -> None:
        """Create the weights."""
        names = ("t_left", "a_left", "t_right", "a_right")
        self._parts = [self.add_weight(name=name, shape=input_shape[1:]) for name in names]
        super().build(input_shape)

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Compute its three lines."""
        left, left_slope, width, right_slope = self._parts
        right = left + tf.abs(width)
        beyond = tf.nn.relu(inputs - left)
        middle = tf.minimum(beyond, right - left) - left_slope * tf.nn.relu(left - inputs)
        return left + middle + right_slope * tf.nn.relu(inputs - right)


class Deconvolution2D(anywhere(v1.Conv2DTranspose)):  # type: ignore[misc]
    """Keras 1's transposed convolution, whose size the user said: ``same`` and ``valid`` leave it open."""

    def __init__(self, output_shape: list[int | None], **base: Any) -> None:
        super().__init__(**base)
        self._said = output_shape

    def compute_output_shape(self, input_shape: Any) -> tf.TensorShape:
        """Return what the user said."""
        return tf.TensorShape([input_shape[0], *self._said[1:]])

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Convolve."""
        shape = [tf.shape(inputs)[0], *self._said[1:]]
        outputs = tf_keras.backend.conv2d_transpose(
            inputs, self.kernel, shape, self.strides, padding=self.padding, data_format=self.data_format
        )
        if self.use_bias:
            outputs = tf_keras.backend.bias_add(outputs, self.bias, data_format=self.data_format)
        outputs.set_shape(self.compute_output_shape(inputs.shape))
        return self.activation(outputs) if self.activation else outputs


Deconvolution2D.__name__ = "Conv2DTranspose"  # by which Keras knows how Keras 1 laid out its kernel

_ANYWHERE: Final = (
    *("Conv1D", "Conv2D", "Conv3D", "Conv2DTranspose", "Conv3DTranspose", "SeparableConv1D", "SeparableConv2D"),
    *("MaxPooling1D", "MaxPooling2D", "MaxPooling3D", "AveragePooling1D", "AveragePooling2D", "AveragePooling3D"),
)

_OF_TF1: Final = ("LSTM", "GRU", "SimpleRNN", "LSTMCell", "GRUCell", "SimpleRNNCell")

OBJECTS: Final[dict[str, Any]] = {
    **FUNCTIONS,
    **{name: getattr(v1, name) for name in _OF_TF1},
    **{name: anywhere(getattr(v1, name)) for name in _ANYWHERE},
    **{
        kind.__name__: kind
        for kind in (BatchNormalization, LegacyUpSampling2D, Highway, MaxoutDense, ParametricSoftplus, SReLU)
    },
    "Deconvolution2D": Deconvolution2D,
}
"""What names in a configuration mean here; all others mean what they mean in Keras 2."""


BESIDE_API: Final = (
    *("Sequential", "Functional", "BatchNormalizationV1", "BatchNormalizationV2"),
    *("LSTMV1", "LSTMV2", "GRUV1", "GRUV2", "TensorFlowOpLayer"),
)
"""Classes that TensorFlow 1 wrote into files and that have no public name, or are no layers."""


def known_classes() -> frozenset[str]:
    """Return the names of all classes that a file may choose: those of TensorFlow 1's Keras.

    Keras 2 would build more. Among those are some that do what the file says: ``TFOpLambda`` and ``ClassMethod`` call
    any function of TensorFlow, wrappers of cells bring bytecode, and lookups read files.
    """
    return frozenset({*vars(v1), *BESIDE_API, *OBJECTS, *RENAMED})


def is_function(name: str) -> bool:
    """Whether a name in a configuration is that of an activation function."""
    return name in FUNCTIONS or callable(getattr(tf_keras.activations, name, None))
