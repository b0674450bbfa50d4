"""Inputs to compare on: recorded ones where the user has them, else made to fit the graph."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from job.engine.examples import encoded_images, serialized_examples
from job.engine.graph import Graph, edge_of
from job.engine.source_graph import SourceGraph
from job.engine.vocabulary import words_of
from job.errors import UsageError
from job.records import Signature, TensorSpec

Array = NDArray[Any]

BATCHES: Final = (4, 1, 3)
"""Batch sizes of the samples: a batch, one alone, and an odd number."""

SPATIAL_SIZES: Final = (64, 65, 224, 299, 32, 28, 128)
"""Tried for free height and width, even and odd: an odd size hides padding errors (finding 7)."""

LENGTHS: Final = (8, 5, 16, 1)
"""Tried for every other free dimension."""

INDEX_OPS: Final = (
    "Gather",
    "GatherV2",
    "ResourceGather",
    "SparseSegmentMean",
    "SparseSegmentSum",
    "SparseSegmentSqrtN",
)
PASSING_OPS: Final = (
    "Identity",
    "Cast",
    "Reshape",
    "ExpandDims",
    "Squeeze",
    "Transpose",
    "Unique",
    "StridedSlice",
    "Slice",
    "Enter",
    "Switch",
)
DECODERS: Final = ("DecodeJpeg", "DecodePng", "DecodeImage", "DecodeBmp", "DecodeGif", "DecodeAndCropJpeg")
PARSERS: Final = ("ParseExample", "ParseExampleV2", "ParseSingleExample")


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One batch for a signature: `feeds` in the order of its inputs."""

    name: str
    feeds: tuple[Array, ...]


def recorded(path: str, signature: Signature) -> Sample:
    """Return the user's inputs from an ``.npz`` whose keys are argument or tensor names.

    Raises `UsageError` naming the inputs that are missing and the keys that there are.
    """
    try:
        with np.load(path, allow_pickle=False) as arrays:
            held = {name: arrays[name] for name in arrays.files}
    except (OSError, ValueError) as error:
        raise UsageError(
            f"the recorded samples cannot be read: {error}", remedy="write them by numpy.savez, without objects"
        ) from error
    feeds = [_held(held, signature, spec) for spec in signature.inputs]
    return Sample(name="recorded", feeds=tuple(feeds))


def _held(held: Mapping[str, Array], signature: Signature, spec: TensorSpec) -> Array:
    names = (f"{signature.key}/{spec.key}", spec.key, spec.tensor, spec.tensor.split(":")[0])
    found = next((name for name in names if name in held), "")
    if not found:
        raise UsageError(
            f"the recorded samples have no {spec.key!r}",
            where=f"they have {', '.join(held)}",
            remedy="name arrays as the signature does",
        )
    return held[found]


def candidates(source: SourceGraph, signature: Signature, seed: int) -> Iterator[tuple[Sample, ...]]:
    """Yield groups of samples, likeliest first; in each group the first that the baseline accepts counts.

    Groups are batches, kinds of values and sizes: a model with free dimensions may still take
    only some, and the baseline is who knows.
    """
    maker = _Maker(source, signature)
    for index, (batch, kind) in enumerate(((BATCHES[0], "normal"), (BATCHES[1], "uniform"), (BATCHES[2], "extreme"))):
        yield tuple(
            maker.sample(np.random.default_rng([seed, index, size, length]), kind, batch, size, length)
            for size, length in maker.sizes(index)
        )


