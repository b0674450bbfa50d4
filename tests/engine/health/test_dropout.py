from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from job.engine.assembling import read_source
from job.engine.graph import Graph
from job.engine.health.dropout import find_controls, findings, switch_off
from job.engine.runners import Baseline
from job.records import ArtifactOptions, Format
from job.requests import SourceRequest
from tests.engine.models import Saver, converted, graph_of, outputs, ref, v1

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


def with_computed_rate(x: Any) -> Any:
    """A rate that falls while the model is trained."""
    return v1.nn.dropout(x, rate=tf.minimum(ref("step", 300.0, trainable=False) * 0.001, 0.5))


def by_hand(x: Any) -> Any:
    """A mask that is compared the other way round, and a scale that follows it."""
    kept = tf.cast(tf.random.uniform(tf.shape(x), seed=7) < 0.6, tf.float32)
    return tf.realdiv(x * kept, 0.6)


def in_half_precision(x: Any) -> Any:
    """16 bits, whose factor is rounded."""
    return tf.cast(of_2(tf.cast(x, tf.float16)), tf.float32)


def of_selu(x: Any) -> Any:
    """Alpha dropout, which fills in what SELU tends to and restores mean and variance."""
    keep, silent = 0.7, -1.7580993408473766
    kept = tf.cast(tf.random.uniform(tf.shape(x), seed=7) >= 1 - keep, tf.float32)
    scale = (keep + silent**2 * keep * (1 - keep)) ** -0.5
    return scale * (x * kept + silent * (1.0 - kept)) + -scale * silent * (1 - keep)


def gaussian(x: Any) -> Any:
    """Gaussian dropout, which multiplies with noise around 1."""
    return x * tf.random.normal(tf.shape(x), mean=1.0, stddev=0.5, seed=7)


def in_a_loop(x: Any) -> Any:
    """Dropout in every step of a loop, as a cell's wrapper has it."""
    return v1.while_loop(lambda i, _: i < 2, lambda i, y: (i + 1, of_1_15(y)), [0, x])[1]


def of_a_whole_loop(x: Any) -> Any:
    """A mask that is drawn once before a loop and used in every step (``variational_recurrent``)."""
    uniform = tf.random.uniform([1, 10], seed=7)

    def step(i: Any, y: Any) -> tuple[Any, Any]:
        return i + 1, tf.realdiv(y, 0.6) * tf.floor(0.6 + uniform)

    return v1.while_loop(lambda i, _: i < 2, step, [0, x])[1]


FORMS = [
    *(of_1_15, of_1_13, of_1_12, of_2, with_tensor_rate, with_computed_rate, by_hand, in_half_precision, of_selu),
    *(gaussian, in_a_loop, of_a_whole_loop),
]


def model(drop: Drop) -> Callable[[], object]:
    def build() -> None:
        x = v1.placeholder(tf.float32, [None, 10], name="x")
        tf.identity(drop(x @ ref("kernel", np.eye(10, dtype=np.float32) * 3)) + 1.0, name="y")

    return build


@pytest.mark.parametrize("drop", FORMS, ids=lambda drop: drop.__name__)
def test_dropout_left_on_is_switched_off(saved: Saver, tmp_path: Path, drop: Drop) -> None:
    """Candidate and baseline answer as the graph without dropout, whatever form it has; it is said."""
    made = converted(saved(model(drop)), tmp_path)
    without = X * 3 + 1
    (said,) = Baseline(made.source, "exact").run(made.signature(), [X])
    np.testing.assert_allclose(said, without, rtol=1e-6, atol=1e-3 if drop is in_half_precision else 0)
    np.testing.assert_array_equal(made.answer({"x:0": X})["y:0"], said)
    assert "dropout_switched_off" in [finding.code for finding in made.source.findings]


def test_dropout_that_is_not_needed_is_not_mentioned(saved: Saver) -> None:
    """Dropout beside the way to an output changes nothing that is converted."""

    def build() -> None:
        x = v1.placeholder(tf.float32, [None, 10], name="x")
        tf.reduce_mean(of_1_15(x) - v1.placeholder(tf.float32, [None, 10], name="labels"), name="loss")
        tf.identity(x @ ref("kernel", np.eye(10, dtype=np.float32)), name="logits")

    request = replace(saved(build), options=outputs(logits="logits:0"))
    assert "dropout_switched_off" not in [finding.code for finding in read_source(request).findings]


def coin(x: Any) -> Any:
    """Noise that is added, and a coin that chooses between two values."""
    return tf.where(tf.random.uniform([]) >= 0.5, x + tf.random.uniform(tf.shape(x)) * 0.1, -x)


def unscaled(x: Any) -> Any:
    """A mask whose factor is another one than dropout's."""
    return x * 3.0 * tf.cast(tf.random.uniform(tf.shape(x)) >= 0.5, tf.float32)


def around_zero(x: Any) -> Any:
    """Noise with another mean than 1."""
    return x * tf.random.normal(tf.shape(x), mean=0.0, stddev=0.5)


def sampled(x: Any) -> Any:
    """A sample whose deviation the model predicts."""
    return x * (1.0 + tf.random.normal(tf.shape(x)) * tf.exp(x))


