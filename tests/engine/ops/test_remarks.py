from collections.abc import Iterator

import pytest
import tensorflow as tf
from tensorflow.core.framework import graph_pb2

from job.engine.graph import Graph
from job.engine.ops.allowing import allow_ops
from job.engine.ops.remarks import remarks
from tests.engine.models import graph_of, v1


@pytest.fixture(autouse=True)
def _denied_again() -> Iterator[None]:
    """Deny again what a test allows."""
    yield
    allow_ops([])


def trained() -> graph_pb2.GraphDef:
    """Return a model with what training left beside it: readers, a queue, a saver, a print and `py_func`."""

    def build() -> None:
        x = v1.placeholder(tf.float32, [None], name="x")
        tf.identity(x, name="y")
        for number in range(5):
            tf.io.read_file("data", name=f"read_{number}")
        tf.queue.FIFOQueue(1, [tf.float32]).enqueue(1.0)
        tf.raw_ops.SaveV2(prefix="x", tensor_names=["a"], shape_and_slices=[""], tensors=[1.0])
        v1.py_func(lambda value: value, [x], tf.float32, name="augment")
        tf.raw_ops.PrintV2(input="said", output_stream="stderr")

    return graph_of(build)


def test_denied_ops_of_a_training_part_are_listed() -> None:
    """The report says which ops and nodes no output needs and nobody runs; queues and savers are what every one has."""
    (said,) = remarks(Graph(trained()), {"x", "y"})
    assert (said.code, said.severity) == ("host_ops_left_out", "info")
    assert said.cause.endswith(": PyFunc (augment); ReadFile (read_0, read_1, read_2 and 2 more)")


def test_function_that_nothing_calls_is_listed() -> None:
    """What lies in the library alone is left out, too, and told."""
    graph_def = graph_pb2.GraphDef()
    graph_def.node.add(name="y", op="NoOp")
    function = graph_def.library.function.add()
    function.signature.name = "stray"
    function.node_def.add(name="writes", op="WriteFile")
    (said,) = remarks(Graph(graph_def), {"y"})
    assert "WriteFile (writes)" in said.cause


def test_allowed_op_that_runs_is_a_warning() -> None:
    """Whoever reads the report sees that it runs; one that is allowed and not there is not told."""
    graph = Graph(trained())
    allow_ops(["ReadFile", "WriteFile"])
    (warned, left_out) = remarks(graph, {"x", "y", "read_0"})
    assert (warned.code, warned.severity) == ("op_allowed", "warning")
    assert warned.cause.endswith(": ReadFile (read_0)")
    assert "ReadFile" not in left_out.cause


def test_plain_model_has_no_remarks() -> None:
    """Where all that is there may run there is nothing to say."""
    graph_def = graph_pb2.GraphDef()
    graph_def.node.add(name="y", op="NoOp")
    assert list(remarks(Graph(graph_def), {"y"})) == []
