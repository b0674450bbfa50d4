from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from job.engine.assembling import read_source
from job.engine.graph import Graph
from job.engine.ops.table_functions import inline_tables
from job.engine.proof.verifying import verify
from job.requests import VerifyRequest
from tests.engine.models import Saver, converted, graph_of, ref, v1


def in_functions() -> None:
    """Make, fill and ask a table in functions that call functions, as TF2's Estimators export it."""

    def make() -> Any:
        return tf.raw_ops.HashTableV2(key_dtype=tf.string, value_dtype=tf.int64, shared_name="words")

    def fill(handle: Any) -> Any:
        keys, values = tf.constant(["a", "b"]), tf.constant([3, 5], tf.int64)
        with tf.control_dependencies([tf.raw_ops.InitializeTableV2(table_handle=handle, keys=keys, values=values)]):
            return tf.constant(1)

    def outer(handle: Any) -> Any:
        return filled(handle)

    def ask(handle: Any, words: Any) -> Any:
        unknown = tf.constant(-1, tf.int64)
        return tf.raw_ops.LookupTableFindV2(table_handle=handle, keys=words, default_value=unknown)

    made, filled, asking = (tf.function(one, autograph=False) for one in (make, fill, ask))
    handle = made()
    v1.add_to_collection(v1.GraphKeys.TABLE_INITIALIZERS, tf.function(outer, autograph=False)(handle).op)
    asked = asking(handle, v1.placeholder(tf.string, [None], name="words"))
    tf.add(asked, tf.cast(ref("bias", 10.0), tf.int64), name="numbers")


def test_table_of_functions_is_tracked_and_filled(saved: Saver, tmp_path: Path) -> None:
    """A table that functions make and fill is found, answers in the saved model, and passes against the TF1 graph."""
    request = saved(in_functions)
    (meta,) = Path(request.directory).rglob("*.meta")
    meta.write_bytes(meta.read_bytes().replace(b"__inference_", b"__another__s"))  # this process has those already
    assert len(read_source(request).tables) == 1
    model = converted(request, tmp_path)
    np.testing.assert_array_equal(model.answer({"words:0": ["b", "z"]})["numbers:0"], [15, 9])
    asked = VerifyRequest(source=request, saved_model=str(model.directory), mode="exact", tolerance=1e-5)
    assert verify(asked).verdict == "passed"


def test_calls_that_make_no_table_stay() -> None:
    """Only what makes or fills a table is brought up, from functions in functions too: a lookup stays where it is."""
    graph = inline_tables(Graph(graph_of(in_functions)))
    assert len(list(graph.of_type("StatefulPartitionedCall", "PartitionedCall"))) == 1
    assert [node.op for node in graph.of_type("HashTableV2", "InitializeTableV2")] == [
        "HashTableV2",
        "InitializeTableV2",
    ]


def test_graph_without_such_functions_is_untouched() -> None:
    """Where no function makes a table the same graph comes back."""
    graph = Graph(graph_of(lambda: tf.function(tf.square, autograph=False)(v1.placeholder(tf.float32, [2]))))
    assert inline_tables(graph) is graph
