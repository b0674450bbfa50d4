from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from job.engine.dropout import find_controls, find_dropout, findings
from job.engine.graph import Graph
from job.engine.runners import Baseline
from tests.engine.models import Saver, converted, graph_of, ref, v1

X = np.linspace(-1, 1, 200, dtype=np.float32).reshape(20, 10)
Drop = Callable[[Any], Any]


def of_1_15(x: Any) -> Any:
    """`tf.nn.dropout` as TF 1.15 writes it: scaled, and kept where the number is at least the rate."""
    rate = 0.4
    scale = tf.constant(1 / (1 - rate), name="dropout/scale")
    uniform = tf.random.uniform(tf.shape(x), seed=7)
    return tf.multiply(x * scale, tf.cast(uniform >= tf.constant(rate), tf.float32), name="dropout/mul_1")


def of_1_12(x: Any) -> Any:
    """`tf.nn.dropout` as TF 1.0 to 1.12 write it: divided by, and kept where the number and it reach 1."""
    keep = tf.constant(0.6, name="dropout/keep_prob")
    mask = tf.floor(keep + tf.random.uniform(tf.shape(x), seed=7))
    return tf.multiply(tf.realdiv(x, keep), mask, name="dropout/mul")


def of_1_13(x: Any) -> Any:
    """`tf.nn.dropout` of TF 1.13 and 1.14, whose probability to keep is one minus a constant rate."""
    keep = tf.subtract(tf.constant(1.0), tf.constant(0.4), name="dropout/sub")
    mask = tf.floor(keep + tf.random.uniform(tf.shape(x), seed=7))
    return tf.multiply(tf.realdiv(x, keep), mask, name="dropout/mul")


def of_2(x: Any) -> Any:
    """What the installed TensorFlow itself writes."""
    return tf.nn.dropout(x, rate=0.4)


def with_tensor_rate(x: Any) -> Any:
    """A rate that a constant tensor gives, and the scale computed from it."""
    return v1.nn.dropout(x, rate=tf.constant(0.4, name="rate"))


FORMS = [of_1_15, of_1_13, of_1_12, of_2, with_tensor_rate]


def model(drop: Drop) -> Callable[[], object]:
    def build() -> None:
        x = v1.placeholder(tf.float32, [None, 10], name="x")
        tf.identity(drop(x @ ref("kernel", np.eye(10, dtype=np.float32) * 3)) + 1.0, name="y")

    return build


@pytest.mark.parametrize("drop", FORMS, ids=lambda drop: drop.__name__)
def test_dropout_left_on_is_switched_off(saved: Saver, tmp_path: Path, drop: Drop) -> None:
    """The candidate, and the baseline with the constants fed, answer as the graph without dropout; it is said."""
    made = converted(saved(model(drop)), tmp_path)
    without = X * 3 + 1
    (said,) = Baseline(made.source, "exact").run(made.signature(), [X])
    np.testing.assert_allclose(said, without, rtol=1e-6)
    np.testing.assert_array_equal(made.answer({"x:0": X})["y:0"], said)
    assert "dropout_switched_off" in [finding.code for finding in made.source.findings]


def test_dropout_that_is_not_needed_is_left_alone() -> None:
    """Dropout beside the way to an output is no switch."""
    graph = Graph(graph_of(model(of_1_15)))
    assert find_dropout(graph, {"x", "kernel"}) == {}


def test_noise_that_is_no_dropout_is_left_alone() -> None:
    """Random numbers that are added, and a coin that chooses between two values, are no dropout."""

    def build() -> None:
        x = v1.placeholder(tf.float32, [None, 10], name="x")
        coin = tf.random.uniform([]) >= 0.5
        tf.where(coin, x + tf.random.uniform(tf.shape(x)) * 0.1, -x, name="y")

    graph = Graph(graph_of(build))
    assert find_dropout(graph, set(graph.nodes)) == {}


def test_finding_counts_and_names_a_place() -> None:
    """One warning tells how many constants and where the first is; without dropout nothing is said."""
    (finding,) = findings({"dropout/rate:0": 0.0, "dropout/scale:0": 1.0})
    assert "2 constants, first dropout/rate:0" in finding.cause
    assert finding.severity == "warning"
    assert list(findings({})) == []


def test_constant_that_something_else_uses_is_left_alone() -> None:
    """A constant that is the probability to keep and a later factor as well must not change."""

    def build() -> None:
        half = tf.constant(0.5)
        x = v1.placeholder(tf.float32, [None, 10], name="x")
        mask = tf.floor(half + tf.random.uniform(tf.shape(x)))
        tf.multiply(tf.realdiv(x, half) * mask, half, name="y")

    graph = Graph(graph_of(build))
    assert find_dropout(graph, set(graph.nodes)) == {}


def test_mask_without_its_scale_is_no_dropout() -> None:
    """Noise that multiplies by another factor than dropout's is part of the model."""

    def build() -> None:
        x = v1.placeholder(tf.float32, [None, 10], name="x")
        tf.multiply(x * 3.0, tf.cast(tf.random.uniform(tf.shape(x)) >= 0.5, tf.float32), name="y")

    graph = Graph(graph_of(build))
    assert find_dropout(graph, set(graph.nodes)) == {}


def chosen(predicate: str, other: Callable[[tf.Tensor], tf.Tensor]) -> Callable[[], None]:
    """Dropout in the branch of a condition, or what `other` makes of its input."""

    def build() -> None:
        x = v1.placeholder(tf.float32, [None, 10], name="x")
        asked = v1.placeholder(tf.bool, [], name=predicate)
        tf.identity(v1.cond(asked, lambda: of_1_15(x), lambda: other(x)), name="y")

    return build


def test_predicate_that_bypasses_dropout_is_a_switch_by_any_name() -> None:
    """A condition between a tensor and its dropout chooses the tensor at inference, and constants stay."""
    graph = Graph(graph_of(chosen("wet", lambda x: x)))
    assert find_controls(graph) == {"wet:0": False}
    assert find_dropout(graph, set(graph.nodes)) == {}


def test_predicate_that_chooses_another_model_is_an_input() -> None:
    """A condition between dropout and something else is the user's to say; its dropout is switched off."""
    graph = Graph(graph_of(chosen("which", lambda x: -x)))
    assert find_controls(graph) == {}
    assert set(find_dropout(graph, set(graph.nodes)).values()) == {0.0, 1.0}


def test_condition_upstream_of_dropout_is_an_input() -> None:
    """What merely comes before dropout does not decide about it."""

    def build() -> None:
        x = v1.placeholder(tf.float32, [None, 10], name="x")
        asked = v1.placeholder(tf.bool, [], name="residual")
        tf.identity(of_1_15(v1.cond(asked, lambda: x * 2.0, lambda: x * -3.0)), name="y")

    graph = Graph(graph_of(build))
    assert find_controls(graph) == {}
    assert find_dropout(graph, set(graph.nodes)) != {}


@pytest.mark.parametrize("role", ["keep", "rate"])
def test_placeholder_is_told_by_what_dropout_does_with_it(role: str) -> None:
    """A placeholder called ``dropout`` is 1 where it is the probability to keep, and 0 where it is the rate."""

    def build() -> None:
        x = v1.placeholder(tf.float32, [None, 10], name="x")
        given = v1.placeholder(tf.float32, [], name="dropout")
        keep = given if role == "keep" else 1.0 - given
        tf.multiply(tf.realdiv(x, keep), tf.floor(keep + tf.random.uniform(tf.shape(x))), name="y")

    assert find_controls(Graph(graph_of(build))) == {"dropout:0": 1.0 if role == "keep" else 0.0}
