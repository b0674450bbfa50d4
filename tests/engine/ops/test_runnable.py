from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.framework import graph_pb2

from job.engine.graph import Graph
from job.engine.ops.runnable import check_runnable
from job.errors import BadInput
from job.records import ArtifactOptions, Format
from job.requests import SourceRequest
from tests.engine.models import converted, graph_of, v1


def error_of(graph: Graph, names: list[str]) -> BadInput:
    """Return why a graph is refused."""
    with pytest.raises(BadInput) as caught:
        check_runnable(graph, names)
    return caught.value


def chain(*ops: tuple[str, str]) -> Graph:
    """Return ``x`` → the given (name, op)s, one behind the other → ``y``."""
    graph_def = graph_pb2.GraphDef()
    graph_def.node.add(name="x", op="Placeholder").attr["dtype"].type = tf.float32.as_datatype_enum
    weight = graph_def.node.add(name="weight", op="Const")
    weight.attr["dtype"].type = tf.float32.as_datatype_enum
    weight.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(1.0))
    before = "x"
    for name, op in (*ops, ("y", "Identity")):
        node = graph_def.node.add(name=name, op=op, input=[before])
        node.attr["T"].type = tf.float32.as_datatype_enum
        if op not in ("Identity", "Relu", "BoostedTreesPredict"):
            node.input.append("weight")
        before = name
    return Graph(graph_def)


def test_all_are_listed_in_one_error() -> None:
    """Every op is named with its first node, its count, what it lacks and where it came from."""
    graph = chain(("a", "Resampler"), ("b", "Resampler"), ("c", "BoostedTreesPredict"), ("d", "AcmeOp"))
    error = error_of(graph, list(graph.nodes))
    assert "Resampler (node" in error.what
    assert "and 1 more, not registered, from tf.contrib.resampler of TensorFlow 1.15" in error.what
    assert "BoostedTreesPredict (node c, no kernel, from the tree estimators of TensorFlow 1.15" in error.what
    assert "AcmeOp (node d, not registered)" in error.what


def test_ways_out_are_concrete() -> None:
    """The remedy names the tensors before the first such node and behind the last one, and never a weight."""
    graph = chain(("r", "Relu"), ("a", "Resampler"), ("s", "Relu"), ("b", "AcmeOp"))
    remedy = error_of(graph, list(graph.nodes)).remedy
    assert "--op-library FILE@sha256:HEX" in remedy
    assert "`outputs: [r:0]`" in remedy
    assert "`inputs: [b:0]`" in remedy


def test_missing_kernel_is_no_matter_of_libraries() -> None:
    """Where an op is registered and has no kernel, an op library is not offered."""
    graph = chain(("a", "BoostedTreesPredict"))
    assert "--op-library" not in error_of(graph, list(graph.nodes)).remedy


def test_ended_op_is_told() -> None:
    """An op that runs in old graphs alone cannot be saved, and says when it ended."""
    graph = chain(("a", "AdjustContrast"))
    assert "AdjustContrast (node a, ended with GraphDef version 2)" in str(error_of(graph, ["a"]))


def test_op_that_is_renewed_passes() -> None:
    """An ended op with a successor is none of them."""
    graph = chain(("a", "BatchMatrixInverse"))
    check_runnable(graph, ["a"])


def test_only_what_is_needed_counts() -> None:
    """A part that no output needs may hold anything."""
    graph = chain(("a", "AcmeOp"))
    check_runnable(graph, ["x"])


def test_functions_are_looked_into() -> None:
    """An op in a function is found, and told with its own node."""

    def build() -> None:
        @tf.function  # type: ignore[untyped-decorator]
        def body(x: tf.Tensor) -> tf.Tensor:
            return tf.nn.relu(x)

        tf.identity(body(v1.placeholder(tf.float32, [None], name="x")), name="y")

    graph_def = graph_of(build)
    graph_def.library.function[0].node_def[0].op = "AcmeOp"
    graph = Graph(graph_def)
    assert "AcmeOp (node Relu" in str(error_of(graph, list(graph.nodes)))


def test_calls_of_library_functions_are_registered() -> None:
    """A node whose op is a function of the library is no unknown op."""
    graph_def = graph_pb2.GraphDef()
    graph_def.node.add(name="call", op="my_function")
    graph_def.library.function.add().signature.name = "my_function"
    check_runnable(Graph(graph_def), ["call"])


def test_graph_can_begin_behind_what_cannot_run(tmp_path: Path) -> None:
    """The named way out works: the op's output becomes an input, of the dtype as which it is taken."""
    graph = chain(("a", "AcmeOp"), ("s", "Relu"))
    (tmp_path / "model.pb").write_bytes(graph.graph_def.SerializeToString())
    options = ArtifactOptions(inputs={"behind": "a:0"})
    request = SourceRequest(format=Format.GRAPH_DEF, directory=str(tmp_path), entry="model.pb", options=options)
    model = converted(request, tmp_path)
    assert model.signature().inputs[0].dtype == "float32"
    np.testing.assert_array_equal(model.answer({"a:0": np.array([-1, 2], np.float32)})["y:0"], [0, 2])
