import numpy as np
import tensorflow as tf

from tests.engine.health.models import said_of, variable
from tests.engine.models import Saver, v1


def network() -> tf.Tensor:
    """Build ``y = x * w`` and return it."""
    x = v1.placeholder(tf.float32, [None, 2], name="x")
    return tf.multiply(x, variable("w", np.array([1.0, 2.0], np.float32)), name="y")


def test_what_only_training_needs_is_counted(saved: Saver) -> None:
    """Gradients, the optimizer's ops and summaries that are left out are counted by kind."""

    def build() -> None:
        loss = tf.reduce_mean(network())
        v1.summary.scalar("loss", loss)
        v1.train.AdamOptimizer(0.1).minimize(loss)

    (finding,) = said_of(saved(build), "training_graph")
    assert "1 optimizer nodes" in finding.cause
    assert "1 summary nodes" in finding.cause
    assert finding.severity == "info"


def test_inference_graph_is_not_called_a_training_graph(saved: Saver) -> None:
    """A summary alone trains nothing."""
    assert said_of(saved(lambda: v1.summary.histogram("y", network())), "training_graph") == []
