from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from job.engine.variants.tidying import tidy
from tests.engine.models import v1
from tests.engine.variants.frozen import assert_same, frozen, ops

X = np.arange(6, dtype=np.float32).reshape(3, 2)


def placed(change: Callable[[Any], Any]) -> Callable[[], Any]:
    """Return a graph that changes its input by `change` and doubles what comes out."""

    def build() -> Any:
        x = v1.placeholder(tf.float32, [None, 2])
        return [x], [tf.identity(change(x)) * 2.0]

    return build


NOTHING: dict[str, Callable[[Any], Any]] = {
    "identities": lambda x: tf.identity(tf.stop_gradient(tf.identity(x))),
    "a default": lambda x: v1.placeholder_with_default(x, [None, 2]),
    "dropout at rate zero": lambda x: v1.nn.dropout(x, rate=tf.constant(0.0)),
    "dropout of old TensorFlows": lambda x: x / 1.0 * tf.floor(1.0 + v1.random_uniform(tf.shape(x))),
}


@pytest.mark.parametrize("what", NOTHING)
def test_what_changes_nothing_goes(what: str) -> None:
    """Nodes that hand on what they take are gone, and the answer is the same to the bit."""
    before = frozen(placed(NOTHING[what]))
    after, changes = tidy(before, "cpu")
    assert ops(after) == {"Mul": 1}
    assert changes
    assert_same(before, after, X, tolerance=0.0)


def test_dropout_that_is_on_stays() -> None:
    """A model that was exported with its dropout on answers at random after as before."""
    before = frozen(placed(lambda x: v1.nn.dropout(x, rate=tf.constant(0.5))))
    after, _ = tidy(before, "cpu")
    assert ops(after)["RandomUniform"] == 1


def test_waits_for_what_acts_stay() -> None:
    """An assertion on which an output waits is still made; a wait for a sum is none."""

    def build() -> Any:
        x = v1.placeholder(tf.float32, [None, 2])
        with tf.control_dependencies([v1.Assert(tf.reduce_all(x < 9.0), [x]), x + 1.0]):
            return [x], [tf.identity(x, name="checked")]

    after, _ = tidy(frozen(build), "cpu")
    assert ops(after)["Assert"] == 1
    assert "AddV2" not in ops(after)
    assert_same(frozen(build), after, X)
    with pytest.raises(tf.errors.InvalidArgumentError):
        assert_same(after, after, X + 9.0)


def test_an_input_may_be_the_output() -> None:
    """A model that hands on what it is given is left with no node at all."""

    def build() -> Any:
        x = v1.placeholder(tf.float32, [None, 2])
        return [x], [tf.identity(tf.identity(x))]

    before = frozen(build)
    after, _ = tidy(before, "cpu")
    assert (after.outputs, ops(after)) == (before.inputs, {})


def test_places_in_loops_stay() -> None:
    """Identities that mark a place in one of TF1's loops or conditions are kept: others wait for them."""

    def build() -> Any:
        x = v1.placeholder(tf.float32, [None, 2])
        last = v1.while_loop(lambda step, _: step < 3, lambda step, y: (step + 1, tf.identity(y) * 2.0 + 1.0), (0, x))[
            1
        ]
        return [x], [v1.cond(tf.reduce_sum(x) > 100.0, lambda: last + 5.0, lambda: tf.identity(last) - 5.0)]

    before = frozen(build)
    after, _ = tidy(before, "cpu")
    assert_same(before, after, X, tolerance=0.0)
    assert_same(before, after, X + 100.0, tolerance=0.0)
    assert sum(ops(after).values()) < sum(ops(before).values())
