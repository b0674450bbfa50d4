from typing import Any

import pytest
import tensorflow as tf

from job.engine.assembling import read_source
from tests.engine.models import Saver, v1


def codes(saved: Saver, change: Any) -> list[str]:
    """Return the codes of what is found in ``y = change(x)``."""

    def build() -> None:
        tf.identity(change(v1.placeholder(tf.float32, [None, 10], name="x")), name="y")

    return [finding.code for finding in read_source(saved(build)).findings]


def noise(x: Any) -> Any:
    """What ``GaussianNoise`` adds in training."""
    return x + tf.random.normal(tf.shape(x), stddev=0.1)


def in_a_function(x: Any) -> Any:
    """Noise in a function of the graph's library."""
    return tf.function(noise, input_signature=[tf.TensorSpec([None, 10])])(x)


def drawn(x: Any) -> Any:
    """A sample of a distribution that the model predicts."""
    return tf.cast(v1.multinomial(x, 3), tf.float32)


@pytest.mark.parametrize("change", [noise, in_a_function, drawn], ids=lambda change: change.__name__)
def test_random_numbers_in_an_answer_are_named(saved: Saver, change: Any) -> None:
    """Noise cannot be told from sampling: it stays, and the owner is told."""
    assert "random_in_graph" in codes(saved, change)


def behind_a_switch(x: Any) -> Any:
    """Noise that inference does not take."""
    return v1.cond(v1.placeholder_with_default(True, [], name="is_training"), lambda: noise(x), lambda: x)


def dropped(x: Any) -> Any:
    """Dropout that is switched off."""
    return tf.nn.dropout(x, rate=0.5)


def fed_dropout(x: Any) -> Any:
    """Dropout whose rate is fed and bound to 0."""
    return tf.nn.dropout(x, rate=v1.placeholder(tf.float32, [], name="dropout_rate"))


def measured(x: Any) -> Any:
    """Random numbers of which only the shape is used."""
    return x + tf.cast(tf.shape(tf.random.uniform(tf.shape(x)))[0], tf.float32)


@pytest.mark.parametrize(
    "change", [behind_a_switch, dropped, fed_dropout, measured], ids=lambda change: change.__name__
)
def test_random_numbers_without_effect_are_not_mentioned(saved: Saver, change: Any) -> None:
    """What inference does not run, or multiplies by one, changes no answer."""
    assert "random_in_graph" not in codes(saved, change)
