"""The backend that builds the graph which TensorFlow 1 would have run."""

import math
from collections.abc import Mapping, Sequence
from typing import Final, Literal

import tensorflow as tf

from job.engine.architectures.catalogue import Catalogue, Tensor, Weights
from job.engine.architectures.layers import Attention, Layers, Window

v1 = tf.compat.v1
STATISTICS: Final = ("mean", "variance")
"""What training moves without gradients."""


class GraphLayers(Layers[tf.Tensor]):
    """Tensors of the current graph; `variables` are the values of those made, by their names in the checkpoint.

    `trained` names those that gradients reach. `dtypes` names the types of those that are not stored as float32;
    all is computed in that.
    """

    def __init__(self, catalogue: Catalogue, dtypes: Mapping[str, str]) -> None:
        super().__init__(catalogue)
        self._dtypes = dtypes
        self.variables = dict[str, tf.Tensor]()
        self.trained = list[str]()
        self._tables = dict[str, tf.Tensor]()

    def images(self, shape: Sequence[int | None]) -> tf.Tensor:
        """Return the placeholder ``images``."""
        return v1.placeholder(tf.float32, [None, *shape], name="images")

    def relu(self, x: tf.Tensor, *, limit: float | None = None) -> tf.Tensor:
        """Return ``Relu``, or ``Relu6`` for the limit 6."""
        if limit == 6:
            return tf.nn.relu6(x)
        return tf.nn.relu(x) if limit is None else tf.minimum(tf.nn.relu(x), limit)

    def add(self, x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
        """Return the sum."""
        return tf.add(x, y)

    def concat(self, xs: Sequence[tf.Tensor]) -> tf.Tensor:
        """Return all channels together."""
        return tf.concat(list(xs), axis=-1)

    def pad(self, x: tf.Tensor, before: int, after: int) -> tf.Tensor:
        """Pad height and width by zeros."""
        return tf.pad(x, [[0, 0], [before, after], [before, after], [0, 0]])

    def max_pool(self, x: tf.Tensor, window: Window) -> tf.Tensor:
        """Return ``MaxPool``."""
        return tf.nn.max_pool2d(x, window.size, window.stride, window.padding.upper())

    def mean_pool(self, x: tf.Tensor, window: Window) -> tf.Tensor:
        """Return ``AvgPool``."""
        return tf.nn.avg_pool2d(x, window.size, window.stride, window.padding.upper())

    def mean(self, x: tf.Tensor) -> tf.Tensor:
        """Return the mean over height and width."""
        return tf.reduce_mean(x, [1, 2])

    def crop(self, x: tf.Tensor, size: int) -> tf.Tensor:
        """Return a slice."""
        return x[:, :size, :size]

    def softmax(self, x: tf.Tensor) -> tf.Tensor:
        """Return ``Softmax``."""
        return tf.nn.softmax(x)

    def tokens(self, key: str) -> tf.Tensor:
        """Return a placeholder."""
        return v1.placeholder(tf.int32, [None, None], name=key)

    def gelu(self, x: tf.Tensor, *, by: Literal["tanh", "erf"]) -> tf.Tensor:
        """Return ``0.5 x (1 + ...)``, term by term as in BERT's ``modeling.py``, the last or the first one."""
        if by == "erf":
            return x * (0.5 * (1.0 + tf.math.erf(x / math.sqrt(2))))
        return x * (0.5 * (1.0 + tf.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * tf.pow(x, 3)))))

    def tanh(self, x: tf.Tensor) -> tf.Tensor:
        """Return ``Tanh``."""
        return tf.tanh(x)

    def channel(self, x: tf.Tensor, number: int) -> tf.Tensor:
        """Return the slice at a number."""
        return x[:, :, number]

    def first(self, x: tf.Tensor) -> tf.Tensor:
        """Return the slice at 0."""
        return x[:, 0, :]

    def channels(self, x: tf.Tensor) -> int | None:
        """Return the static size of the last dimension."""
        size: int | None = x.shape[-1]
        return size

    def _conv(self, x: tf.Tensor, path: str, weights: Weights, window: Window) -> tf.Tensor:
        held = self._held(weights)
        y = tf.nn.conv2d(x, held["kernel"], window.stride, window.padding.upper(), name=path)
        return tf.nn.bias_add(y, held["bias"]) if "bias" in held else y

    def _depthwise(self, x: tf.Tensor, path: str, weights: Weights, window: Window) -> tf.Tensor:
        kernel = self._held(weights)["kernel"]
        strides = [1, window.stride, window.stride, 1]
        return tf.nn.depthwise_conv2d(x, kernel, strides, window.padding.upper(), name=path)

    def _norm(self, x: tf.Tensor, path: str, weights: Weights, epsilon: float) -> tf.Tensor:
        held = self._held(weights)
        gamma = held.get("gamma", tf.ones_like(held["beta"]))
        y, *_ = v1.nn.fused_batch_norm(
            x, gamma, held["beta"], held["mean"], held["variance"], epsilon, is_training=False, name=path
        )
        return y

    def _dense(self, x: tf.Tensor, path: str, weights: Weights) -> tf.Tensor:
        held = self._held(weights)
        kernel = tf.reshape(held["kernel"], weights["kernel"].shape[-2:])
        return tf.nn.bias_add(_times(x, kernel, path), held["bias"])

    def _project(self, x: tf.Tensor, path: str, weights: Weights) -> tf.Tensor:
        held = self._held(weights)
        return tf.nn.bias_add(_times(x, held["kernel"], path, transpose_b=True), held["bias"])

    def _embed(self, ids: tf.Tensor, path: str, weights: Weights) -> tf.Tensor:
        self._tables[path] = self._held(weights)["table"]
        return tf.gather(self._tables[path], ids, name=path)

    def _add_positions(self, x: tf.Tensor, path: str, weights: Weights) -> tf.Tensor:
        rows = tf.slice(self._held(weights)["table"], [0, 0], [tf.shape(x)[1], -1])
        return tf.add(x, rows, name=path)

    def _score(self, x: tf.Tensor, path: str, weights: Weights, table: str) -> tf.Tensor:
        scores = _times(x, self._tables[table], path, transpose_b=True)
        return tf.nn.bias_add(scores, self._held(weights)["bias"])

    def _layer_norm(self, x: tf.Tensor, path: str, weights: Weights, epsilon: float) -> tf.Tensor:
        held = self._held(weights)
        mean, variance = tf.nn.moments(x, [-1], keepdims=True)
        return tf.nn.batch_normalization(x, mean, variance, held["beta"], held["gamma"], epsilon, name=path)

    def _attend(self, attention: Attention[tf.Tensor], mask: tf.Tensor, path: str, heads: int) -> tf.Tensor:
        query, key, value = (_by_head(x, heads) for x in (attention.query, attention.key, attention.value))
        width = self.channels(attention.query) or 0
        scores = tf.matmul(query, key, transpose_b=True) * (1.0 / math.sqrt(width // heads))
        masked = (1.0 - tf.cast(mask[:, None, None, :], tf.float32)) * -10000.0
        mixed = tf.matmul(tf.nn.softmax(scores + masked), value, name=path)
        return tf.reshape(tf.transpose(mixed, [0, 2, 1, 3]), tf.shape(attention.query))

    def _held(self, weights: Weights) -> Mapping[str, tf.Tensor]:
        return {role: self._variable(tensor, trainable=role not in STATISTICS) for role, tensor in weights.items()}

    def _variable(self, tensor: Tensor, *, trainable: bool) -> tf.Tensor:
        """Make a variable of its ops alone: an initialiser, which no checkpoint needs, takes most of the time."""
        name, dtype = tensor.name, tf.as_dtype(self._dtypes.get(tensor.name, tf.float32))
        handle = tf.raw_ops.VarHandleOp(dtype=dtype, shape=tensor.shape, shared_name=name, name=name)
        value = tf.raw_ops.ReadVariableOp(resource=handle, dtype=dtype, name=f"{name}/Read")
        self.variables[name] = value
        if trainable:
            self.trained.append(name)
        return value if dtype == tf.float32 else tf.cast(value, tf.float32)


def _times(x: tf.Tensor, kernel: tf.Tensor, name: str, *, transpose_b: bool = False) -> tf.Tensor:
    """Multiply the channels of vectors or of texts, of these all places at once."""
    if x.shape.rank == 2:
        return tf.matmul(x, kernel, transpose_b=transpose_b, name=name)
    flat = tf.matmul(tf.reshape(x, [-1, x.shape[-1]]), kernel, transpose_b=transpose_b, name=name)
    return tf.reshape(flat, [*tf.unstack(tf.shape(x))[:-1], flat.shape[-1]])


def _by_head(x: tf.Tensor, heads: int) -> tf.Tensor:
    """Return ``[batch, heads, length, channels / heads]``."""
    batch, length, _ = tf.unstack(tf.shape(x))
    return tf.transpose(tf.reshape(x, [batch, length, heads, x.shape[-1] // heads]), [0, 2, 1, 3])
