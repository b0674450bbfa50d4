from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from job.engine.graph import Graph
from job.engine.interface.switches import find_switches, findings, inference_value
from job.engine.samples.making import candidates
from job.records import ArtifactOptions
from tests.engine.interface.test_signatures import served, signature
from tests.engine.models import Saver, assert_same, converted, graph_of, ref, request_of, v1

ANY: Any = None


def placeholder(name: str, dtype: tf.DType, shape: Sequence[int | None] | None) -> Any:
    """Return the placeholder's node."""
    return graph_of(lambda: v1.placeholder(dtype, shape, name=name)).node[-1]


@pytest.mark.parametrize("shape", [ANY, [], [1]], ids=["unknown", "scalar", "one element"])
@pytest.mark.parametrize(
    "name",
    [
        "is_training",
        "training",
        "train",
        "isTraining",
        "IsTrain",
        "is_train",
        "model/is_training_1",
        "train_phase",
        "phase_train",
        "phase",
        "train_mode",
        "training_flag",
        "train_flag",
        "bn_train",
        "keras_learning_phase",
        "batch_normalization_1/keras_learning_phase",
        "Placeholder/is_training",
        "is_training_ph",
        "is_training_pl",
        "training_placeholder",
        "istrain",
        "train_mode_placeholder",
    ],
)
def test_training_flags_are_off(name: str, shape: Any) -> None:
    """A boolean named for training is false at inference, an integer 0, whatever the scope."""
    assert inference_value(placeholder(name, tf.bool, shape)) is False
    assert inference_value(placeholder(name, tf.int32, shape)) == 0


@pytest.mark.parametrize("name", ["is_test", "is_testing", "testing", "test_mode", "is_inference", "model/is_eval_1"])
def test_testing_flags_are_on(name: str) -> None:
    """A boolean named for what training is not is true at inference."""
    assert inference_value(placeholder(name, tf.bool, [])) is True


@pytest.mark.parametrize("name", ["is_training", "keras_learning_phase", "bn_train", "is_train_1"])
def test_fractional_flags_are_zero(name: str) -> None:
    """A float that is surely one value and surely named for training is 0."""
    assert inference_value(placeholder(name, tf.float32, [])) == pytest.approx(0.0)
    assert inference_value(placeholder(name, tf.float32, ANY)) is None


@pytest.mark.parametrize("name", ["use_dropout", "apply_dropout"])
def test_dropout_flags_are_off(name: str) -> None:
    """A boolean that asks for dropout is false."""
    assert inference_value(placeholder(name, tf.bool, [])) is False


@pytest.mark.parametrize(
    "name",
    ["keep_prob", "keepProb", "keep_probability", "dropout/keep_prob", "keep_prob_1", "dropout_keep_prob", "keep_rate",
     "keep", "dropoutKeepProb",
     "dropout_keep_probability", "keep_prob_ph", "kp/keepprob", "keep_prob_placeholder", "input_keep_prob"],
)  # fmt: skip
def test_keep_probabilities_are_one(name: str) -> None:
    """A float named for keeping is 1, of any float type."""
    for dtype in (tf.float32, tf.float16, tf.float64):
        assert inference_value(placeholder(name, dtype, [])) == pytest.approx(1.0)


@pytest.mark.parametrize(
    "name",
    ["dropout", "dropout_rate", "drop_rate", "model/dropout_prob", "drop_prob", "drop", "dropout_1", "hidden_dropout",
     "dropout_p", "dropout_ratio", "dropout_ph", "dropout_placeholder", "dropout_rate_ph", "drop_out"],
)  # fmt: skip
def test_dropout_rates_are_zero(name: str) -> None:
    """A float named for dropping is 0."""
    assert inference_value(placeholder(name, tf.float32, [])) == pytest.approx(0.0)


@pytest.mark.parametrize(
    ("name", "dtype", "shape"),
    [
        ("flag", tf.bool, []),
        ("use_attention", tf.bool, []),
        ("training_data", tf.float32, [None, 3]),
        ("training_data", tf.float32, ANY),
        ("train", tf.float32, ANY),
        ("train", tf.float32, []),
        ("phase", tf.float32, []),
        ("is_training", tf.bool, [None]),
        ("is_training", tf.bool, [2]),
        ("testing", tf.int32, []),
        ("is_testimony", tf.float32, []),
        ("contest", tf.bool, []),
        ("is_training", tf.string, []),
        ("train_op", tf.bool, []),
        ("training_ids", tf.int32, ANY),
        ("trainable", tf.bool, []),
        ("constrain", tf.bool, []),
        ("strain", tf.int32, ANY),
        ("dropout_mask", tf.float32, ANY),
        ("dropout", tf.bool, []),
        ("dropout", tf.float32, [None, 4]),
        ("keep_prob", tf.float32, [4]),
        ("upkeep", tf.float32, []),
        ("keep_threshold", tf.float32, []),
        ("num_train", tf.int32, []),
        ("backdrop", tf.float32, ANY),
        ("raindrop_rate", tf.float32, ANY),
        ("housekeep_rate_of_pay", tf.int32, []),
        ("x", tf.float32, ANY),
        ("phases", tf.int32, ANY),
        ("training/x", tf.int32, ANY),
        ("learning_rate", tf.float32, []),
    ],
)
def test_other_placeholders_are_inputs(name: str, dtype: tf.DType, shape: Any) -> None:
    """What is of another type, has dimensions or only resembles such a name stays an input."""
    assert inference_value(placeholder(name, dtype, shape)) is None


