"""Encoded inputs: ``tf.Example``s that fit a graph's parser, and images that decode."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from job.engine.graph import Graph

Rng = np.random.Generator


def encoded_images(rng: Rng, count: int) -> list[bytes]:
    """Return JPEG images of noise with a gradient, of two sizes."""
    return [_image(rng, 48 + 16 * (index % 2)) for index in range(count)]


def serialized_examples(graph: Graph, parser: str, words: Sequence[bytes], rng: Rng, count: int) -> list[bytes]:
    """Return ``tf.Example``s with every feature that the parser's attributes ask for.

    Handles ``ParseExample`` (keys as inputs), its V2 (keys as one vector) and
    ``ParseSingleExample`` (keys as attributes).
    """
    features = {**_dense(graph, parser), **_sparse(graph, parser)}
    return [_example(features, words, rng) for _ in range(count)]


Features = dict[str, tuple[tf.DType, int]]
"""Name → dtype and number of values."""


def _dense(graph: Graph, parser: str) -> Features:
    node = graph.nodes[parser]
    dtypes = [tf.as_dtype(code) for code in node.attr["Tdense"].list.type]
    shapes = [tf.TensorShape(shape).num_elements() or 1 for shape in node.attr["dense_shapes"].list.shape]
    return dict(zip(_keys(graph, parser, "dense"), zip(dtypes, shapes, strict=True), strict=True))


def _sparse(graph: Graph, parser: str) -> Features:
    dtypes = [tf.as_dtype(code) for code in graph.nodes[parser].attr["sparse_types"].list.type]
    return {key: (dtype, 1) for key, dtype in zip(_keys(graph, parser, "sparse"), dtypes, strict=True)}


def _keys(graph: Graph, parser: str, kind: str) -> list[str]:
    node, inputs = graph.nodes[parser], graph.inputs(parser)
    if node.op == "ParseSingleExample":
        return [key.decode() for key in node.attr[f"{kind}_keys"].list.s]
    if node.op == "ParseExampleV2":
        return [key.decode() for key in np.ravel(graph.const(inputs[2 if kind == "sparse" else 3]))]
    sparse, dense = node.attr["Nsparse"].i, node.attr["Ndense"].i
    start, count = (2, sparse) if kind == "sparse" else (2 + sparse, dense)
    return [graph.const(edge).item().decode() for edge in inputs[start : start + count]]


def _example(features: Features, words: Sequence[bytes], rng: Rng) -> bytes:
    made = {name: _feature(dtype, count, words, rng) for name, (dtype, count) in features.items()}
    return bytes(tf.train.Example(features=tf.train.Features(feature=made)).SerializeToString())


def _feature(dtype: tf.DType, count: int, words: Sequence[bytes], rng: Rng) -> Any:
    if dtype == tf.string:
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=list(rng.choice(np.array(words, object), count))))
    if dtype.is_integer:
        return tf.train.Feature(int64_list=tf.train.Int64List(value=rng.integers(0, 3, count)))
    return tf.train.Feature(float_list=tf.train.FloatList(value=rng.normal(size=count)))


def _image(rng: Rng, size: int) -> bytes:
    gradient = np.linspace(0, 200, size)[:, None, None] + rng.integers(0, 56, (size, size, 3))
    return bytes(tf.io.encode_jpeg(gradient.astype(np.uint8)).numpy())
