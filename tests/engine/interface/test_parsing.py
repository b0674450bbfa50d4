from typing import Any

import pytest
import tensorflow as tf

from job.engine.graph import Graph
from job.engine.interface.parsing import PARSERS, parsed_features
from job.engine.shapes import dtype_of
from tests.engine.models import graph_of, v1

FEATURES = {
    "dense": tf.io.FixedLenFeature([2], tf.float32),
    "sparse": tf.io.VarLenFeature(tf.int64),
    "other": tf.io.VarLenFeature(tf.string),
}


def parser(build: Any) -> tuple[Graph, str]:
    graph = Graph(graph_of(build))
    (node,) = graph.of_type(*PARSERS)
    return graph, node.name


def first_version() -> None:
    features = [tf.constant(name) for name in ("other", "sparse", "dense")]
    tf.raw_ops.ParseExample(
        serialized=v1.placeholder(tf.string, [None]),
        names=tf.constant([], tf.string),
        sparse_keys=features[:2],
        dense_keys=features[2:],
        dense_defaults=[tf.constant([], tf.float32)],
        sparse_types=[tf.string, tf.int64],
        dense_shapes=[[2]],
    )


@pytest.mark.parametrize(
    "build",
    [
        first_version,
        lambda: tf.io.parse_example(v1.placeholder(tf.string, [None]), FEATURES),
        lambda: tf.io.parse_single_example(v1.placeholder(tf.string, []), FEATURES),
    ],
    ids=["first", "second", "single"],
)
def test_features_are_found_with_their_types(build: Any) -> None:
    """However a parser holds its keys, each feature's tensors are found, with their names and dtypes."""
    graph, name = parser(build)
    found = parsed_features(graph, name)
    types = {argument: dtype_of(graph, edge).name for parts in found.values() for argument, edge in parts}
    assert types == {
        "dense": "float32",
        "sparse_indices": "int64",
        "sparse_values": "int64",
        "sparse_dense_shape": "int64",
        "other_indices": "int64",
        "other_values": "string",
        "other_dense_shape": "int64",
    }


def test_ragged_features_have_two_parts() -> None:
    """A ragged feature is its values and where its rows begin."""
    keys = {"r": tf.io.RaggedFeature(tf.float32), "d": tf.io.FixedLenFeature([], tf.int64)}
    graph, name = parser(lambda: tf.io.parse_example(v1.placeholder(tf.string, [None]), keys))
    parts = parsed_features(graph, name)["r"]
    assert [(argument, dtype_of(graph, edge).name) for argument, edge in parts] == [
        ("r_values", "float32"),
        ("r_row_splits", "int32"),
    ]


def test_computed_keys_are_unknown() -> None:
    """A name that the graph computes cannot be told."""

    def build() -> None:
        tf.raw_ops.ParseExample(
            serialized=v1.placeholder(tf.string, [None]),
            names=tf.constant([], tf.string),
            sparse_keys=[v1.placeholder(tf.string, [])],
            dense_keys=[],
            dense_defaults=[],
            sparse_types=[tf.string],
            dense_shapes=[],
        )

    with pytest.raises(KeyError):
        parsed_features(*parser(build))


def test_asking_a_parser_changes_nothing() -> None:
    """A kind of feature that an op does not know is none, and leaves no empty attribute in the graph."""
    graph, name = parser(
        lambda: tf.raw_ops.ParseSingleExample(
            serialized=v1.placeholder(tf.string, []),
            dense_defaults=[tf.constant([], tf.float32)],
            num_sparse=1,
            sparse_keys=["sparse"],
            dense_keys=["dense"],
            sparse_types=[tf.int64],
            dense_shapes=[[2]],
        )
    )
    before = graph.nodes[name].SerializeToString(deterministic=True)
    assert list(parsed_features(graph, name)) == ["dense", "sparse"]
    assert graph.nodes[name].SerializeToString(deterministic=True) == before
