"""Writes ResNet-50s of full size as TensorFlow 1.15.5 leaves them, each in four forms, and its own logits.

``scripts/make-resnet50 DIR`` runs it. Below ``DIR/source`` there is a folder for each network and form; the
answers are ``DIR/<network>.npz``: images and logits at 224 and 225 pixels.
"""

from __future__ import annotations  # Python 3.7 runs this

import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow.compat.v1 as tf  # noqa: TID253 - it is TensorFlow that writes them
from tensorflow.contrib import slim  # noqa: TID253 - 1.15.5 has it
from tensorflow.contrib.slim.nets import resnet_v1  # noqa: TID253 - as before

from tests.architectures import weights
from tests.goldens import artifacts

IMAGES = 8
OUTPUTS = ["logits", "probabilities"]
LAST_SCALES = ("/conv3/BatchNorm/gamma", "_3_bn/gamma")
"""How slim and Keras call the scale of a block's last batch norm."""


def keras_resnet50(images: Any) -> Any:
    """Return the logits of ``tf.keras.applications.ResNet50``, which are inside its last layer."""
    tf.keras.backend.set_learning_phase(0)
    inputs = tf.keras.layers.Input(tensor=images)
    model = tf.keras.applications.ResNet50(weights=None, input_tensor=inputs)
    return model.output.op.inputs[0]


def slim_resnet50(images: Any) -> Any:
    """Return the logits of slim's ``resnet_v1_50``, which leaves them as [batch, 1, 1, classes]."""
    with slim.arg_scope(resnet_v1.resnet_arg_scope()):
        logits, _ = resnet_v1.resnet_v1_50(images, 1000, is_training=False)
    return tf.squeeze(logits, [1, 2])


NETWORKS = {"keras": (keras_resnet50, tf.train.SaverDef.V2), "slim": (slim_resnet50, tf.train.SaverDef.V1)}
"""Each with the format of its bare checkpoint: slim's own are published in the first one, a single file."""


def build(network: Any) -> Any:
    """Build a network under ``images``, and return a session in which every variable has its value."""
    images = tf.placeholder(tf.float32, [None, None, None, 3], name="images")
    logits = tf.identity(network(images), name="logits")
    tf.nn.softmax(logits, name="probabilities")
    session = artifacts.started()
    for variable in tf.global_variables():
        variable.load(value_of(variable.op.name, variable.shape.as_list()), session)
    return session


def value_of(name: str, shape: list[int]) -> Any:
    """Return a variable's values, in two ways nearer to trained ones than plain random numbers.

    A kernel's filters sum to zero: else 49 layers make all images alike. The scale of what a block adds is
    small, as training leaves it: else they amplify float32's rounding a hundredfold.
    """
    value = weights.value_of(name, shape)
    if len(shape) > 1:
        return value - value.mean(axis=tuple(range(len(shape) - 1)), keepdims=True)
    return value / 4 if name.endswith(LAST_SCALES) else value


def write_forms(session: Any, folder: Path, version: int) -> None:
    """Write the checkpoint with and without its graph, the SavedModel and the frozen graph."""
    for form in ("checkpoint", "checkpoint_with_meta", "frozen"):
        (folder / form).mkdir(parents=True)
    saver = tf.train.Saver(write_version=version)
    saver.save(session, str(folder / "checkpoint" / "resnet50.ckpt"), write_meta_graph=False, write_state=False)
    artifacts.save_checkpoint(session, folder / "checkpoint_with_meta")
    signature = artifacts.signature(["images"], OUTPUTS)
    artifacts.save_model(session, folder / "saved_model", {"serving_default": signature})
    artifacts.freeze(session, folder / "frozen" / "frozen_graph.pb", OUTPUTS)


def answers(session: Any) -> dict[str, Any]:
    """Return images and logits at an even and an odd size."""
    said = {}
    for pixels in (224, 225):
        images = weights.images_of(IMAGES, pixels)
        said[f"images_{pixels}"] = images
        said[f"logits_{pixels}"] = session.run("logits:0", {"images:0": images})
    return said


def main(out: Path) -> None:
    """Write each network and say so."""
    tf.logging.set_verbosity(tf.logging.ERROR)
    for name, (network, version) in NETWORKS.items():
        shutil.rmtree(str(out / "source" / name), ignore_errors=True)
        with tf.Graph().as_default(), build(network) as session:
            write_forms(session, out / "source" / name, version)
            np.savez(str(out / f"{name}.npz"), **answers(session))
        print(out / "source" / name)  # noqa: T201 - a script says what it wrote


if __name__ == "__main__":
    main(Path(sys.argv[1]))
