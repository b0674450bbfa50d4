"""What the networks of slim (``tensorflow/models``, research/slim/nets) have in common: names, batch norm, heads."""

from collections.abc import Mapping
from typing import Final

from job.engine.architectures.catalogue import Kind, Naming
from job.engine.architectures.inventory import Inventory
from job.engine.architectures.layers import Layers, Outputs, T, Window
from job.engine.architectures.naming import SLIM, under

EPSILON: Final = 1e-3
"""Batch norm's, where slim does not say otherwise: the default of ``tf.contrib.layers.batch_norm``."""

ORIGIN: Final = "tensorflow/models, research/slim/nets/"

LOGITS: Final = "Logits/Conv2d_1c_1x1"
"""The layer of the classes in MobileNets and Inceptions."""


def names(scope: str) -> Naming:
    """Name layers by their paths."""

    def named(path: str, kind: Kind) -> Mapping[str, str]:
        return under(f"{scope}/{path}", SLIM[kind])

    return named


def conv(layers: Layers[T], x: T, path: str, window: Window, *, scale: bool = True) -> T:
    """Convolve without a bias, and normalise."""
    x = layers.conv(x, path, window)
    return layers.norm(x, f"{path}/BatchNorm", epsilon=EPSILON, scale=scale)


def answers(layers: Layers[T], x: T, head: str) -> Outputs[T]:
    """Return ``logits`` and ``probabilities`` of features ``[batch, channels]``, or these where there is no head."""
    if not head:
        return {"features": x}
    logits = layers.dense(x, head)
    return {"logits": logits, "probabilities": layers.softmax(logits)}


def head_in(inventory: Inventory, scope: str, head: str = LOGITS) -> str:
    """Return the head's path, or nothing where the checkpoint has none."""
    return head if f"{scope}/{head}/weights" in inventory.weights else ""
