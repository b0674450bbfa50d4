from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from job.engine.graph import Graph
from job.engine.ops import equivalents
from tests.engine.models import graph_of, v1

ROWS = np.array([[1, 9, 1, 9, 9, 1, 1, 9], [9] * 8], np.float32)
BYTES = np.packbits(ROWS > 2, axis=1)


def packed(build: Callable[[], None]) -> Graph:
    """Return a graph whose op `FloorMod` is the retired `CompareAndBitpack`, replaced."""
    graph_def = graph_of(build)
    for node in graph_def.node:
        if node.op == "FloorMod":  # it has the same inputs and attributes
            node.op = "CompareAndBitpack"
        if node.op == "Size":
            node.attr["T"].type = tf.uint8.as_datatype_enum
    graph, replaced = equivalents.replace_retired(Graph(graph_def))
    assert set(replaced.values()) == {"CompareAndBitpack"}
    return graph


def run(graph: Graph, feeds: dict[str, object]) -> np.ndarray[Any, Any]:
    """Return ``y``."""
    with tf.Graph().as_default(), v1.Session() as session:
        tf.import_graph_def(graph.graph_def, name="")
        answer: np.ndarray[Any, Any] = session.run("y:0", feeds)
        return answer


def bitpack(x: tf.Tensor) -> tf.Tensor:
    """Stand for the retired op; what takes its bytes must take floats too."""
    return tf.math.floormod(x, 2.0)


def test_composition_runs_inside_a_loop() -> None:
    """In a v1 loop's frame constants run where their consumers do, in every iteration."""

    def build() -> None:
        x = v1.placeholder(tf.float32, name="x")

        def body(step: tf.Tensor, kept: tf.TensorArray) -> tuple[tf.Tensor, tf.TensorArray]:
            return step + 1, kept.write(step, tf.raw_ops.Size(input=bitpack(x + tf.cast(step, tf.float32))))

        _, sizes = v1.while_loop(lambda step, _: step < 3, body, [0, tf.TensorArray(tf.int32, 3)])
        tf.identity(sizes.stack(), name="y")

    np.testing.assert_array_equal(run(packed(build), {"x:0": ROWS}), [2, 2, 2])


@pytest.mark.parametrize(("taken", "answer"), [(True, BYTES.size), (False, -1)])
def test_composition_runs_inside_a_branch(taken: bool, answer: int) -> None:  # noqa: FBT001 - a case
    """In a v1 branch that is not taken nothing of a composition runs."""

    def build() -> None:
        x = v1.placeholder(tf.float32, name="x")
        y = v1.cond(
            v1.placeholder(tf.bool, [], name="taken"),
            lambda: tf.raw_ops.Size(input=bitpack(x)),
            lambda: tf.constant(-1),
        )
        tf.identity(y, name="y")

    assert run(packed(build), {"x:0": ROWS, "taken:0": taken}) == answer


def test_control_inputs_are_kept() -> None:
    """What a retired op waited for, and what waited for it, still waits."""

    def build() -> None:
        x = v1.placeholder(tf.float32, name="x")
        with tf.control_dependencies([v1.assert_less(x, 100.0, name="checked")]):
            bits = bitpack(x)
        with tf.control_dependencies([bits]):
            tf.identity(x, name="y")

    with pytest.raises(tf.errors.InvalidArgumentError):
        run(packed(build), {"x:0": ROWS * 100})
    np.testing.assert_array_equal(run(packed(build), {"x:0": ROWS}), ROWS)
