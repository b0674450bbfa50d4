from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from job.engine.lift import argument_names, lift
from job.engine.source_graph import read_source
from job.errors import Refused
from job.records import Signature, TensorSpec
from tests.engine.models import Saver, converted, ref, v1

X = np.random.default_rng(0).normal(size=[4, 8]).astype(np.float32)


def network() -> None:
    x = v1.placeholder(tf.float32, [None, 8], name="x")
    hidden = tf.nn.relu(x @ ref("hidden/kernel", X.T) + ref("hidden/bias", np.full(4, 0.1, np.float32)))
    mean, variance = tf.nn.moments(hidden, [1], keepdims=True)
    scaled = v1.nn.batch_normalization(hidden, mean, variance, ref("beta", 0.5), ref("gamma", 2.0), 1e-3)
    recurrent = v1.get_variable("recurrent", initializer=np.eye(4, dtype=np.float32), use_resource=True)
    last = tf.tanh(scaled @ recurrent)
    rows = ref("rows", np.arange(4, dtype=np.int32))
    tf.matmul(last, tf.gather(ref("embedding", X), rows), name="y")


def test_gradients_reach_every_float_variable(saved: Saver, tmp_path: Path) -> None:
    """The reloaded SavedModel can be fine-tuned: a loss has a finite gradient by each float variable."""
    model = converted(saved(network), tmp_path)
    loaded = tf.saved_model.load(str(model.directory))
    function = loaded.signatures["serving_default"]
    trainable = {variable.name.split(":")[0]: variable for variable in function.trainable_variables}
    assert set(trainable) == {"hidden/kernel", "hidden/bias", "beta", "gamma", "recurrent", "embedding"}
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(tf.square(function(x=tf.constant(X))["y"]))
    gradients = dict(zip(trainable, tape.gradient(loss, list(trainable.values())), strict=True))
    assert all(gradient is not None for gradient in gradients.values())
    for name, gradient in gradients.items():
        dense = tf.convert_to_tensor(gradient).numpy()
        assert np.isfinite(dense).all(), name
        assert np.abs(dense).max() > 0, name


@pytest.mark.xfail(strict=True, reason="TensorFlow differentiates no v1 loop or cond that was imported")
@pytest.mark.parametrize("flow", ["loop", "cond"])
def test_gradients_pass_control_flow(saved: Saver, tmp_path: Path, flow: str) -> None:
    """A variable inside a v1 loop or branch gets a gradient, too."""

    def build() -> None:
        x = v1.placeholder(tf.float32, [None, 8], name="x")
        square = ref("square", np.eye(8, dtype=np.float32))
        if flow == "loop":
            _, last = tf.while_loop(lambda step, _: step < 3, lambda step, state: (step + 1, state @ square), (0, x))
        else:
            last = tf.cond(tf.reduce_sum(x) < 1e9, lambda: x @ square, lambda: x)
        tf.identity(last, name="y")

    model = converted(saved(build), tmp_path)
    function = tf.saved_model.load(str(model.directory)).signatures["serving_default"]
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(tf.square(function(x=tf.constant(X))["y"]))
    assert all(gradient is not None for gradient in tape.gradient(loss, list(function.trainable_variables)))


def test_training_step_changes_the_answer(saved: Saver, tmp_path: Path) -> None:
    """A step of gradient descent on the reloaded variables makes the loss smaller: they are the ones that are read."""
    loaded = tf.saved_model.load(str(converted(saved(network), tmp_path).directory))
    function = loaded.signatures["serving_default"]

    def loss() -> tf.Tensor:
        return tf.reduce_mean(tf.square(function(x=tf.constant(X))["y"]))

    with tf.GradientTape() as tape:
        before = loss()
    variables = list(function.trainable_variables)
    for variable, gradient in zip(variables, tape.gradient(before, variables), strict=True):
        variable.assign_sub(1e-4 * tf.convert_to_tensor(gradient))
    assert float(loss()) < float(before)


def test_variables_keep_names_and_types(saved: Saver, tmp_path: Path) -> None:
    """The model's variables bear their TF1 names and dtypes, and integers are not trainable."""
    state = converted(saved(network), tmp_path).candidate._loaded.state
    assert state["rows"].dtype == tf.int32
    assert not state["rows"].trainable
    assert state["hidden/kernel"].shape == [8, 4]


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("dtype", [tf.float32, tf.bfloat16, tf.float16])
def test_weights_that_are_no_numbers_are_refused(saved: Saver, bad: float, dtype: tf.DType) -> None:
    """NaN or infinity in a variable is refused by name, of any float type, and converted where the user allows it."""

    def build() -> None:
        x = v1.placeholder(dtype, [None, 2], name="x")
        tf.multiply(x, ref("gamma", tf.constant([1.0, bad], dtype)), name="y")

    source = read_source(saved(build))
    with pytest.raises(Refused, match="1 of 1 variables hold NaN or infinity: gamma") as caught:
        lift(source, allow_nonfinite=False)
    assert "--allow-nonfinite" in caught.value.remedy
    assert lift(source, allow_nonfinite=True).state["gamma"].dtype == dtype


def test_model_without_a_default_signature_can_be_called() -> None:
    """Argument names are legal and unique, whatever the keys are."""
    keys = ("in/x", "in x", "1", "class", "x", "self")
    inputs = tuple(TensorSpec(key=key, tensor="t:0", dtype="float32", shape=()) for key in keys)
    names = argument_names(Signature(key="s", inputs=inputs, outputs=()))
    assert len(set(names)) == len(keys)
    assert all(name.isidentifier() for name in names)