@pytest.mark.parametrize("noise", [coin, unscaled, around_zero, sampled], ids=lambda noise: noise.__name__)
def test_noise_that_is_no_dropout_is_left_alone(noise: Drop) -> None:
    """What inference would not undo by its being an identity is part of the model."""

    def build() -> None:
        tf.identity(noise(v1.placeholder(tf.float32, [None, 10], name="x")), name="y")

    graph_def = graph_of(build)
    before = graph_def.SerializeToString(deterministic=True)
    _, products = switch_off(Graph(graph_def))
    assert products == frozenset()
    assert graph_def.SerializeToString(deterministic=True) == before


def test_finding_counts_and_names_a_place() -> None:
    """One warning tells how many places and where one is; without dropout nothing is said."""
    (finding,) = findings({"second/mul", "first/mul"})
    assert "2 places, first first/mul" in finding.cause
    assert finding.severity == "warning"
    assert list(findings(frozenset())) == []


def test_constant_that_something_else_uses_keeps_its_value(saved: Saver, tmp_path: Path) -> None:
    """A constant that is the probability to keep and a later factor as well is 1 for dropout alone."""

    def build() -> None:
        half = tf.constant(0.5)
        x = v1.placeholder(tf.float32, [None, 10], name="x")
        mask = tf.floor(half + tf.random.uniform(tf.shape(x)))
        tf.multiply(tf.realdiv(x, half) * mask, half, name="y")

    np.testing.assert_array_equal(converted(saved(build), tmp_path).answer({"x:0": X})["y:0"], X / 2)


def test_dropout_that_keeps_everything_is_not_mentioned() -> None:
    """A rate of 0 is off already."""

    def build() -> None:
        tf.identity(v1.nn.dropout(v1.placeholder(tf.float32, [None, 10], name="x"), rate=tf.constant(0.0)), name="y")

    assert switch_off(Graph(graph_of(build)))[1] == frozenset()


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
    assert switch_off(graph)[1] == frozenset()


def test_predicate_that_chooses_another_model_is_an_input() -> None:
    """A condition between dropout and something else is the user's to say; its dropout is switched off."""
    graph = Graph(graph_of(chosen("which", lambda x: -x)))
    assert find_controls(graph) == {}
    assert len(switch_off(graph)[1]) == 1


def test_condition_upstream_of_dropout_is_an_input() -> None:
    """What merely comes before dropout does not decide about it."""

    def build() -> None:
        x = v1.placeholder(tf.float32, [None, 10], name="x")
        asked = v1.placeholder(tf.bool, [], name="residual")
        tf.identity(of_1_15(v1.cond(asked, lambda: x * 2.0, lambda: x * -3.0)), name="y")

    graph = Graph(graph_of(build))
    assert find_controls(graph) == {}
    assert len(switch_off(graph)[1]) == 1


@pytest.mark.parametrize("role", ["keep", "rate"])
def test_placeholder_is_told_by_what_dropout_does_with_it(role: str) -> None:
    """A placeholder called ``dropout`` is 1 where it is the probability to keep, and 0 where it is the rate."""

    def build() -> None:
        x = v1.placeholder(tf.float32, [None, 10], name="x")
        given = v1.placeholder(tf.float32, [], name="dropout")
        keep = given if role == "keep" else 1.0 - given
        tf.multiply(tf.realdiv(x, keep), tf.floor(keep + tf.random.uniform(tf.shape(x))), name="y")

    assert find_controls(Graph(graph_of(build))) == {"dropout:0": 1.0 if role == "keep" else 0.0}


def test_dropout_stays_on_if_it_shall(saved: Saver) -> None:
    """With ``dropout: as_saved`` the graph is as it was, and a finding says that it draws random numbers."""
    request = saved(lambda: of_1_15(v1.placeholder(tf.float32, [None, 10], name="x")))
    kept = read_source(replace(request, options=replace(request.options, dropout="as_saved")))
    assert [finding.code for finding in kept.findings if "random" in finding.code] == ["random_in_graph"]
    assert kept.graph.nodes["dropout/mul_1"].op == "Mul"
    off = replace(request, options=replace(request.options, dropout="off"))
    assert read_source(off).graph.nodes["dropout/mul_1"].op == "Identity"


@pytest.mark.parametrize("seed", [7, 0])
def test_frozen_dropout_stays_on_if_a_seed_repeats_it(tmp_path: Path, seed: int) -> None:
    """By itself the job keeps what can be kept exactly; without a seed, or when told so, dropout goes."""

    def build() -> None:
        x = v1.placeholder(tf.float32, [None, 10], name="x")
        uniform = tf.raw_ops.RandomUniform(shape=tf.shape(x), dtype=tf.float32, seed=seed, seed2=0)
        kept = tf.cast(uniform >= tf.constant(0.4), tf.float32)
        tf.multiply(x * tf.constant(1 / 0.6), kept, name="y")

    (tmp_path / "frozen.pb").write_bytes(graph_of(build).SerializeToString())
    request = SourceRequest(format=Format.GRAPH_DEF, directory=str(tmp_path), entry="frozen.pb")
    off = replace(request, options=ArtifactOptions(dropout="off"))
    assert read_source(request).graph.nodes["y"].op == ("Mul" if seed else "Identity")
    assert read_source(off).graph.nodes["y"].op == "Identity"
