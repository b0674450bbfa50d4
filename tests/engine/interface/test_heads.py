from collections.abc import Callable

import pytest
import tensorflow as tf

from job.engine.graph import Graph
from job.engine.interface.heads import head_outputs
from job.records import Signature, TensorSpec
from tests.engine.models import graph_of, v1

LOGITS = TensorSpec(key="BiasAdd", tensor="logits:0", dtype="float32", shape=(None, 3))


def named(*builds: Callable[[tf.Tensor], object]) -> dict[str, str]:
    """Return the outputs of a head that computes something of its logits."""

    def build() -> None:
        logits = v1.placeholder(tf.float32, [None, 3], name="logits")
        for one in builds:
            one(logits)

    return head_outputs(Graph(graph_of(build)), Signature(key="serving_default", inputs=(), outputs=(LOGITS,)))


def loss(logits: tf.Tensor) -> None:
    tf.reduce_sum(logits, name="dnn/head/losses/sum")


def test_regression_predicts_its_logits() -> None:
    """A head with a loss and no ops of predictions hands its logits on, which exports call predictions."""
    assert named(loss) == {"predictions": "logits:0"}


def test_link_function_is_no_plain_regression() -> None:
    """Where a head computes predictions of its logits, the logits are not called so."""
    assert named(loss, lambda logits: tf.exp(logits, name="dnn/head/predictions/Exp")) == {"BiasAdd": "logits:0"}


def test_model_without_head_keeps_its_names() -> None:
    """A model function of one's own has the outputs that were found."""
    assert named(lambda logits: tf.nn.softmax(logits, name="softmax")) == {"BiasAdd": "logits:0"}


@pytest.mark.parametrize("head", ["head", "dnn/head"])
def test_classes_have_the_head_s_names(head: str) -> None:
    """Probabilities, class numbers and what they are called get the names of Estimators' predictions."""

    def classified(logits: tf.Tensor) -> None:
        tf.nn.softmax(logits, name=f"{head}/predictions/probabilities")
        ids = tf.expand_dims(
            tf.argmax(logits, 1, name=f"{head}/predictions/class_ids"), -1, name=f"{head}/predictions/i"
        )
        tf.strings.as_string(ids, name=f"{head}/predictions/str_classes")

    assert named(classified) == {
        "probabilities": f"{head}/predictions/probabilities:0",
        "logits": "logits:0",
        "class_ids": f"{head}/predictions/i:0",
        "classes": f"{head}/predictions/str_classes:0",
    }
