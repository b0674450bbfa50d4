"""The backend that makes nothing: walking an architecture by it lists the weights that it wants."""

from collections.abc import Sequence
from typing import Literal

from job.engine.architectures.catalogue import Weights
from job.engine.architectures.layers import Attention, Layers, Window

Channels = int | None


class Outline(Layers[Channels]):
    """Tensors are their number of channels, ``None`` where that is not known."""

    def images(self, shape: Sequence[int | None]) -> Channels:
        """Return the channels of the model's input."""
        return shape[-1]

    def relu(self, x: Channels, *, limit: float | None = None) -> Channels:
        """Return the same channels."""
        return x

    def add(self, x: Channels, y: Channels) -> Channels:
        """Return the channels of both."""
        return x if y is None else y

    def concat(self, xs: Sequence[Channels]) -> Channels:
        """Return all channels together."""
        known = [x for x in xs if x is not None]
        return sum(known) if len(known) == len(xs) else None

    def pad(self, x: Channels, before: int, after: int) -> Channels:
        """Return the same channels."""
        return x

    def max_pool(self, x: Channels, window: Window) -> Channels:
        """Return the same channels."""
        return x

    def mean_pool(self, x: Channels, window: Window) -> Channels:
        """Return the same channels."""
        return x

    def mean(self, x: Channels) -> Channels:
        """Return the same channels."""
        return x

    def crop(self, x: Channels, size: int) -> Channels:
        """Return the same channels."""
        return x

    def softmax(self, x: Channels) -> Channels:
        """Return the same channels."""
        return x

    def tokens(self, key: str) -> Channels:
        """Return nothing known: ids have no channels."""
        return None

    def gelu(self, x: Channels, *, by: Literal["tanh", "erf"]) -> Channels:
        """Return the same channels."""
        return x

    def tanh(self, x: Channels) -> Channels:
        """Return the same channels."""
        return x

    def channel(self, x: Channels, number: int) -> Channels:
        """Return nothing known: what is left has no channels."""
        return None

    def first(self, x: Channels) -> Channels:
        """Return the same channels."""
        return x

    def channels(self, x: Channels) -> Channels:
        """Return the channels themselves."""
        return x

    def _conv(self, x: Channels, path: str, weights: Weights, window: Window) -> Channels:
        return weights["kernel"].shape[-1] or None

    def _depthwise(self, x: Channels, path: str, weights: Weights, window: Window) -> Channels:
        return x

    def _norm(self, x: Channels, path: str, weights: Weights, epsilon: float) -> Channels:
        return x

    def _dense(self, x: Channels, path: str, weights: Weights) -> Channels:
        return weights["kernel"].shape[-1] or None

    def _project(self, x: Channels, path: str, weights: Weights) -> Channels:
        return weights["kernel"].shape[0] or None

    def _embed(self, ids: Channels, path: str, weights: Weights) -> Channels:
        return weights["table"].shape[-1] or None

    def _add_positions(self, x: Channels, path: str, weights: Weights) -> Channels:
        return x

    def _score(self, x: Channels, path: str, weights: Weights, table: str) -> Channels:
        return weights["bias"].shape[-1] or None

    def _layer_norm(self, x: Channels, path: str, weights: Weights, epsilon: float) -> Channels:
        return x

    def _attend(self, attention: Attention[Channels], mask: Channels, path: str, heads: int) -> Channels:
        return attention.value
