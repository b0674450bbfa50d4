import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from job.engine.assembling import read_source
from job.engine.health.batch_norm import find_training_mode
from job.engine.runners import Baseline
from job.errors import BadInput
from job.records import ArtifactOptions, Format
from job.requests import SourceRequest
from tests.engine.health import models
from tests.engine.health.models import BETA, GAMMA, INFERRED, X, asking, network, said_of, subject_of
from tests.engine.models import Saver, converted, v1, v1_graph

GOLDEN = Path(__file__).parents[4] / "shared" / "goldens" / "queue_pipeline_train_meta"


def resource(x: Any) -> Any:
    """The fused form on resource variables, as Keras makes them."""
    return models.fused(x, is_resource=True)


def without_updates(x: Any) -> Any:
    """The fused form whose update ops were pruned away, with the variables left."""
    return models.fused(x, updates=False)


FORMS = [models.fused, resource, models.unfused, models.by_squares, models.by_hand, without_updates]


@pytest.mark.parametrize("normalise", FORMS, ids=lambda form: form.__name__)
def test_batch_norm_uses_its_moving_statistics_on_request(saved: Saver, tmp_path: Path, normalise: Any) -> None:
    """Baseline and candidate answer with the moving statistics, an example alone as in a batch; it is said."""
    made = converted(asking(saved(network(normalise)), batch_norm="inference"), tmp_path)
    (said,) = Baseline(made.source, "exact").run(made.signature(), [X])
    np.testing.assert_allclose(said, INFERRED, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(made.answer({"x:0": X})["y:0"], said, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(made.answer({"x:0": X[:1]})["y:0"], said[:1], rtol=1e-6, atol=1e-6)
    assert "batch_norm_inference" in [finding.code for finding in made.source.findings]
    assert not made.source.writes_state


@pytest.mark.parametrize("normalise", FORMS, ids=lambda form: form.__name__)
def test_batch_norm_stays_as_saved_and_is_named(saved: Saver, normalise: Any) -> None:
    """Without the request nothing is changed, and one warning counts the batch norms and offers the way out."""
    (finding,) = said_of(saved(network(normalise)), "batch_norm_training")
    assert finding.severity == "warning"
    assert finding.cause.startswith("1 batch norms")
    assert "--batch-norm inference" in finding.remedy


def layer_norm(x: Any) -> Any:
    """Moments of every example by itself, over positions and channels."""
    mean, variance = tf.nn.moments(x, [1, 2, 3], keepdims=True)
    return tf.nn.batch_normalization(x, mean, variance, models.variable("b", BETA), models.variable("g", GAMMA), 1e-3)


def instance_norm(x: Any) -> Any:
    """Moments of every example by itself, over positions."""
    mean, variance = tf.nn.moments(x, [1, 2], keepdims=True)
    return tf.nn.batch_normalization(x, mean, variance, models.variable("b", BETA), models.variable("g", GAMMA), 1e-3)


def fused_layer_norm(x: Any) -> Any:
    """Keras's trick: the examples become channels of a batch of one, which the fused op normalises apart."""
    count = tf.shape(x)[0]
    rows = tf.reshape(x, [1, -1, 1, count])
    y, _, _ = v1.nn.fused_batch_norm(rows, tf.ones([count]), tf.zeros([count]), is_training=True)
    return tf.reshape(y, tf.shape(x))


def standardised_weights(x: Any) -> Any:
    """Moments of a kernel over its rows, which no example changes."""
    kernel = models.variable("kernel", np.float32(np.arange(9).reshape(3, 3)))
    mean, variance = tf.nn.moments(kernel, [0])
    return tf.tensordot(x, (kernel - mean) / tf.sqrt(variance + 1e-5), 1)


def in_a_branch_not_taken(x: Any) -> Any:
    """What TF1's layers write for a placeholder that tells whether it trains."""
    training = v1.placeholder_with_default(False, [], name="is_training")
    return v1.cond(training, lambda: models.fused(x), lambda: x * 2.0)


OTHERS = [layer_norm, instance_norm, fused_layer_norm, standardised_weights, in_a_branch_not_taken]


@pytest.mark.parametrize("normalise", OTHERS, ids=lambda form: form.__name__)
def test_what_keeps_examples_apart_is_no_batch_norm(saved: Saver, normalise: Any) -> None:
    """Norms of single examples, of weights and of branches that inference does not take are left alone."""
    request = asking(saved(network(normalise)), batch_norm="inference")
    source = read_source(request)
    assert find_training_mode(subject_of(source).path) == []
    assert "batch_norm_inference" not in [finding.code for finding in source.findings]


def test_statistics_that_only_the_checkpoint_has_are_found_by_their_names(tmp_path: Path) -> None:
    """A graph exported with its training variables alone has lost the others' nodes, but not their values."""
    with v1_graph() as graph:
        network(models.fused)()
        with v1.Session(graph=graph) as session:
            session.run(v1.global_variables_initializer())
            v1.train.Saver().save(session, str(tmp_path / "model.ckpt"), write_meta_graph=False)
    with v1_graph() as graph:
        build = network(lost)
        build()
        v1.train.export_meta_graph(str(tmp_path / "model.ckpt.meta"), graph=graph)
    request = SourceRequest(format=Format.META_GRAPH, directory=str(tmp_path), entry="model.ckpt")
    made = converted(asking(request, batch_norm="inference"), tmp_path)
    np.testing.assert_allclose(made.answer({"x:0": X})["y:0"], INFERRED, rtol=1e-5, atol=1e-6)
    (said,) = Baseline(made.source, "exact").run(made.signature(), [X])
    np.testing.assert_allclose(said, INFERRED, rtol=1e-5, atol=1e-6)


def lost(x: Any) -> Any:
    """The fused form with gamma and beta alone."""
    with v1.variable_scope("bn"):
        gamma, beta = models.variable("gamma", GAMMA), models.variable("beta", BETA)
        y, _, _ = v1.nn.fused_batch_norm(x, gamma, beta, epsilon=models.EPSILON, is_training=True)
    return y


def frozen(x: Any) -> Any:
    """The fused form of a graph that was frozen while it trained."""
    y, _, _ = v1.nn.fused_batch_norm(x, tf.constant(GAMMA), tf.constant(BETA), is_training=True)
    return y


def renormalised(x: Any) -> Any:
    """The fused form whose batch statistics the answer uses in another way, too."""
    with v1.variable_scope("bn"):
        gamma, beta, mean, variance = models.parameters()
        y, batch_mean, batch_variance = v1.nn.fused_batch_norm(x, gamma, beta, is_training=True)
        models.averaged(mean, batch_mean)
        models.averaged(variance, batch_variance)
    return y + batch_mean


@pytest.mark.parametrize("normalise", [lost, frozen, renormalised], ids=lambda form: form.__name__)
def test_what_cannot_be_put_into_inference_mode_is_refused(saved: Saver, normalise: Callable[[Any], Any]) -> None:
    """Nothing is guessed: without moving statistics beyond doubt the request cannot be met, and the node is named."""
    with pytest.raises(
        BadInput, match=r"1 of 1 batch norms cannot be put into inference mode.*FusedBatchNorm"
    ) as caught:
        read_source(asking(saved(network(normalise)), batch_norm="inference"))
    assert "training=False" in caught.value.remedy


def trained(normalise: Callable[[Any], Any]) -> Callable[[], None]:
    """Return a builder of the network with its optimizer."""

    def build() -> None:
        network(normalise)()
        v1.train.GradientDescentOptimizer(0.1).minimize(
            tf.reduce_mean(v1.get_default_graph().get_tensor_by_name("y:0"))
        )

    return build


def never_updated(x: Any) -> Any:
    """What pix2pix does: the update ops never ran, and inference takes the statistics of its one image."""
    with v1.variable_scope("bn"):
        gamma, beta = models.variable("gamma", GAMMA), models.variable("beta", BETA)
        models.variable("moving_mean", np.zeros_like(GAMMA), trainable=False)
        models.variable("moving_variance", np.ones_like(GAMMA), trainable=False)
        return v1.nn.fused_batch_norm(x, gamma, beta, is_training=True)[0]


@pytest.mark.parametrize(
    ("build", "code"),
    [
        (trained(models.fused), "batch_norm_inference"),
        (network(models.fused), "batch_norm_training"),
        (trained(lost), "batch_norm_training"),
        (trained(never_updated), "batch_norm_training"),
    ],
    ids=["trains", "serves", "without statistics", "as on the first day"],
)
def test_auto_changes_what_trained_the_model_and_refuses_nothing(saved: Saver, build: Any, code: str) -> None:
    """A graph without optimizer was exported as it is on purpose, one without true statistics cannot be helped."""
    said = {finding.code for finding in read_source(asking(saved(build), batch_norm="auto")).findings}
    assert said & {"batch_norm_inference", "batch_norm_training"} == {code}


def test_batch_norm_without_statistics_is_said_to_have_none(saved: Saver) -> None:
    """The warning does not offer what would be refused."""
    (finding,) = said_of(saved(network(frozen)), "batch_norm_training")
    assert "of none of them" in finding.cause
    assert "--batch-norm" not in finding.remedy


@pytest.mark.skipif(not GOLDEN.is_dir(), reason="the shared goldens are not beside the repository")
def test_training_graph_answers_as_tensorflow_1_did_in_inference_mode(tmp_path: Path) -> None:
    """A training MetaGraph with batch norm baked in gives, on request, what TF 1.15's own inference graph gave."""
    request = SourceRequest(format=Format.META_GRAPH, directory=str(GOLDEN), entry="model.ckpt")
    (call,) = [
        call for call in json.loads((GOLDEN / "case.json").read_text())["calls"] if call["name"] == "inference_mode"
    ]
    with np.load(GOLDEN / "golden.npz") as golden:
        (fed,), logits = call["feeds"].values(), golden[call["fetches"]["logits"]["npz"]]
        images = golden[fed["npz"]]
    options = ArtifactOptions(
        inputs={"images": fed["tensor"]},
        outputs={"logits": call["fetches"]["logits"]["tensor"]},
        batch_norm="inference",
    )
    made = converted(replace(request, options=options), tmp_path)
    (said,) = made.answer({fed["tensor"]: images}).values()
    np.testing.assert_allclose(said, logits, rtol=1e-5, atol=1e-5 * np.abs(logits).max())
