"""The backend that builds a Keras 3 model, of what Keras itself has: it loads where nothing of this package is."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal, TypeAlias

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from job.engine.architectures.catalogue import Catalogue, Weights
from job.engine.architectures.layers import Attention, Layers, Outputs, Window

Array = NDArray[Any]
Tensor: TypeAlias = keras.KerasTensor

NHWC: Final = "channels_last"
"""Said to every layer, since a user's keras.json may say otherwise."""

ATTRIBUTES: Final = {"mean": "moving_mean", "variance": "moving_variance", "table": "embeddings"}
"""What Keras' layers call a weight, where they do not call it by its role."""


class KerasLayers(Layers[Tensor]):
    """Symbolic tensors; `values` are the checkpoint's, by name, and `momentum` is that of every batch norm.

    Layers with weights are called by their paths, ``group1_block2_conv3``, those without by what they
    come after, ``group1_block2_conv3_norm_relu``; what is an op to Keras numbers itself.
    """

    def __init__(self, catalogue: Catalogue, values: Mapping[str, Array], *, momentum: float) -> None:
        super().__init__(catalogue)
        self.inputs = dict[str, Tensor]()
        self._values = values
        self._momentum = momentum
        self._tables = dict[str, keras.layers.Embedding]()
        self._names = Counter[str]()

    def model(self, outputs: Outputs[Tensor], name: str) -> keras.Model:
        """Return the model; several inputs or outputs are dictionaries by the signature's keys, one is a tensor."""
        return keras.Model(_lone(self.inputs), _lone(outputs), name=name)

    def images(self, shape: Sequence[int | None]) -> Tensor:
        """Return the input ``images``."""
        return self._input("images", shape, "float32")

    def relu(self, x: Tensor, *, limit: float | None = None) -> Tensor:
        """Return a `ReLU`."""
        return keras.layers.ReLU(limit, name=self._after(x, "relu"))(x)

    def add(self, x: Tensor, y: Tensor) -> Tensor:
        """Return an `Add`, called after the second: what a block adds to its shortcut."""
        return keras.layers.Add(name=self._after(y, "add"))([x, y])

    def concat(self, xs: Sequence[Tensor]) -> Tensor:
        """Return a `Concatenate`."""
        return keras.layers.Concatenate(name=self._after(xs[0], "concat"))(list(xs))

    def pad(self, x: Tensor, before: int, after: int) -> Tensor:
        """Return a `ZeroPadding2D`."""
        around = (before, after)
        return keras.layers.ZeroPadding2D((around, around), data_format=NHWC, name=self._after(x, "pad"))(x)

    def max_pool(self, x: Tensor, window: Window) -> Tensor:
        """Return a `MaxPooling2D`."""
        name = self._after(x, "max_pool")
        return keras.layers.MaxPooling2D(*window, data_format=NHWC, name=name)(x)

    def mean_pool(self, x: Tensor, window: Window) -> Tensor:
        """Return an `AveragePooling2D`, which leaves padding out in TensorFlow."""
        name = self._after(x, "mean_pool")
        return keras.layers.AveragePooling2D(*window, data_format=NHWC, name=name)(x)

    def mean(self, x: Tensor) -> Tensor:
        """Return a `GlobalAveragePooling2D`."""
        return keras.layers.GlobalAveragePooling2D(data_format=NHWC, name=self._after(x, "mean"))(x)

    def crop(self, x: Tensor, size: int) -> Tensor:
        """Return a slice."""
        return x[:, :size, :size]

    def softmax(self, x: Tensor) -> Tensor:
        """Return a `Softmax`."""
        return keras.layers.Softmax(name=self._after(x, "softmax"))(x)

    def tokens(self, key: str) -> Tensor:
        """Return an input of int32."""
        return self._input(key, [None], "int32")

    def gelu(self, x: Tensor, *, by: Literal["tanh", "erf"]) -> Tensor:
        """Return the op, since the activation ``gelu`` of Keras is not the approximation."""
        return ops.gelu(x, approximate=by == "tanh")

    def tanh(self, x: Tensor) -> Tensor:
        """Return an `Activation`."""
        return keras.layers.Activation("tanh", name=self._after(x, "tanh"))(x)

    def channel(self, x: Tensor, number: int) -> Tensor:
        """Return the op `take` at a number."""
        return ops.take(x, number, axis=-1)

    def first(self, x: Tensor) -> Tensor:
        """Return the op `take` at 0."""
        return ops.take(x, 0, axis=1)

    def channels(self, x: Tensor) -> int | None:
        """Return the static size of the last dimension."""
        size: int | None = x.shape[-1]
        return size

    def _conv(self, x: Tensor, path: str, weights: Weights, window: Window) -> Tensor:
        layer = keras.layers.Conv2D(
            weights["kernel"].shape[-1], *window, data_format=NHWC, use_bias="bias" in weights, name=_name(path)
        )
        return self._filled(layer, x, weights)

    def _depthwise(self, x: Tensor, path: str, weights: Weights, window: Window) -> Tensor:
        layer = keras.layers.DepthwiseConv2D(*window, data_format=NHWC, use_bias=False, name=_name(path))
        return self._filled(layer, x, weights)

    def _norm(self, x: Tensor, path: str, weights: Weights, epsilon: float) -> Tensor:
        layer = keras.layers.BatchNormalization(
            momentum=self._momentum, epsilon=epsilon, scale="gamma" in weights, name=_name(path)
        )
        return self._filled(layer, x, weights)

    def _dense(self, x: Tensor, path: str, weights: Weights) -> Tensor:
        return self._filled(keras.layers.Dense(weights["kernel"].shape[-1], name=_name(path)), x, weights)

    def _project(self, x: Tensor, path: str, weights: Weights) -> Tensor:
        layer = keras.layers.Dense(weights["kernel"].shape[0], name=_name(path))
        return self._filled(layer, x, weights, transposed=True)

    def _embed(self, ids: Tensor, path: str, weights: Weights) -> Tensor:
        self._tables[path] = keras.layers.Embedding(*weights["table"].shape, name=_name(path))
        return self._filled(self._tables[path], ids, weights)

    def _add_positions(self, x: Tensor, path: str, weights: Weights) -> Tensor:
        """Embed the places 0, 1, 2 …, which are counted from the ids, since Keras has no range of a free length."""
        places = ops.cumsum(ops.ones_like(self._ids), axis=1) - 1
        layer = keras.layers.Embedding(*weights["table"].shape, name=_name(path))
        return self.add(x, self._filled(layer, places, weights))

    def _score(self, x: Tensor, path: str, weights: Weights, table: str) -> Tensor:
        """Multiply by all rows of the embedding, so that the two stay one weight; the bias is a table of one row."""
        nought = ops.zeros_like(self._ids[:1, :1])
        count = weights["bias"].shape[0]
        each = ops.cumsum(ops.pad(nought, ((0, 0), (0, count - 1)), constant_values=1), axis=1)
        scores = ops.einsum("blc,orc->blr", x, self._tables[table](each))
        bias = keras.layers.Embedding(1, count, name=_name(f"{path}/bias"))
        return scores + self._filled(bias, nought, {"table": weights["bias"]})

    def _layer_norm(self, x: Tensor, path: str, weights: Weights, epsilon: float) -> Tensor:
        return self._filled(keras.layers.LayerNormalization(epsilon=epsilon, name=_name(path)), x, weights)

    def _attend(self, attention: Attention[Tensor], mask: Tensor, path: str, heads: int) -> Tensor:
        """Compute BERT's own attention: that of Keras leaves out what is masked, even where all is."""
        width = attention.query.shape[-1] // heads
        query, key, value = (
            keras.layers.Reshape((-1, heads, width), name=self._after(x, "heads"))(x)
            for x in (attention.query, attention.key, attention.value)
        )
        scores = ops.einsum("bqhc,bkhc->bhqk", query, key) * (1.0 / math.sqrt(width))
        masked = keras.layers.Rescaling(10000.0, -10000.0, name=_name(f"{path}/mask"))(mask)
        masked = keras.layers.Reshape((1, 1, -1), name=_name(f"{path}/mask_by_head"))(masked)
        shares = keras.layers.Softmax(name=_name(f"{path}/shares"))(scores + masked)
        mixed = ops.einsum("bhqk,bkhc->bqhc", shares, value)
        return keras.layers.Reshape((-1, heads * width), name=_name(path))(mixed)

    @property
    def _ids(self) -> Tensor:
        """Return the first input, ``[batch, length]``."""
        return next(iter(self.inputs.values()))

    def _input(self, key: str, shape: Sequence[int | None], dtype: str) -> Tensor:
        self.inputs[key] = keras.Input(tuple(shape), dtype=dtype, name=key)
        return self.inputs[key]

    def _filled(self, layer: keras.Layer, x: Tensor, weights: Weights, *, transposed: bool = False) -> Tensor:
        """Call a layer, which makes its weights, and give it the checkpoint's; a dense kernel may be a 1x1 one's."""
        y = layer(x)
        for role, tensor in weights.items():
            value = self._values[tensor.name].astype(np.float32, copy=False)
            variable = getattr(layer, ATTRIBUTES.get(role, role))
            variable.assign(np.reshape(value.T if transposed else value, variable.shape))
        return y

    def _after(self, x: Tensor, word: str) -> str:
        """Return a layer's name by what it comes after, numbered from the second of a name."""
        name = f"{x._keras_history.operation.name}_{word}"  # noqa: SLF001 - no public way leads from a tensor to its layer
        self._names[name] += 1
        return name if self._names[name] == 1 else f"{name}_{self._names[name]}"


def _name(path: str) -> str:
    """Return a path as a layer's name, in which Keras takes no slash."""
    return path.replace("/", "_")


def _lone(tensors: Mapping[str, Tensor]) -> Any:
    return dict(tensors) if len(tensors) > 1 else next(iter(tensors.values()))