def test_default_does_not_matter() -> None:
    """A switch with a default is bound to its inference value, not to the default; other ops are no switches."""

    def build() -> None:
        v1.placeholder_with_default(True, [], name="is_training")
        v1.placeholder_with_default(0.5, [], name="keep_prob")
        tf.constant(True, name="training")

    assert find_switches(Graph(graph_of(build))) == {"is_training:0": False, "keep_prob:0": 1.0}


def test_dropout_that_divides_is_kept() -> None:
    """What is called dropout and divides is a probability to keep, as TF1's own argument was."""

    def build() -> None:
        x = v1.placeholder(tf.float32, [None], name="x")
        tf.divide(x, v1.placeholder(tf.float32, [], name="dropout"))
        tf.divide(x, 1.0 - v1.placeholder(tf.float32, [], name="dropout_rate"))

    assert find_switches(Graph(graph_of(build))) == {"dropout:0": 1.0, "dropout_rate:0": 0.0}


def test_what_only_sounds_like_dropout_is_data(saved: Saver, tmp_path: Any) -> None:
    """A number named for dropping stays an input where no random number meets it, and is sampled as data is."""

    def build() -> None:
        x, fell = v1.placeholder(tf.float32, [None, 2], name="x"), v1.placeholder(tf.float32, [], name="price_drop")
        rate = v1.placeholder(tf.float32, [], name="drop_rate")
        kept = tf.cast(tf.random.uniform(tf.shape(x)) >= rate, tf.float32)
        tf.add(x * kept, fell, name="y")

    request = saved(build)
    model = converted(request, tmp_path)
    assert [spec.tensor for spec in model.signature().inputs] == ["x:0", "price_drop:0"]
    assert model.source.switches == {"drop_rate:0": 0.0}
    sample = next(next(candidates(model.source, model.signature(), 1)))
    assert sample.feeds[1] != 0


def test_switch_of_one_element_keeps_its_shape(saved: Saver, tmp_path: Any) -> None:
    """A switch of shape [1] is bound with that shape, on both sides."""

    def build() -> None:
        training = v1.placeholder(tf.bool, [1], name="is_training")
        x = v1.placeholder(tf.float32, [None, 2], name="x")
        tf.cond(tf.squeeze(training, [0]), lambda: x * 10, lambda: x, name="y")

    assert_same(saved(build), tmp_path, ["y/Merge:0"], [{"x:0": X}], fed={"is_training:0": [False]})


def test_switch_that_one_signature_declares_is_bound_in_the_other(tmp_path: Any) -> None:
    """A declared switch is an input of its signature, and has its inference value where it is not declared."""

    def build() -> Any:
        x, training = v1.placeholder(tf.float32, [None, 2], name="x"), v1.placeholder(tf.bool, [], name="is_training")
        one = ref("one", 1.0)
        y = tf.cond(training, lambda: x * 10, lambda: x * one)
        return {
            "both": signature({"x": x, "training": training}, {"y": y}),
            "serving_default": signature({"x": x}, {"y": y}),
        }

    model = converted(served(tmp_path, build), tmp_path)
    assert {one.key: len(one.inputs) for one in model.source.signatures} == {"both": 2, "serving_default": 1}
    (bound,) = model.answer({"x:0": X}).values()
    (trained,) = model.answer({"x:0": X, "is_training:0": True}, "both").values()
    np.testing.assert_array_equal(bound, X)
    np.testing.assert_array_equal(trained, X * 10)


def test_findings_say_tensor_and_value() -> None:
    """Each bound switch is said once, with its value and how to keep it."""
    (finding,) = findings({"is_training:0": False})
    assert "is_training:0 was set to False" in finding.cause
    assert "inputs" in finding.remedy


X = np.array([[1.0, -2.0]], np.float32)


def switched() -> None:
    x, training = v1.placeholder(tf.float32, [None, 2], name="x"), v1.placeholder(tf.bool, [], name="is_training")
    scale = v1.placeholder_with_default(tf.constant(0.5), [], name="keep_prob")
    tf.identity(tf.cond(training, lambda: x * 10, lambda: x) / scale, name="y")


def test_bound_switches_are_no_inputs(saved: Saver, tmp_path: Any) -> None:
    """The SavedModel of a model with switches has only its data as input, and answers as at inference."""
    model = assert_same(
        saved(switched), tmp_path, ["y:0"], [{"x:0": X}], fed={"is_training:0": False, "keep_prob:0": 1.0}
    )
    assert [spec.tensor for spec in model.signature().inputs] == ["x:0"]
    assert [finding.code for finding in model.source.findings].count("training_switch_bound") == 2


def test_switch_named_as_input_stays_one(saved: Saver, tmp_path: Any) -> None:
    """A switch that the user names under `inputs` is an input like the others."""
    options = ArtifactOptions(inputs={"x": "x:0", "training": "is_training"}, outputs={"y": "y"})
    saved(switched)
    model = assert_same(
        request_of(tmp_path / "source", options),
        tmp_path,
        ["y:0"],
        [{"x:0": X, "is_training:0": True}, {"x:0": X, "is_training:0": False}],
        fed={"keep_prob:0": 1.0},
    )
    assert model.source.switches == {"keep_prob:0": 1.0}
