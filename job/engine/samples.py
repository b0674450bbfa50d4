"""Inputs to compare on: recorded ones where the user has them, else made to fit the graph."""

import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from job.engine.examples import encoded_images, serialized_examples
from job.engine.graph import Graph, edge_of
from job.engine.sample_shapes import Sizes, concrete, first_dims, implied, to_try
from job.engine.source_graph import SourceGraph
from job.engine.switches import inference_value
from job.engine.vocabulary import words_of
from job.errors import UsageError
from job.records import Signature, TensorSpec

Array = NDArray[Any]

BATCHES: Final = (4, 1, 3)
"""Batch sizes of the samples: a batch, one alone, and an odd number."""

INDEX_OPS: Final = (
    "Gather",
    "GatherV2",
    "ResourceGather",
    "SparseSegmentMean",
    "SparseSegmentSum",
    "SparseSegmentSqrtN",
)
INDEX_KEEPING_OPS: Final = (
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
"""Behind these a number still says which row of a table is meant."""

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
    held = arrays_of(path)
    return Sample(name="recorded", feeds=tuple(_held(held, signature, spec) for spec in signature.inputs))


def arrays_of(path: str) -> dict[str, Array]:
    """Return the arrays of an ``.npz`` by name; raises `UsageError` for a file that is none or holds objects."""
    try:
        with zipfile.ZipFile(path):  # a lone array would be read as well, and has no name
            arrays = np.load(path, allow_pickle=False)
        return {name: arrays[name] for name in arrays.files}
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise UsageError(
            f"the recorded arrays cannot be read: {error}",
            where=Path(path).name,
            remedy="write them by numpy.savez, without objects",
        ) from error


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
    for turn, (batch, kind) in enumerate(zip(BATCHES, ("normal", "uniform", "extreme"), strict=True)):
        yield tuple(
            maker.sample(np.random.default_rng([seed, turn]), kind, sizes) for sizes in maker.sizes(turn, batch)
        )


class _Maker:
    def __init__(self, source: SourceGraph, signature: Signature) -> None:
        self._graph, self._signature = source.graph, signature
        self._words = words_of(source)
        self._shapes = {spec.key: implied(source, spec) for spec in signature.inputs}
        self._source = source

    def sizes(self, turn: int, batch: int) -> list[Sizes]:
        """Return the sizes to try; another first choice for every group."""
        return to_try(list(self._shapes.values()), batch, turn)

    def sample(self, rng: np.random.Generator, kind: str, sizes: Sizes) -> Sample:
        """Make one batch; all inputs share the sizes."""
        feeds = tuple(self._feed(rng, kind, spec, sizes) for spec in self._signature.inputs)
        shapes = ", ".join(str(list(feed.shape)) for feed in feeds)
        counted = (
            f", length {sizes.length}" if any(spec.dtype.startswith("int") for spec in self._signature.inputs) else ""
        )
        return Sample(name=f"{kind} {shapes}{counted}", feeds=feeds)

    def _feed(self, rng: np.random.Generator, kind: str, spec: TensorSpec, sizes: Sizes) -> Array:
        sparse = spec.key.rpartition("_")[2] if self._is_sparse(spec) else ""
        if sparse or spec.key.endswith("_dense_shape"):
            return self._sparse(rng, spec, sizes.batch)
        shape = concrete(self._shapes[spec.key], sizes)
        dtype = tf.as_dtype(spec.dtype)
        switch = inference_value(self._graph.nodes[edge_of(spec.tensor).node])
        if switch is not None:
            return np.full(() if spec.shape is None else shape, switch, dtype.as_numpy_dtype)
        if dtype == tf.string:
            return self._strings(rng, spec, shape)
        if dtype.is_bool:
            return rng.random(shape) < 0.5
        if dtype.is_integer:
            return self._integers(rng, spec, shape, sizes.length)
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
        rows = [
            next(iter(first_dims(self._source, self._graph.inputs(name)[0].node)), 0)
            for name in _indexing(self._graph, edge_of(spec.tensor).node)
        ]
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
                return next(iter(first_dims(self._source, self._graph.inputs(name)[3].node)), 2)
        return 2


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
            elif op in INDEX_KEEPING_OPS and index == 0 and consumer not in seen:
                seen.add(consumer)
                queue.append(consumer)
    return found
