"""Values for a tensor that fit what the graph does with them."""

from typing import Any, Final

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from job.engine.graph import Edge, NodeDef, attribute
from job.engine.samples.domains import index_bound, reached, tables_read
from job.engine.samples.encoded import DECODERS, encoded
from job.engine.samples.examples import PARSERS, ExampleWriter
from job.engine.samples.vocabulary import words_of
from job.engine.source_graph import SourceGraph

Array = NDArray[Any]

LENGTH_USES: Final = (("ReverseSequence", 1), ("GreaterEqual", 1), ("Less", 1))
"""What compares a vector of lengths with the step, as ``dynamic_rnn`` and ``sequence_mask`` do."""

LONG_WORDS: Final = (b"abcdefghij", b"klmnopqrstuvwxyz")
"""Words that can be cut."""

SPLITTERS: Final = ("StringSplit", "StringSplitV2")
TEXT_OPS: Final = (*PARSERS, *DECODERS, *SPLITTERS)
TEXT_OPS_MORE: Final = ("StringToNumber", "DecodeRaw", "DecodePaddedRaw", "DecodeCSV", "DecodeBase64", "ParseTensor")


class Values:
    """Makes the values of one sample.

    `kind` is how floats are spread; `is_cautious` keeps to what nearly every op takes: floats
    between 0.1 and 0.9, integers 0 and 1, every feature with one value, images of one size.
    """

    def __init__(self, source: SourceGraph, seed: list[int], kind: str, *, side: int, is_cautious: bool) -> None:
        self.rng, self.is_cautious = np.random.default_rng(seed), is_cautious
        self._source, self._graph, self._kind, self._side = source, source.graph, kind, side

    def of(self, edge: Edge, dtype: tf.DType, shape: tuple[int, ...], length: int = 8) -> Array:
        """Return an array for a tensor; integers that count steps are at most `length`."""
        if dtype == tf.string:
            return np.array([*self.strings(edge, int(np.prod(shape))), None], object)[:-1].reshape(shape)
        if dtype.is_bool:
            return self.rng.random(shape) < 0.5
        if dtype.is_integer:
            return self._integers(edge, dtype, shape, length)
        return self._floats(shape).astype(dtype.as_numpy_dtype)

    def strings(self, edge: Edge, count: int) -> list[bytes]:
        """Return strings: examples, encoded files, numbers or words, as the ops want them that they reach."""
        node = self._reader(edge)
        if node is None:
            return [bytes(word) for word in self.rng.choice(self._words(edge), count)]
        if node.op in DECODERS:
            sides = [self._side] * count if self.is_cautious else [self._side, self._side + 16] * count
            return [encoded(self.rng, node, 1, side)[0] for side in sides[:count]]
        if node.op in SPLITTERS:
            return [self._joined(node) for _ in range(count)]
        if node.op in PARSERS:
            writer = ExampleWriter(make=self._listed, rng=self.rng, varied=not self.is_cautious)
            return writer.write(self._graph, node.name, count)
        return [self._text(node) for _ in range(count)]

    def _integers(self, edge: Edge, dtype: tf.DType, shape: tuple[int, ...], length: int) -> Array:
        bound = index_bound(self._source, edge)
        if not bound and dtype == tf.uint8:
            return self.rng.integers(0, 256, shape, dtype=np.uint8)
        if not bound and not shape:
            return np.asarray(length, dtype.as_numpy_dtype)
        if not bound and len(shape) == 1 and self._are_lengths(edge):
            return self.rng.integers(1, length + 1, shape).astype(dtype.as_numpy_dtype)
        return self.rng.integers(0, bound or (2 if self.is_cautious else 10), shape).astype(dtype.as_numpy_dtype)

    def _are_lengths(self, edge: Edge) -> bool:
        uses = {(self._graph.nodes[name].op, index) for name, index in reached(self._graph, edge)}
        return bool(uses & set(LENGTH_USES)) or "len" in edge.node.rpartition("/")[2].lower()

    def _floats(self, shape: tuple[int, ...]) -> Array:
        if self.is_cautious:
            return np.asarray(self.rng.uniform(0.1, 0.9, shape))
        if self._kind == "normal":
            return np.asarray(self.rng.normal(size=shape))
        if self._kind == "uniform":
            return np.asarray(self.rng.random(shape))
        return np.asarray(self.rng.choice([-3.0, 0.0, 1.0, 3.0], shape))

    def _words(self, edge: Edge) -> Array:
        words = words_of(self._source, tables_read(self._graph, edge))
        return np.array([*(word for word in words if word), *LONG_WORDS] if self.is_cautious else words, object)

    def _reader(self, edge: Edge) -> NodeDef | None:
        """Return the op that gives a string its meaning; through functions and branches where need be."""
        direct = [self._graph.nodes[name] for name, index in reached(self._graph, edge) if index == 0]
        found = next((node for node in direct if node.op in (*TEXT_OPS, *TEXT_OPS_MORE)), None)
        if found is None and not tables_read(self._graph, edge):
            further = [self._graph.nodes[name] for name in self._graph.descendants([edge])]
            found = next((node for ops in (PARSERS, DECODERS) for node in further if node.op in ops), None)
        return found

    def _listed(self, edge: Edge, dtype: tf.DType, count: int) -> list[Any]:
        values: list[Any] = self.of(edge, dtype, (count,)).tolist()
        return values

    def _joined(self, node: NodeDef) -> bytes:
        """Return some words with the delimiter that an op splits at."""
        try:
            delimiter = bytes(self._graph.const(self._graph.inputs(node.name)[1]).item())
        except KeyError:  # computed
            delimiter = b" "
        words = self.strings(Edge(node.name, 1), 3)
        return (delimiter[:1] or b" ").join(words)

    def _text(self, node: NodeDef) -> bytes:
        if node.op == "StringToNumber":
            return _number(self.rng, tf.as_dtype(attribute(node, "out_type").type))
        if node.op == "DecodeCSV":
            fields = [tf.as_dtype(code) for code in node.attr["OUT_TYPE"].list.type]
            written = [self._field(Edge(node.name, place), dtype) for place, dtype in enumerate(fields)]
            return bytes(attribute(node, "field_delim").s).join(written)
        if node.op == "DecodeBase64":
            return bytes(tf.io.encode_base64(self.strings(Edge(node.name, 0), 1)[0]).numpy())
        dtype = tf.as_dtype(attribute(node, "out_type").type)
        made = self.of(Edge(node.name, 0), dtype, (self._elements(node),))
        return bytes(tf.io.serialize_tensor(made).numpy()) if node.op == "ParseTensor" else made.tobytes()

    def _field(self, edge: Edge, dtype: tf.DType) -> bytes:
        (value,) = self._listed(edge, dtype, 1)
        return value if isinstance(value, bytes) else str(value).encode()

    def _elements(self, node: NodeDef) -> int:
        """Return how many numbers bytes hold: as many as they are reshaped to, or a square image's."""
        for name, index in reached(self._graph, Edge(node.name, 0)):
            if self._graph.nodes[name].op == "Reshape" and index == 0:
                try:
                    target = self._graph.const(self._graph.inputs(name)[1])
                except KeyError:
                    continue
                return int(np.prod([size for size in np.ravel(target) if size > 0]))
        return self._side * self._side


def _number(rng: np.random.Generator, dtype: tf.DType) -> bytes:
    return f"{rng.normal():.6g}".encode() if dtype.is_floating else str(rng.integers(0, 10)).encode()