class _Maker:
    def __init__(self, source: SourceGraph, signature: Signature) -> None:
        self._graph, self._signature = source.graph, signature
        self._words = words_of(source)
        self._source = source

    def sizes(self, index: int) -> list[tuple[int, int]]:
        """Return (spatial size, length) to try; another first choice for every group."""
        turn = index % 2
        spatial = [SPATIAL_SIZES[turn], *(size for size in SPATIAL_SIZES if size != SPATIAL_SIZES[turn])]
        if not any(None in (spec.shape or (None,))[1:] for spec in self._signature.inputs):
            return [(spatial[0], length) for length in LENGTHS[:1]]
        first = LENGTHS[turn]
        return [(spatial[0], length) for length in (first, *LENGTHS)] + [(size, first) for size in spatial[1:]]

    def sample(self, rng: np.random.Generator, kind: str, batch: int, size: int, length: int) -> Sample:
        """Make one batch; all inputs share batch, size and length."""
        feeds = tuple(self._feed(rng, kind, spec, batch, size, length) for spec in self._signature.inputs)
        shapes = ", ".join(str(list(feed.shape)) for feed in feeds)
        counted = f", length {length}" if any(spec.dtype.startswith("int") for spec in self._signature.inputs) else ""
        return Sample(name=f"{kind} {shapes}{counted}", feeds=feeds)

    def _feed(self, rng: np.random.Generator, kind: str, spec: TensorSpec, batch: int, size: int, length: int) -> Array:  # noqa: PLR0913, PLR0917 - what makes a batch
        sparse = spec.key.rpartition("_")[2] if self._is_sparse(spec) else ""
        if sparse or spec.key.endswith("_dense_shape"):
            return self._sparse(rng, spec, batch)
        shape = concrete(spec, batch, size, length)
        dtype = tf.as_dtype(spec.dtype)
        if dtype == tf.string:
            return self._strings(rng, spec, shape)
        if dtype.is_bool:
            return rng.random(shape) < 0.5
        if dtype.is_integer:
            return self._integers(rng, spec, shape, length)
        return _floats(rng, kind, shape).astype(dtype.as_numpy_dtype)

    def _integers(self, rng: np.random.Generator, spec: TensorSpec, shape: tuple[int, ...], length: int) -> Array:
        dtype = tf.as_dtype(spec.dtype).as_numpy_dtype
        if dtype == np.uint8:
            return rng.integers(0, 256, shape, dtype=np.uint8)
        if not shape:
            return np.asarray(length, dtype)
        if len(shape) == 1 and "len" in spec.key.lower():
            return rng.integers(1, length + 1, shape).astype(dtype)
        return rng.integers(0, self._bound(spec), shape).astype(dtype)

    def _bound(self, spec: TensorSpec) -> int:
        """Return how many rows the smallest table has that the input indexes; 2 where there is none."""
        rows = [_rows(self._graph, self._source, name) for name in _indexing(self._graph, edge_of(spec.tensor).node)]
        return min((count for count in rows if count), default=2)

    def _strings(self, rng: np.random.Generator, spec: TensorSpec, shape: tuple[int, ...]) -> Array:
        reached = [self._graph.nodes[name] for name in self._graph.descendants([edge_of(spec.tensor)])]
        count = int(np.prod(shape))
        parser = next((node for node in reached if node.op in PARSERS), None)
        if parser is not None:
            values = serialized_examples(self._graph, parser.name, self._words, rng, count)
        elif any(node.op in DECODERS for node in reached):
            values = encoded_images(rng, count)
        else:
            split = any(node.op.startswith("StringSplit") for node in reached)
            values = [b" ".join(rng.choice(self._words, 3 if split else 1)) for _ in range(count)]
        return np.array(values, object).reshape(shape)

    def _is_sparse(self, spec: TensorSpec) -> bool:
        base, _, part = spec.key.rpartition("_")
        return part in ("indices", "values") and any(
            other.key == f"{base}_dense_shape" for other in self._signature.inputs
        )

    def _sparse(self, rng: np.random.Generator, spec: TensorSpec, batch: int) -> Array:
        """Return one part of a sparse batch with one entry a row."""
        base = spec.key.removesuffix("_dense_shape").removesuffix("_indices").removesuffix("_values")
        columns = self._columns(next(other for other in self._signature.inputs if other.key == f"{base}_indices"))
        if spec.key.endswith("_dense_shape"):
            return np.array([batch, columns], np.int64)
        if spec.key.endswith("_indices"):
            return np.stack([np.arange(batch), np.arange(batch) % columns], 1).astype(np.int64)
        dtype = tf.as_dtype(spec.dtype)
        return (
            np.array([b"a"] * batch, object)
            if dtype == tf.string
            else rng.normal(size=batch).astype(dtype.as_numpy_dtype)
        )

    def _columns(self, indices: TensorSpec) -> int:
        for name in self._graph.descendants([edge_of(indices.tensor)]):
            if self._graph.nodes[name].op == "SparseTensorDenseMatMul":
                return _rows_of(self._source, self._graph, self._graph.inputs(name)[3].node) or 2
        return 2


def concrete(spec: TensorSpec, batch: int, size: int, length: int) -> tuple[int, ...]:
    """Return a shape without free dimensions: batch first, height and width of images, lengths else."""
    shape = spec.shape if spec.shape is not None else (None,)
    image = len(shape) == 4
    free = [batch if axis == 0 else size if image else length for axis in range(len(shape))]
    if spec.shape is None and not any(word in spec.key.lower() for word in ("len", "ids", "text", "example")):
        return ()
    return tuple(free[axis] if dimension is None else dimension for axis, dimension in enumerate(shape))


def _floats(rng: np.random.Generator, kind: str, shape: tuple[int, ...]) -> Array:
    if kind == "normal":
        return rng.normal(size=shape)
    if kind == "uniform":
        return rng.random(shape)
    return rng.choice([-3.0, 0.0, 1.0, 3.0], shape)


def _indexing(graph: Graph, start: str) -> set[str]:
    """Return the gathers that the values of a node index, behind ops that keep values."""
    found, seen, queue = set[str](), set[str](), [start]
    while queue:
        for consumer, index, _ in graph.consumers(queue.pop()):
            op = graph.nodes[consumer].op
            if op in INDEX_OPS and index == 1:
                found.add(consumer)
            elif op in PASSING_OPS and index == 0 and consumer not in seen:
                seen.add(consumer)
                queue.append(consumer)
    return found


def _rows(graph: Graph, source: SourceGraph, gather: str) -> int:
    return _rows_of(source, graph, graph.inputs(gather)[0].node)


def _rows_of(source: SourceGraph, graph: Graph, name: str) -> int:
    """Return the first dimension of the variable or constant behind a node; 0 where it is neither."""
    origin = (
        graph.source_of(graph.inputs(name)[0]).node
        if graph.nodes[name].op in ("Identity", "ReadVariableOp", "Enter")
        else name
    )
    stored = next((one for one in source.variables if one.name == origin), None)
    if stored is not None:
        return int(stored.shape[0]) if stored.shape.rank else 0
    node = graph.nodes[origin]
    if node.op != "Const":
        return 0
    dims = node.attr["value"].tensor.tensor_shape.dim
    return dims[0].size if dims else 0
