"""The words in which an architecture is written: once, for every backend that speaks them; all in inference.

A backend makes of the same words what it is for: `outline` the list of weights alone, `graph` a TF1
graph, `keras` a Keras 3 model.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, Literal, NamedTuple, TypeVar

from job.engine.architectures.catalogue import Catalogue, Weights

T = TypeVar("T")


class Window(NamedTuple):
    """Which pixels a convolution or a pool takes; ``same`` pads as TensorFlow does, the odd one after."""

    size: tuple[int, int]
    stride: int = 1
    padding: Literal["same", "valid"] = "same"


class Layers(ABC, Generic[T]):
    """Layers of images in NHWC and of texts ``[batch, length, channels]``, named by paths: ``group1/block2/conv3``."""

    def __init__(self, catalogue: Catalogue) -> None:
        self.catalogue = catalogue
        self._rows = dict[str, int]()

    def conv(self, x: T, path: str, window: Window, *, bias: bool = False) -> T:
        """Convolve; how many channels come out, the checkpoint says."""
        return self._conv(x, path, self.catalogue.conv(path, self.channels(x), window.size, bias=bias), window)

    def depthwise(self, x: T, path: str, window: Window) -> T:
        """Convolve every channel by itself."""
        return self._depthwise(x, path, self.catalogue.depthwise(path, self.channels(x), window.size), window)

    def norm(self, x: T, path: str, *, epsilon: float, scale: bool = True) -> T:
        """Normalise by the moving statistics; without `scale` there is no gamma."""
        return self._norm(x, path, self.catalogue.norm(path, self.channels(x), scale=scale), epsilon)

    def dense(self, x: T, path: str) -> T:
        """Multiply the channels by a kernel, which may be stored as a 1x1 convolution's, and add a bias."""
        return self._dense(x, path, self.catalogue.dense(path, self.channels(x)))

    def project(self, x: T, path: str) -> T:
        """Do as `dense` does, with a kernel that is stored transposed: ``[out, in]``."""
        return self._project(x, path, self.catalogue.project(path, self.channels(x)))

    def embed(self, ids: T, path: str) -> T:
        """Take a row of a table ``[count, channels]`` for each id."""
        weights = self.catalogue.table(path, None)
        self._rows[path] = weights["table"].shape[0]
        return self._embed(ids, path, weights)

    def add_positions(self, x: T, path: str) -> T:
        """Add a table's first rows ``[length, channels]`` to texts."""
        return self._add_positions(x, path, self.catalogue.table(path, self.channels(x)))

    def score(self, x: T, path: str, table: str) -> T:
        """Compare texts with each row of the table that was embedded by at the path `table`, and add a bias."""
        return self._score(x, path, self.catalogue.bias(path, self._rows[table] or None), table)

    def layer_norm(self, x: T, path: str, *, epsilon: float) -> T:
        """Normalise the channels by their own mean and variance (Ba et al. 2016)."""
        return self._layer_norm(x, path, self.catalogue.layer_norm(path, self.channels(x)), epsilon)

    def attend(self, x: T, mask: T, path: str, *, heads: int) -> T:
        """Attend from each place of a text to all whose `mask` ``[batch, length]`` is 1 (Vaswani et al. 2017).

        What is masked is 10,000 less likely, in logits, as in BERT.
        """
        query, key, value = (self.dense(x, f"{path}/{name}") for name in ("query", "key", "value"))
        return self._attend(Attention(query, key, value), mask, path, heads)

    @abstractmethod
    def images(self, shape: Sequence[int | None]) -> T:
        """Return the model's input ``[batch, height, width, channels]``, float32; `shape` is without the batch."""

    @abstractmethod
    def relu(self, x: T, *, limit: float | None = None) -> T:
        """Cut off below zero, and above `limit`."""

    @abstractmethod
    def add(self, x: T, y: T) -> T:
        """Add two tensors of one shape."""

    @abstractmethod
    def concat(self, xs: Sequence[T]) -> T:
        """Join along the channels."""

    @abstractmethod
    def pad(self, x: T, before: int, after: int) -> T:
        """Put rows and columns of zeros around images."""

    @abstractmethod
    def max_pool(self, x: T, window: Window) -> T:
        """Take the largest of every window; what is padded never is."""

    @abstractmethod
    def mean_pool(self, x: T, window: Window) -> T:
        """Average every window; what is padded does not count."""

    @abstractmethod
    def mean(self, x: T) -> T:
        """Average over height and width: ``[batch, channels]``."""

    @abstractmethod
    def crop(self, x: T, size: int) -> T:
        """Keep the first `size` rows and columns of images, all of smaller ones."""

    @abstractmethod
    def softmax(self, x: T) -> T:
        """Turn logits into probabilities."""

    @abstractmethod
    def tokens(self, key: str) -> T:
        """Return an input ``[batch, length]``, int32."""

    @abstractmethod
    def gelu(self, x: T, *, by: Literal["tanh", "erf"]) -> T:
        """Return GELU by erf, as it is defined, or by its approximation with tanh (Hendrycks and Gimpel 2016)."""

    @abstractmethod
    def tanh(self, x: T) -> T:
        """Return the hyperbolic tangent."""

    @abstractmethod
    def channel(self, x: T, number: int) -> T:
        """Return one channel of texts: ``[batch, length]``."""

    @abstractmethod
    def first(self, x: T) -> T:
        """Return the first place of each text: ``[batch, channels]``."""

    @abstractmethod
    def channels(self, x: T) -> int | None:
        """Return the size of the last dimension; ``None`` where only a missing tensor could say it."""

    @abstractmethod
    def _conv(self, x: T, path: str, weights: Weights, window: Window) -> T: ...

    @abstractmethod
    def _depthwise(self, x: T, path: str, weights: Weights, window: Window) -> T: ...

    @abstractmethod
    def _norm(self, x: T, path: str, weights: Weights, epsilon: float) -> T: ...

    @abstractmethod
    def _dense(self, x: T, path: str, weights: Weights) -> T: ...

    @abstractmethod
    def _project(self, x: T, path: str, weights: Weights) -> T: ...

    @abstractmethod
    def _embed(self, ids: T, path: str, weights: Weights) -> T: ...

    @abstractmethod
    def _add_positions(self, x: T, path: str, weights: Weights) -> T: ...

    @abstractmethod
    def _score(self, x: T, path: str, weights: Weights, table: str) -> T: ...

    @abstractmethod
    def _layer_norm(self, x: T, path: str, weights: Weights, epsilon: float) -> T: ...

    @abstractmethod
    def _attend(self, attention: "Attention[T]", mask: T, path: str, heads: int) -> T: ...


@dataclass(frozen=True)
class Attention(Generic[T]):
    """Query, key and value, each ``[batch, length, channels]``, all heads side by side."""

    query: T
    key: T
    value: T


Outputs = Mapping[str, T]
"""What a model answers, by the keys of its signature."""
