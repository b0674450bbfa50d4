from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from job.engine.assembling import read_source
from job.engine.lift import argument_names, lift
from job.engine.runners import Baseline
from job.engine.weightless import WEIGHT_BYTES
from job.errors import Refused
from job.records import ArtifactOptions, Signature, TensorSpec
from tests.engine.models import Saver, converted, ref, request_of, v1

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


@pytest.mark.parametrize("keys", [("class", "lambda"), ("in_x_2", "in/x", "in x"), ("self", "x"), ("é", "")])
def test_keys_that_are_no_python_names_keep_their_place(saved: Saver, tmp_path: Path, keys: tuple[str, ...]) -> None:
    """A signature's inputs may be called as Python's keywords are, or alike once made legal; clients keep the keys."""

    def build() -> None:
        inputs = [v1.placeholder(tf.float32, [None], name=f"x{number}") for number, _ in enumerate(keys)]
        tf.add_n([value * 10.0**number for number, value in enumerate(inputs)], name="y")

    saved(build)
    options = ArtifactOptions(inputs={key: f"x{number}:0" for number, key in enumerate(keys)}, outputs={"y": "y:0"})
    model = converted(request_of(tmp_path / "source", options), tmp_path)
    feeds = {f"x{number}:0": np.array([number + 1.0], np.float32) for number, _ in enumerate(keys)}
    assert model.answer(feeds)["y:0"] == sum((number + 1.0) * 10**number for number, _ in enumerate(keys))
    written = saved_model_pb2.SavedModel.FromString((model.directory / "saved_model.pb").read_bytes())
    assert set(written.meta_graphs[0].signature_def["serving_default"].inputs) == set(keys)


def averaged() -> None:
    x = v1.placeholder(tf.float32, [None, 2], name="x")
    names = ("kernel", "bn/moving_mean", "bn/moving_variance", "kernel/ExponentialMovingAverage", "frozen")
    values = [ref(name, [1.0, 2.0], trainable=name == "kernel") for name in names]
    tf.identity(x * tf.add_n(values), name="y")


@pytest.mark.parametrize("is_told", [True, False])
def test_what_no_gradient_changed_is_not_trainable(saved: Saver, tmp_path: Path, *, is_told: bool) -> None:
    """The MetaGraph's own collection tells; without one, the names of moving averages do."""
    request = saved(averaged)
    path = tmp_path / "source" / "model.ckpt.meta"
    meta = v1.MetaGraphDef.FromString(path.read_bytes())
    if not is_told:
        del meta.collection_def["trainable_variables"]
    path.write_bytes(meta.SerializeToString())
    state = converted(request, tmp_path).candidate._loaded.state
    assert {name for name in state if state[name].trainable} == {"kernel"} | (set() if is_told else {"frozen"})


def test_node_may_wait_for_a_frozen_weight(saved: Saver, tmp_path: Path) -> None:
    """A weight that is named as a control input, too, as an optimizer's grouping leaves it, is lifted all the same."""
    weights = np.ones([WEIGHT_BYTES // 4, 2], np.float32)

    def build() -> None:
        x = v1.placeholder(tf.float32, [None, 2], name="x")
        frozen = tf.constant(weights, name="frozen")
        with tf.control_dependencies([frozen.op]):
            shifted = x + ref("bias", 1.0)
        tf.matmul(shifted, frozen, transpose_b=True, name="y")

    model = converted(saved(build), tmp_path)
    answer = model.answer({"x:0": np.array([[1.0, 2.0]], np.float32)})["y:0"]
    np.testing.assert_array_equal(answer, np.full([1, WEIGHT_BYTES // 4], 5.0))


def test_input_of_an_old_graph_takes_any_shape(saved: Saver, tmp_path: Path) -> None:
    """An old graph's placeholder without dimensions is of unknown shape on both sides, and not a scalar."""

    def build() -> None:
        tf.multiply(v1.placeholder(tf.float32, name="x"), ref("gamma", 2.0), name="y")

    request = saved(build)
    path = tmp_path / "source" / "model.ckpt.meta"
    meta = v1.MetaGraphDef.FromString(path.read_bytes())
    meta.graph_def.versions.producer = 15
    x = next(node for node in meta.graph_def.node if node.name == "x")
    x.attr["shape"].shape.CopyFrom(tf.TensorShape([]).as_proto())
    for node in meta.graph_def.node:
        node.attr.pop("_output_shapes", None)
    path.write_bytes(meta.SerializeToString())
    model = converted(request, tmp_path)
    assert model.signature().inputs[0].shape is None
    feed = np.ones([2, 3], np.float32)
    np.testing.assert_array_equal(model.answer({"x:0": feed})["y:0"], 2 * feed)
    with closing(Baseline(model.source, "exact")) as baseline:
        np.testing.assert_array_equal(baseline.run(model.signature(), [feed])[0], 2 * feed)
