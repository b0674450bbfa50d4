from typing import Any

import pytest
import tensorflow as tf

from job.engine.assembling import read_source
from job.engine.graph import Graph
from job.engine.interface.switches_by_use import find_by_use
from tests.engine.models import Build, Saver, graph_of, ref, v1


def flag(name: str = "mode", dtype: tf.DType = tf.bool) -> Any:
    return v1.placeholder(dtype, [], name=name)


def images() -> Any:
    return v1.placeholder(tf.float32, [None, 4, 4, 2], name="x")


def fused(x: Any, *, training: bool) -> Any:
    one, zero = tf.ones([2]), tf.zeros([2])
    empty = tf.constant([], tf.float32)
    mean, variance = (empty, empty) if training else (zero, one)
    return v1.nn.fused_batch_norm(x, one, zero, mean, variance, is_training=training)[0]


def fused_norm() -> None:
    x = images()
    tf.cond(flag(), lambda: fused(x, training=True), lambda: fused(x, training=False))


def fused_norm_negated() -> None:
    x = images()
    tf.cond(tf.logical_not(flag()), lambda: fused(x, training=True), lambda: fused(x, training=False))


def statistics(predicate: Any, *, moving_first: bool = False) -> Any:
    x = images()
    stored = ref("bn/moving_mean", [0.0, 0.0])
    sides = (lambda: tf.reduce_mean(x, [0, 1, 2]), lambda: tf.identity(stored))
    return x - tf.cond(predicate, *(reversed(sides) if moving_first else sides))


def averaged() -> None:
    """Batch norm as tutorials wrote it, with an average that updates itself."""
    x = images()
    mean = tf.reduce_mean(x, [0, 1, 2])
    average = v1.train.ExponentialMovingAverage(0.5)
    with tf.control_dependencies([average.apply([mean])]):
        updated = tf.identity(mean)
    tf.cond(flag(), lambda: updated, lambda: average.average(mean))


@pytest.mark.parametrize(
    ("build", "value"),
    [
        (fused_norm, False),
        (fused_norm_negated, True),
        (lambda: statistics(flag()), False),
        (lambda: statistics(flag(), moving_first=True), True),
        (lambda: statistics(tf.cast(flag(dtype=tf.int32), tf.bool)), 0),
        (lambda: tf.where(flag(), tf.reduce_mean(images(), [0, 1, 2]), ref("bn/pop_mean", [0.0, 0.0])), False),
        (averaged, False),
    ],
    ids=["fused", "negated", "moving mean", "test flag", "integer", "where", "average"],
)
def test_what_chooses_the_statistics_is_a_switch(build: Build, value: Any) -> None:
    """Whatever its name: the side that takes the moving statistics is that of inference."""
    assert find_by_use(Graph(graph_of(build))) == {"mode:0": value}


def both_ways() -> None:
    mode, x = flag(), images()
    tf.cond(mode, lambda: fused(x, training=True), lambda: fused(x, training=False))
    tf.cond(mode, lambda: fused(x, training=False), lambda: fused(x, training=True))


def two_variables() -> None:
    a, b = ref("moving_mean", 1.0), ref("other", 2.0)
    tf.cond(flag(), lambda: tf.identity(a), lambda: tf.identity(b))


def of_data() -> None:
    x = images()
    tf.cond(flag(), lambda: x * 2, lambda: x)


def by_vector() -> None:
    mode = v1.placeholder(tf.bool, [2], name="mode")
    tf.where(mode, tf.reduce_mean(images(), [0, 1, 2]), ref("moving_mean", [0.0, 0.0]))


@pytest.mark.parametrize("build", [both_ways, two_variables, of_data, by_vector])
def test_other_conditions_are_data(build: Build) -> None:
    """A condition that says two things, or chooses between other things, stays an input; so does a vector."""
    assert find_by_use(Graph(graph_of(build))) == {}


def test_it_is_bound(saved: Saver) -> None:
    """The model's only input is its data, and the finding names the switch."""
    source = read_source(saved(lambda: tf.identity(statistics(flag()), name="y")))
    assert [spec.tensor for spec in source.signatures[0].inputs] == ["x:0"]
    assert ["mode:0" in one.cause for one in source.findings if one.code == "training_switch_bound"] == [True]
