"""Which stored array is which weight: every array is used once, every weight gets one, shapes and names agree."""

from collections.abc import Iterator, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from tf_keras.src.saving.legacy.hdf5_format import preprocess_weights_for_loading

from job.engine.keras.hdf5 import StoredModel, read
from job.errors import BadInput

Array = NDArray[Any]
Stored = dict[str, Any]
"""Datasets by weight name."""

REMEDY: Final = "the weights belong to another model: save model and weights together by model.save()"
FLIPPED: Final = ("Conv1D", "Conv2D", "Conv3D", "Conv2DTranspose", "Conv3DTranspose", "ConvLSTM2D")
"""Theano convolves where TensorFlow correlates: the kernels' spatial axes run the other way."""


def paired(model: Any, stored: StoredModel) -> list[tuple[Any, Array]]:
    """Return every weight of a model with its value.

    Layers are paired by name, arrays by their order, which their names must bear out. Raises `BadInput`
    naming what is missing, left over or of another shape.
    """
    groups = {name: weights for name, weights in stored.layers.items() if weights}
    pairs = list(_layers(list(model.layers), groups))
    unused = [f"{name}/{weight}" for name in groups for weight in groups[name]]
    if unused:
        raise BadInput(
            f"{len(unused)} stored weights belong to no layer of the model: {', '.join(unused[:3])}", remedy=REMEDY
        )
    found = [pair for layer, weights in pairs for pair in _of_layer(layer, weights, stored)]
    without = [weight.name for weight in model.weights if not any(weight is one for one, _ in found)]
    if without:
        raise BadInput(f"{len(without)} weights have no stored value: {', '.join(without[:3])}", remedy=REMEDY)
    return found


def _layers(layers: Sequence[Any], groups: dict[str, Stored]) -> Iterator[tuple[Any, Stored]]:
    """Yield layers with their groups, which are taken out of `groups`.

    A nested model whose configuration has no name (before Keras 2.2.3) goes by its place, and in Keras 1
    its layers may be stored in its stead.
    """
    weighted = [layer for layer in layers if layer.weights]
    nameless = [layer for layer in weighted if layer.name not in groups and hasattr(layer, "layers")]
    named = {layer.name for layer in weighted}
    spare = [name for name in groups if name not in named]
    for layer in weighted:
        if layer.name in groups:
            yield layer, groups.pop(layer.name)
        elif layer in nameless and any(inner.name in groups for inner in _all_layers(layer)):
            yield from _layers(layer.layers, groups)
        elif layer in nameless and len(spare) == len(nameless):
            yield layer, groups.pop(spare[nameless.index(layer)])
        else:
            raise BadInput(f"no weights are stored for layer {layer.name}", remedy=REMEDY)


def _all_layers(layer: Any) -> Iterator[Any]:
    for inner in layer.layers:
        yield inner
        if hasattr(inner, "layers"):
            yield from _all_layers(inner)


def _of_layer(layer: Any, weights: Stored, stored: StoredModel) -> list[tuple[Any, Array]]:
    wanted = [*layer.trainable_weights, *layer.non_trainable_weights]
    names = _ordered(wanted, list(weights))
    major = "1" if stored.keras_version.startswith(("0", "1")) else stored.keras_version
    try:
        arrays = preprocess_weights_for_loading(
            layer, [read(weights[name]) for name in names], original_keras_version=major
        )
    except (ValueError, IndexError, AssertionError) as error:
        raise BadInput(f"the weights of layer {layer.name} have no known layout: {error}", remedy=REMEDY) from error
    if len(arrays) != len(wanted):
        raise BadInput(f"layer {layer.name} has {len(wanted)} weights and the file holds {len(arrays)}", remedy=REMEDY)
    shown = names if len(names) == len(wanted) else [weight.name for weight in wanted]
    for weight, array, name in zip(wanted, arrays, shown, strict=True):
        if tuple(weight.shape) != array.shape:
            raise BadInput(
                f"{name} is stored with shape {list(array.shape)}, the layer's is {list(weight.shape)}",
                where=layer.name,
                remedy=REMEDY,
            )
    if stored.backend == "theano":
        arrays = list(_flipped(layer, wanted, arrays))
    return list(zip(wanted, arrays, strict=True))


def _ordered(wanted: Sequence[Any], names: list[str]) -> list[str]:
    """Return the stored names in the order of the weights.

    Where layer and weight tell them apart their names decide: the order changes when inner layers are frozen or
    thawed. Else it is the order in which they were stored, which their names must bear out.
    """
    owners, stored = [_owner(weight.name) for weight in wanted], {_owner(name): name for name in names}
    if len(stored) == len(names) == len(wanted) and set(owners) == stored.keys():
        return [stored[owner] for owner in owners]
    ours, theirs = [_tail(weight.name) for weight in wanted], [_tail(name) for name in names]
    if ours == theirs or sorted(ours) != sorted(theirs):
        return names
    raise BadInput(f"the stored weights {', '.join(names[:4])} … are in an unknown order", remedy=REMEDY)


def _tail(name: str) -> str:
    """Return what a weight is to its layer: ``kernel``, ``bias``."""
    return name.split(":", maxsplit=1)[0].rsplit("/", 1)[-1]


def _owner(name: str) -> tuple[str, ...]:
    return tuple(name.split(":", maxsplit=1)[0].split("/")[-2:])


def _flipped(layer: Any, wanted: Sequence[Any], arrays: Sequence[Array]) -> Iterator[Array]:
    """Turn the kernels of convolutions round."""
    kernels = {id(one.kernel) for one in (layer, *_inner(layer)) if type(one).__name__ in FLIPPED}
    for weight, array in zip(wanted, arrays, strict=True):
        yield np.flip(array, tuple(range(array.ndim - 2))) if id(weight) in kernels else array


def _inner(layer: Any) -> Iterator[Any]:
    if hasattr(layer, "layer"):
        yield layer.layer
    if hasattr(layer, "layers"):
        yield from _all_layers(layer)
