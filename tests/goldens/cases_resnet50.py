"""ResNet-50's whole topology at 1/32 of its width, in every format."""

from __future__ import annotations  # Python 3.7 runs this

from pathlib import Path
from typing import Any

import tensorflow.compat.v1 as tf  # noqa: TID253 - graphs are built here

from tests.goldens.artifacts import freeze, save_checkpoint, save_model, signature, started
from tests.goldens.cases import images
from tests.goldens.recording import Call, Case
from tests.goldens.resnet50 import resnet50, train

NOTES = "ResNet-50 v1.5, all 53 convolutions and batch norms; 2 to 64 filters instead of 64 to 2048, 10 classes; "
OUTPUTS = ("logits", "probabilities")
SERVED = Call({"images": images(64)}, OUTPUTS, "serving_default", "serving_default")
FED = Call(SERVED.feeds, OUTPUTS)


def _build(training: Any = None) -> Any:
    inputs = tf.placeholder(tf.float32, [None, 64, 64, 3], name="images")
    logits = tf.identity(resnet50(inputs, training=training, width=2, classes=10), name="logits")
    tf.nn.softmax(logits, name="probabilities")
    return logits


def resnet50_saved_model(folder: Path) -> Case:
    """The inference graph, served."""
    _build()
    save_model(started(), folder / "saved_model", {"serving_default": signature(["images"], list(OUTPUTS))})
    return Case("saved_model", NOTES + "reference variables", path="saved_model", calls=(SERVED,))


def resnet50_checkpoint(folder: Path) -> Case:
    """The training graph, with a switch, a loss, an optimizer and its slots, and summaries."""
    training = tf.placeholder_with_default(False, [], name="is_training")
    logits = _build(training)
    train(logits, tf.placeholder(tf.int64, [None], name="labels"), scope="resnet50/(block4/unit3|logits)")
    prefix = save_checkpoint(started(), folder, step=90)
    notes = NOTES + "a training graph that fine-tunes the last unit: is_training (default False), loss, momentum slots"
    return Case("ckpt_meta", notes, prefix=prefix, calls=(FED,))


def resnet50_frozen_pb(folder: Path) -> Case:
    """The inference graph with its weights as constants."""
    _build()
    freeze(started(), folder / "frozen.pb", list(OUTPUTS))
    return Case("frozen_pb", NOTES + "frozen", file="frozen.pb", calls=(FED,))


def resnet50_frozen_pbtxt(folder: Path) -> Case:
    """The same as text."""
    _build()
    freeze(started(), folder / "frozen.pbtxt", list(OUTPUTS))
    return Case("frozen_pbtxt", NOTES + "frozen, as text", file="frozen.pbtxt", calls=(FED,))
