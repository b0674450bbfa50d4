"""The backend that builds a Keras 3 model, of Keras' own layers alone: it loads where nothing of this package is."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

import keras
import numpy as np
from numpy.typing import NDArray

from job.engine.architectures.catalogue import Catalogue, Weights
from job.engine.architectures.layers import Layers, Outputs, Window

Array = NDArray[Any]
Tensor = keras.KerasTensor

ATTRIBUTES: Final = {"mean": "moving_mean", "variance": "moving_variance"}
"""What Keras' layers call a weight, where they do not call it by its role."""


class KerasLayers(Layers[Tensor]):
    """Symbolic tensors; `values` are the checkpoint's, by name, and `momentum` is that of every batch norm.

    Layers with weights are called by their paths, ``group1_block2_conv3``, and those without by what they
    come after, ``group1_block2_conv3_norm_relu``.
    """

    def __init__(self, catalogue: Catalogue, values: Mapping[str, Array], *, momentum: float) -> None:
        super().__init__(catalogue)
        self.inputs = dict[str, Tensor]()
        self._values = values
        self._momentum = momentum
        self._names = Counter[str]()

    def model(self, outputs: Outputs[Tensor], name: str) -> keras.Model:
        """Return the model; several inputs or outputs are dictionaries by the signature's keys, one is a tensor."""
        return keras.Model(_only(self.inputs), _only(outputs), name=name)

    def images(self, shape: Sequence[int | None]) -> Tensor:
        """Return the input ``images``."""
        self.inputs["images"] = keras.Input(shape, name="images", dtype="float32")
        return self.inputs["images"]

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
        return keras.layers.ZeroPadding2D((around, around), name=self._after(x, "pad"), **_NHWC)(x)

    def max_pool(self, x: Tensor, window: Window) -> Tensor:
        """Return a `MaxPooling2D`."""
        name = self._after(x, "max_pool")
        return keras.layers.MaxPooling2D(window.size, window.stride, window.padding, name=name, **_NHWC)(x)

    def mean_pool(self, x: Tensor, window: Window) -> Tensor:
        """Return an `AveragePooling2D`, which leaves padding out in TensorFlow."""
        name = self._after(x, "mean_pool")
        return keras.layers.AveragePooling2D(window.size, window.stride, window.padding, name=name, **_NHWC)(x)

    def mean(self, x: Tensor) -> Tensor:
        """Return a `GlobalAveragePooling2D`."""
        return keras.layers.GlobalAveragePooling2D(name=self._after(x, "mean"), **_NHWC)(x)

    def softmax(self, x: Tensor) -> Tensor:
        """Return a `Softmax`."""
        return keras.layers.Softmax(name=self._after(x, "softmax"))(x)

    def channels(self, x: Tensor) -> int | None:
        """Return the static size of the last dimension."""
        size: int | None = x.shape[-1]
        return size

    def _conv(self, x: Tensor, path: str, weights: Weights, window: Window) -> Tensor:
        channels = weights["kernel"].shape[-1]
        layer = keras.layers.Conv2D(
            channels, window.size, window.stride, window.padding, use_bias="bias" in weights, name=_name(path), **_NHWC
        )
        return self._filled(layer, x, weights)

    def _depthwise(self, x: Tensor, path: str, weights: Weights, window: Window) -> Tensor:
        layer = keras.layers.DepthwiseConv2D(
            window.size, window.stride, window.padding, use_bias=False, name=_name(path), **_NHWC
        )
        return self._filled(layer, x, weights)

    def _norm(self, x: Tensor, path: str, weights: Weights, epsilon: float) -> Tensor:
        layer = keras.layers.BatchNormalization(
            momentum=self._momentum, epsilon=epsilon, scale="gamma" in weights, name=_name(path)
        )
        return self._filled(layer, x, weights)

    def _dense(self, x: Tensor, path: str, weights: Weights) -> Tensor:
        return self._filled(keras.layers.Dense(weights["kernel"].shape[-1], name=_name(path)), x, weights)

    def _filled(self, layer: keras.Layer, x: Tensor, weights: Weights) -> Tensor:
        """Call a layer, which makes its weights, and give it the checkpoint's; a 1x1 kernel may be a dense one's."""
        y = layer(x)
        for role, tensor in weights.items():
            variable = getattr(layer, ATTRIBUTES.get(role, role))
            variable.assign(np.reshape(self._values[tensor.name], variable.shape))
        return y

    def _after(self, x: Tensor, word: str) -> str:
        """Return a layer's name by what it comes after, numbered from the second of a name."""
        name = f"{x._keras_history.operation.name}_{word}"  # noqa: SLF001 - no public way leads from a tensor to its layer
        self._names[name] += 1
        count = self._names[name]
        return name if count == 1 else f"{name}_{count}"


_NHWC: Final = {"data_format": "channels_last"}
"""Whatever a user's keras.json says."""


def _name(path: str) -> str:
    """Return a path as a layer's name, in which Keras takes no slash."""
    return path.replace("/", "_")


def _only(tensors: Mapping[str, Tensor]) -> Any:
    return dict(tensors) if len(tensors) > 1 else next(iter(tensors.values()))
