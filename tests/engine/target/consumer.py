"""What an old TensorFlow is told to do with models: load them, call them, train them, as plainly as its users would.

Runs under Python 3.8 with no more than TensorFlow: consumer.py ORDERS.json RESULTS.json
"""

from __future__ import annotations

import base64
import json
import os
import sys
from pathlib import Path
from typing import Any

# What is held against each other is the conversion, not what an optimizer of the time made of it.
os.environ.update(CUDA_VISIBLE_DEVICES="-1", TF_CPP_MIN_LOG_LEVEL="3", TF_ENABLE_ONEDNN_OPTS="0")
import numpy as np
import tensorflow as tf
from tensorflow.python.client import pywrap_tf_session

tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})

STEP = 1e-3
"""By how much of itself a step of training is to lower a loss, to the first order."""


def consume(order: dict[str, Any]) -> dict[str, Any]:
    """Load one model and return how far its answers are from the expected ones, or the error of whatever failed."""
    try:
        loaded = tf.saved_model.load(order["saved_model"])
        worst = max([distance(loaded, call) for call in order["calls"]])
        return {"error": "", "worst": worst, **(train(loaded, order["calls"][0]) if order["trains"] else {})}
    except Exception as error:  # noqa: BLE001 - whatever it is, the test tells
        return {"error": f"{type(error).__name__}: {error}"}


def distance(loaded: Any, call: dict[str, Any]) -> float:
    """Return the largest error of one call's outputs, relative to their scale; infinite where they must be equal."""
    said = answer(loaded, call)
    with np.load(call["arrays"]) as arrays:
        return max(relative(said[key].numpy(), value_of(arrays, name)) for key, name in call["outputs"].items())


def answer(loaded: Any, call: dict[str, Any]) -> dict[str, tf.Tensor]:
    """Return a signature's outputs."""
    function = loaded.signatures[call["signature"]]
    specs = function.structured_input_signature[1]
    with np.load(call["arrays"]) as arrays:
        feeds = {key: tf.constant(value_of(arrays, name), specs[key].dtype) for key, name in call["inputs"].items()}
    outputs: dict[str, tf.Tensor] = function(**feeds)
    return outputs


def value_of(arrays: Any, name: str) -> Any:
    """Return a stored array; strings are in base64, since NumPy drops their trailing NULs."""
    array = arrays[name]
    if array.dtype.kind != "S":
        return array
    return np.array([*map(base64.b64decode, array.ravel()), None], object)[:-1].reshape(array.shape)


def relative(said: Any, expected: Any) -> float:
    """Return the largest difference relative to the scale of what was expected."""
    said = np.asarray(said, object if isinstance(said, bytes) else None)
    if said.shape != expected.shape:
        return float("inf")
    if expected.dtype.kind != "f":
        return 0.0 if (said == expected).all() else float("inf")
    worst = np.abs(said.astype("f8") - expected.astype("f8")).max(initial=0)
    return float(worst / max(np.abs(expected).max(initial=0), 1e-30))


def train(loaded: Any, call: dict[str, Any]) -> dict[str, Any]:
    """Take one step down the gradient of a signature's squared outputs."""
    variables = loaded.signatures[call["signature"]].trainable_variables
    with tf.GradientTape() as tape:
        before = loss(loaded, call)
    gradients = tape.gradient(before, variables)
    reached = [(variable, gradient) for variable, gradient in zip(variables, gradients) if gradient is not None]  # noqa: B905 - Python 3.8
    rate = STEP * before / tf.add_n([tf.reduce_sum(gradient**2) for _, gradient in reached])
    for variable, gradient in reached:
        variable.assign_sub(rate * gradient)
    return {"trained": len(reached), "before": float(before), "after": float(loss(loaded, call))}


def loss(loaded: Any, call: dict[str, Any]) -> tf.Tensor:
    """Return the sum of all squared outputs that are floats."""
    floats = [value for value in answer(loaded, call).values() if value.dtype.is_floating]
    return tf.add_n([tf.reduce_sum(value**2) for value in floats])


def registered() -> str:
    """Return the ops that this TensorFlow knows, an ``OpList`` in base64."""
    listed = pywrap_tf_session.TF_GetBuffer(pywrap_tf_session.TF_GetAllOpList())
    return base64.b64encode(listed).decode()


if __name__ == "__main__":
    orders = json.loads(Path(sys.argv[1]).read_text())
    results = {name: consume(order) for name, order in orders.items()}
    Path(sys.argv[2]).write_text(json.dumps({"version": tf.__version__, "ops": registered(), "models": results}))
