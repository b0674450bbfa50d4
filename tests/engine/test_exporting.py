from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2
from tensorflow.python.eager import context

from job.engine.assembling import read_source
from job.engine.exporting import export
from job.engine.lift import lift
from job.errors import Internal
from tests.engine.interface.test_signatures import X, linear, served, signature
from tests.engine.models import Saver, converted, ref, v1


def odd() -> dict[str, object]:
    x, y = linear()
    return {"my classes": signature({"in/x 1": x}, {"best/1": y}, "tensorflow/serving/classify")}


def test_keys_and_methods_are_the_original_ones(tmp_path: Path) -> None:
    """A server's client finds the SignatureDef that it knows: keys of the signature, arguments, and its method."""
    source = read_source(served(tmp_path, odd))
    export(lift(source, allow_nonfinite=False), source, str(tmp_path / "out"), scratch="/no/such/place")
    saved = saved_model_pb2.SavedModel.FromString((tmp_path / "out/saved_model.pb").read_bytes())
    definition = saved.meta_graphs[0].signature_def["my classes"]
    assert definition.method_name == "tensorflow/serving/classify"
    assert (list(definition.inputs), list(definition.outputs)) == (["in/x 1"], ["best/1"])
    assert definition.inputs["in/x 1"].dtype == tf.float32.as_datatype_enum


def test_servers_and_python_both_call_it(tmp_path: Path) -> None:
    """By the SignatureDef's tensors in a TF1 session, as a server does, and in Python, the answer is the same."""
    source = read_source(served(tmp_path, odd))
    export(lift(source, allow_nonfinite=False), source, str(tmp_path / "out"), scratch="/no/such/place")
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        meta_graph = tf.compat.v1.saved_model.load(session, ["serve"], str(tmp_path / "out"))
        definition = meta_graph.signature_def["my classes"]
        fetched = session.run(definition.outputs["best/1"].name, {definition.inputs["in/x 1"].name: X})
    np.testing.assert_array_equal(fetched, [[3.0], [6.0]])
    loaded = tf.saved_model.load(str(tmp_path / "out"))
    np.testing.assert_array_equal(loaded.signatures["my classes"](in_x_1=X)["best/1"], fetched)


def test_path_of_this_machine_is_refused(tmp_path: Path) -> None:
    """A SavedModel that still names the source's directory would fail everywhere else; it is a bug of ours."""

    def build() -> dict[str, object]:
        x, y = linear()
        return {"serving_default": signature({"x": x}, {"y": y, "path": tf.constant(f"{tmp_path}/source/vocab.txt")})}

    source = read_source(served(tmp_path, build))
    with pytest.raises(Internal, match="names a file of this machine"):
        export(lift(source, allow_nonfinite=False), source, str(tmp_path / "out"), scratch=str(tmp_path / "source"))


def test_loop_of_tf1_runs_in_one_graph(saved: Saver, tmp_path: Path) -> None:
    """TensorFlow puts our nested functions into one graph, loops and all: a call left there would cost time in each."""

    def build() -> None:
        x = v1.placeholder(tf.float32, [None, 2], name="x")
        square = ref("square", np.eye(2, dtype=np.float32))
        _, last = tf.while_loop(lambda step, _: step < 3, lambda step, state: (step + 1, state @ square), (0, x))
        tf.identity(last, name="y")

    model = converted(saved(build), tmp_path)
    context.enable_run_metadata()
    try:
        np.testing.assert_array_equal(model.answer({"x:0": X})["y:0"], X)
        ran = context.export_run_metadata().function_graphs
    finally:
        context.disable_run_metadata()
    ops = {node.op for graph in ran for node in graph.post_optimization_graph.node}
    assert "NextIteration" in ops
    assert not ops & {"PartitionedCall", "StatefulPartitionedCall"}
