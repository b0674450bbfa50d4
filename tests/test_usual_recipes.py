"""How the recipes that one finds for loading a TF1 model in TF2 go wrong, as ``docs/resnet50.md`` tells it."""

import contextlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf  # noqa: TID253 - it is TensorFlow's own ways that are shown
from tensorflow.core.protobuf import saved_model_pb2  # noqa: TID253

from job.engine.target.history import unknown_to

v1 = tf.compat.v1

PIXELS, CHANNELS, CLASSES = 8, 4, 3
IMAGES = np.random.default_rng(0).normal(size=(2, PIXELS, PIXELS, 3)).astype(np.float32)

VARIABLES: dict[str, dict[str, tuple[int, ...]]] = {
    "conv1_conv": {"kernel": (3, 3, 3, CHANNELS), "bias": (CHANNELS,)},
    "conv1_bn": dict.fromkeys(("gamma", "beta", "moving_mean", "moving_variance"), (CHANNELS,)),
    "probs": {"kernel": (CHANNELS, CLASSES), "bias": (CLASSES,)},
}
"""Of a network as small as one can be, called as tf.keras 1.15 calls those of ResNet50."""


def value_of(name: str, shape: tuple[int, ...]) -> Any:
    """Return a variable's value by its name; all positive, so that variances are, too."""
    return np.random.default_rng(list(name.encode())).uniform(0.5, 1.5, shape).astype(np.float32)


def network(images: Any) -> Any:
    """Build it with TF1's reference variables, as ``get_variable`` and ``tf.layers`` make them."""
    values = {
        layer: [
            v1.get_variable(f"{layer}/{name}", initializer=value_of(f"{layer}/{name}", shape), use_resource=False)
            for name, shape in shapes.items()
        ]
        for layer, shapes in VARIABLES.items()
    }
    (kernel, bias), (gamma, beta, mean, variance), (head, head_bias) = values.values()
    features = tf.nn.bias_add(tf.nn.conv2d(images, kernel, 2, "VALID"), bias)
    features = tf.nn.relu(tf.nn.batch_normalization(features, mean, variance, beta, gamma, 1e-5))
    return tf.identity(tf.reduce_mean(features, [1, 2]) @ head + head_bias, name="logits")


@pytest.fixture
def answers(tmp_path: Path) -> Any:
    """Write ``saved_model``, ``model.ckpt`` with ``.meta`` and ``frozen.pb``, and return the logits of `IMAGES`."""
    with tf.Graph().as_default() as graph, v1.Session() as session:
        images = v1.placeholder(tf.float32, [None, PIXELS, PIXELS, 3], name="images")
        logits = network(images)
        session.run(v1.global_variables_initializer())
        v1.train.Saver().save(session, str(tmp_path / "model.ckpt"))
        v1.saved_model.simple_save(session, str(tmp_path / "saved_model"), {"images": images}, {"logits": logits})
        frozen = v1.graph_util.convert_variables_to_constants(session, graph.as_graph_def(), ["logits"])
        (tmp_path / "frozen.pb").write_bytes(frozen.SerializeToString())
        return session.run(logits, {images: IMAGES})


def served(model: Any) -> Any:
    return model.signatures["serving_default"](images=tf.constant(IMAGES))["logits"]


def apart(wanted: Any, given: Any) -> float:
    """Return how far answers are apart, relative to their scale."""
    return float(np.abs(wanted - given).max() / np.abs(wanted).max())


def test_a_saved_model_is_loaded_and_saved(tmp_path: Path, answers: Any) -> None:
    """It answers rightly once loaded, is saved without a word, and the copy has no weights."""
    loaded = tf.saved_model.load(str(tmp_path / "saved_model"))
    assert apart(answers, served(loaded)) < 1e-6
    tf.saved_model.save(loaded, str(tmp_path / "copy"), signatures=loaded.signatures)
    copy = tf.saved_model.load(str(tmp_path / "copy"))
    with pytest.raises(tf.errors.FailedPreconditionError, match="Attempting to use uninitialized value"):
        served(copy)


@pytest.mark.usefixtures("answers")
def test_a_meta_graph_is_wrapped_as_the_guide_says(tmp_path: Path) -> None:
    """The function has no variables, so there is nothing to restore."""
    prefix = str(tmp_path / "model.ckpt")
    wrapped = v1.wrap_function(lambda: v1.train.import_meta_graph(prefix + ".meta") and None, [])
    with pytest.raises(ValueError, match="No variables to save"):
        v1.train.Saver(wrapped.variables).restore(None, prefix)


