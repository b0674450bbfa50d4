"""What frameworks call a layer's tensors."""

from collections import Counter
from collections.abc import Mapping
from typing import Final

from job.engine.architectures.catalogue import Kind

SLIM: Final = {
    "conv": {"kernel": "weights", "bias": "biases"},
    "dense": {"kernel": "weights", "bias": "biases"},
    "depthwise": {"kernel": "depthwise_weights"},
    "norm": {"gamma": "gamma", "beta": "beta", "mean": "moving_mean", "variance": "moving_variance"},
}
"""``tf.contrib.layers``, and slim with it."""

LAYERS: Final = {
    "conv": {"kernel": "kernel", "bias": "bias"},
    "dense": {"kernel": "kernel", "bias": "bias"},
    "norm": SLIM["norm"],
}
"""``tf.layers`` and Keras."""


def under(scope: str, words: Mapping[str, str]) -> dict[str, str]:
    """Return a layer's names by role, below the layer's own name."""
    return {role: f"{scope}/{word}" for role, word in words.items()}


class Numbered:
    """Names as ``tf.layers`` gives them: ``conv2d``, ``conv2d_1``, in the order in which the layers were made."""

    def __init__(self, scope: str = "") -> None:
        self._scope = scope
        self._counts = Counter[str]()

    def __call__(self, path: str, kind: Kind) -> dict[str, str]:
        """Return the names of the next layer of a kind, whatever its path."""
        stem = _STEMS[kind]
        count = self._counts[stem]
        self._counts[stem] += 1
        name = f"{stem}_{count}" if count else stem
        return under(self._scope + name, LAYERS[kind])


_STEMS: Final = {
    "conv": "conv2d",
    "norm": "batch_normalization",
    "dense": "dense",
}
