"""Conditions that a bound switch has decided."""

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.framework import graph_pb2

from job.engine.folding import fold_conditions
from tests.engine.models import Saver, assert_same, graph_of, ref, v1

X = np.linspace(-1, 1, 12, dtype=np.float32).reshape(3, 4)
TRAINING = "training:0"


def training() -> tf.Tensor:
    """Return a switch as its users name it."""
    return v1.placeholder(tf.bool, [], name="training")


def kinds(graph_def: graph_pb2.GraphDef) -> set[str]:
    """Return the op types of a graph."""
    return {node.op for node in graph_def.node}


def layer() -> None:
    """Build what ``tf.layers`` does: noise in training, a scale in inference."""
    x = v1.placeholder(tf.float32, [None, 4], name="x")
    scale = ref("scale", np.arange(1, 5, dtype=np.float32))
    y = tf.cond(training(), lambda: x + v1.random_normal([4]), lambda: x * scale)
    tf.identity(y @ ref("weights", np.eye(4, dtype=np.float32)), name="y")


def test_decided_condition_is_gone_and_the_answer_is_the_same(saved: Saver, tmp_path: Path) -> None:
    """The published graph holds no v1 control flow, and gives what the session gives that is fed the switch."""
    model = assert_same(saved(layer), tmp_path, ["y:0"], [{"x:0": X}], fed={TRAINING: False})
    library = tf.saved_model.load(str(model.directory)).signatures["serving_default"].graph.as_graph_def().library
    ops = {node.op for function in library.function for node in function.node_def}
    assert not ops & {"Switch", "Merge", "RandomStandardNormal"}


def test_gradients_pass_a_decided_condition(saved: Saver, tmp_path: Path) -> None:
    """A variable in the branch that is taken can be trained: v1 conditions that stay would stop its gradient."""
    model = assert_same(saved(layer), tmp_path, ["y:0"], [{"x:0": X}], fed={TRAINING: False})
    loaded = tf.saved_model.load(str(model.directory))
    function = loaded.signatures["serving_default"]
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(function(x=tf.constant(X))["y"])
    gradients = tape.gradient(loss, list(function.trainable_variables))
    assert len(gradients) == 2
    assert all(gradient is not None for gradient in gradients)


def test_conditions_in_conditions_and_loops(saved: Saver, tmp_path: Path) -> None:
    """Nested conditions, one inside a loop and a loop inside one, answer as they did in the session."""

    def build() -> None:
        x, flag = v1.placeholder(tf.float32, [None, 4], name="x"), training()
        w = ref("w", np.float32(2.0))

        def body(step: tf.Tensor, state: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            return step + 1, tf.cond(flag, lambda: state - 1, lambda: state * w)

        def repeated() -> tf.Tensor:
            return tf.while_loop(lambda step, _: step < 2, lambda step, state: (step + 1, state + w), (0, x))[1]

        looped = tf.while_loop(lambda step, _: step < 3, body, (0, x))[1]
        nested = tf.cond(tf.logical_not(flag), lambda: tf.cond(flag, lambda: x, repeated), lambda: looped)
        dead = tf.cond(flag, repeated, lambda: x * 3)
        tf.concat([looped, nested, dead], 1, name="y")

    assert_same(saved(build), tmp_path, ["y:0"], [{"x:0": X}], fed={TRAINING: False})


@pytest.mark.parametrize("value", [False, True])
def test_branch_follows_the_switch(value: bool) -> None:  # noqa: FBT001 - the switch's value is what is tested
    """Folded by hand, the branch of the value is what is left, and what it computes is right."""

    def build() -> None:
        x = v1.placeholder(tf.float32, [], name="x")
        tf.identity(tf.cond(training(), lambda: x + 1, lambda: x - 1), name="y")

    folded = fold_conditions(graph_of(build), {TRAINING: value}, ["y:0"])
    assert not kinds(folded) & {"Switch", "Merge"}
    with tf.Graph().as_default(), v1.Session() as session:
        (y,) = tf.import_graph_def(folded, return_elements=["y:0"], name="")
        assert session.run(y, {"x:0": 1.0, TRAINING: value}) == (2.0 if value else 0.0)


def test_what_data_decides_is_left_alone() -> None:
    """A condition on the data stays as it was."""

    def build() -> None:
        x = v1.placeholder(tf.float32, [], name="x")
        training()
        tf.identity(tf.cond(x > 0, lambda: x + 1, lambda: x - 1), name="y")

    graph_def = graph_of(build)
    assert fold_conditions(graph_def, {TRAINING: False}, ["y:0"]) is graph_def


@pytest.mark.parametrize(
    "outputs", [["branch:0", "end:0"], ["branch:1"], ["taken/Merge:0", "index:0"], ["taken/Merge:1"]]
)
def test_output_that_tells_the_branch_is_left_alone(outputs: list[str]) -> None:
    """Where an output is a condition's own end, or its index is asked for, nothing is folded."""

    def build() -> None:
        x = v1.placeholder(tf.float32, [], name="x")
        dead, live = tf.raw_ops.Switch(data=x, pred=training(), name="branch")
        _, index = tf.raw_ops.Merge(inputs=[dead, live], name="taken/Merge")
        tf.identity(index, name="index")
        tf.identity(live, name="end")

    graph_def = graph_of(build)
    assert fold_conditions(graph_def, {TRAINING: True}, outputs) is graph_def