@pytest.mark.usefixtures("answers")
def test_keras_loads_a_saved_model(tmp_path: Path) -> None:
    """Keras 3 does not."""
    with pytest.raises(ValueError, match=r"Keras 3 only supports V3 `\.keras` files"):
        tf.keras.models.load_model(tmp_path / "saved_model")


@pytest.mark.usefixtures("answers")
def test_keras_takes_a_tensor_of_the_graph(tmp_path: Path) -> None:
    """Keras 3 builds models from tensors of its own only."""
    graph_def = v1.GraphDef.FromString((tmp_path / "frozen.pb").read_bytes())
    with tf.Graph().as_default() as graph:
        tf.import_graph_def(graph_def, name="")
        with pytest.raises(ValueError, match="must be a KerasTensor"):
            tf.keras.Input(tensor=graph.get_tensor_by_name("images:0"))


def test_kernels_and_biases_are_matched_and_the_rest_passed_over(tmp_path: Path, answers: Any) -> None:
    """Batch norm has neither, and the head has another name now: 2 variables of 8 are loaded, and nothing is said."""
    model = tf.keras.Sequential(
        [
            tf.keras.Input((PIXELS, PIXELS, 3)),
            tf.keras.layers.Conv2D(CHANNELS, 3, 2, name="conv1_conv"),
            tf.keras.layers.BatchNormalization(epsilon=1e-5, name="conv1_bn"),
            tf.keras.layers.ReLU(),
            tf.keras.layers.GlobalAveragePooling2D(),
            tf.keras.layers.Dense(CLASSES, name="predictions"),
        ]
    )
    reader = tf.train.load_checkpoint(str(tmp_path / "model.ckpt"))
    before = model.get_weights()
    for layer in model.layers:
        with contextlib.suppress(Exception):  # the recipe: except: pass
            layer.set_weights([reader.get_tensor(f"{layer.name}/{part}") for part in ("kernel", "bias")])
    loaded = [not np.array_equal(old, new) for old, new in zip(before, model.get_weights(), strict=True)]
    assert sum(loaded) == 2
    assert len(loaded) == 8
    assert apart(answers, model(IMAGES)) > 0.1


@pytest.mark.parametrize(("pixels", "same"), [(224, False), (225, True)])
def test_the_pooling_of_slim_is_done_as_keras_does_it(pixels: int, *, same: bool) -> None:
    """``ResNet50`` of Keras pads both sides and slim lets SAME decide: other answers at 224 pixels, none at 225."""
    features = np.random.default_rng(0).random((1, -(-pixels // 2), -(-pixels // 2), 1)).astype(np.float32)
    slim = tf.nn.max_pool2d(features, 3, 2, "SAME")
    keras = tf.nn.max_pool2d(tf.pad(features, [[0, 0], [1, 1], [1, 1], [0, 0]]), 3, 2, "VALID")
    assert slim.shape == keras.shape
    assert bool(tf.reduce_all(slim == keras)) == same


def test_an_old_tensorflow_loads_what_the_newest_saved(tmp_path: Path) -> None:
    """Whatever has a variable is saved with an op that TF 2.4 has not heard of."""
    module = tf.Module()
    module.weight = tf.Variable(1.0)
    tf.saved_model.save(module, str(tmp_path / "new"))
    saved = saved_model_pb2.SavedModel.FromString((tmp_path / "new" / "saved_model.pb").read_bytes())
    functions = saved.meta_graphs[0].graph_def.library.function
    used = {node.op for function in functions for node in function.node_def}
    assert used & set(unknown_to("2.4").ops) == {"DisableCopyOnRead"}


@pytest.mark.usefixtures("answers")
def test_a_checkpoint_is_named_by_its_index(tmp_path: Path) -> None:
    """The index is no checkpoint: it is read without complaint, and holds nothing."""
    prefix = str(tmp_path / "model.ckpt")
    assert tf.train.load_checkpoint(prefix + ".index").get_variable_to_shape_map() == {}
    assert len(tf.train.load_checkpoint(prefix).get_variable_to_shape_map()) == 8


@pytest.mark.usefixtures("answers")
def test_a_frozen_graph_is_renamed_to_saved_model(tmp_path: Path) -> None:
    """It loads without complaint, as a model that has nothing to call."""
    (tmp_path / "renamed").mkdir()
    (tmp_path / "frozen.pb").rename(tmp_path / "renamed" / "saved_model.pb")
    assert dict(tf.saved_model.load(str(tmp_path / "renamed")).signatures) == {}
