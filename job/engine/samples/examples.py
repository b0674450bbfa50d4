"""``tf.Example``s and ``tf.SequenceExample``s that fit a graph's parser."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
import tensorflow as tf
from tensorflow.python.framework import op_def_registry

from job.engine.graph import Edge, Graph, NodeDef, attribute

PARSERS: Final = (
    *("ParseExample", "ParseExampleV2", "ParseSingleExample"),
    *("ParseSequenceExample", "ParseSequenceExampleV2", "ParseSingleSequenceExample"),
)

DTYPES: Final = {"dense_": "Tdense", "context_dense_": "Tcontext_dense"}
"""Attributes that are not named as the others are: ``feature_list_dense_types``, ``ragged_value_types``."""

LONGEST: Final = 3
"""Most values of a feature of free length, and most steps of a sequence."""

LEFT_OUT: Final = 0.2
"""The share of features with a default that is left out."""

Make = Callable[[Edge, tf.DType, int], list[Any]]
"""Returns so many values for a tensor."""


@dataclass(frozen=True, kw_only=True)
class Feature:
    """What a parser reads under a key; `count` is the number of values, or of one step's where `is_free`."""

    key: str
    place: Literal["features", "feature_lists"]
    dtype: tf.DType
    count: int
    is_free: bool
    has_default: bool
    tensor: Edge


@dataclass(frozen=True, kw_only=True)
class ExampleWriter:
    """Writes messages with every feature that a parser asks for, with values that `make` returns.

    `varied` ones have features of several lengths, and leave some out that have a default.
    """

    make: Make
    rng: np.random.Generator
    varied: bool

    def write(self, graph: Graph, parser: str, count: int) -> list[bytes]:
        """Return so many serialized messages; raises `KeyError` where the graph computes its keys."""
        features = list(features_of(graph, parser))
        one = self._sequence if "Sequence" in graph.nodes[parser].op else self._example
        return [one(features) for _ in range(count)]

    def _example(self, features: list[Feature]) -> bytes:
        return bytes(tf.train.Example(features=self._features(features)).SerializeToString())

    def _sequence(self, features: list[Feature]) -> bytes:
        steps = int(self.rng.integers(1, LONGEST + 1)) if self.varied else LONGEST
        lists = {
            feature.key: tf.train.FeatureList(feature=[self._values(feature) for _ in range(steps)])
            for feature in features
            if feature.place == "feature_lists"
        }
        return bytes(
            tf.train.SequenceExample(
                context=self._features(features), feature_lists=tf.train.FeatureLists(feature_list=lists)
            ).SerializeToString()
        )

    def _features(self, features: list[Feature]) -> tf.train.Features:
        wanted = (one for one in features if one.place == "features" and not self._leaves_out(one))
        return tf.train.Features(feature={feature.key: self._values(feature) for feature in wanted})

    def _leaves_out(self, feature: Feature) -> bool:
        return self.varied and feature.has_default and bool(self.rng.random() < LEFT_OUT)

    def _values(self, feature: Feature) -> tf.train.Feature:
        times = int(self.rng.integers(1, LONGEST + 1)) if self.varied and feature.is_free else 1
        values = self.make(feature.tensor, feature.dtype, feature.count * times)
        if feature.dtype == tf.string:
            return tf.train.Feature(bytes_list=tf.train.BytesList(value=values))
        if feature.dtype.is_integer:
            return tf.train.Feature(int64_list=tf.train.Int64List(value=values))
        return tf.train.Feature(float_list=tf.train.FloatList(value=values))


def features_of(graph: Graph, parser: str) -> Iterator[Feature]:
    """Yield the features of any of `PARSERS`, whose keys are inputs, vectors or attributes."""
    node = graph.nodes[parser]
    for prefix in ("", "context_", "feature_list_"):
        for kind in ("sparse", "dense", "ragged"):
            yield from _of_kind(graph, node, prefix, f"{prefix}{kind}_")


def _of_kind(graph: Graph, node: NodeDef, prefix: str, group: str) -> Iterator[Feature]:
    keys = _keys(graph, node, f"{group}keys")
    values = _places(node, "output", f"{group}values")
    suffix = "value_types" if "ragged" in group else "types"
    types, held = attribute(node, DTYPES.get(group, f"{group}{suffix}")), attribute(node, f"{group}shapes")
    dtypes = types.list.type if types else []
    shapes = list(held.list.shape) if held and "dense" in group else []
    defaults = [graph.inputs(node.name)[place] for place in _places(node, "input", f"{group}defaults")]
    for place, key in enumerate(keys):
        shape = tf.TensorShape(shapes[place]) if place < len(shapes) else tf.TensorShape([None])
        sizes = shape.as_list() if shape.rank is not None else [None]
        yield Feature(
            key=key.decode(),
            place="feature_lists" if prefix == "feature_list_" else "features",
            dtype=tf.as_dtype(dtypes[place]),
            count=int(np.prod([size for size in sizes if size is not None], dtype=np.int64)),
            is_free=None in sizes,
            has_default=place < len(defaults) and _is_default(graph, defaults[place]),
            tensor=Edge(node.name, values[place]),
        )


def _keys(graph: Graph, node: NodeDef, name: str) -> list[bytes]:
    places = _places(node, "input", name)
    if not places:
        held = attribute(node, name)
        return list(held.list.s) if held else []
    found = [np.ravel(graph.const(graph.inputs(node.name)[place])) for place in places]
    return [key if isinstance(key, bytes) else str(key).encode() for keys in found for key in keys]


def _places(node: NodeDef, side: Literal["input", "output"], name: str) -> list[int]:
    """Return where the tensors of one argument stand among the node's inputs or outputs."""
    start = 0
    for arg in getattr(op_def_registry.get(node.op), f"{side}_arg"):
        count = _count(node, arg)
        if arg.name == name:
            return list(range(start, start + count))
        start += count
    return []


def _count(node: NodeDef, arg: Any) -> int:
    if arg.number_attr:
        return int(attribute(node, arg.number_attr).i)
    return len(attribute(node, arg.type_list_attr).list.type) if arg.type_list_attr else 1


def _is_default(graph: Graph, edge: Edge) -> bool:
    try:
        return bool(np.size(graph.const(edge)))
    except KeyError:  # computed: it is one
        return True
