"""A user of a file for Keras 3 who has nothing of this project; run as a program of its own.

It takes the file and an archive of inputs by key, writes one of outputs by key beside that (``answer`` where there is
but one), and prints what it saw as JSON.
"""

import json
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np


def named(said: Any) -> dict[str, Any]:
    """Return outputs by key."""
    by_key = said if isinstance(said, dict) else {"answer": said}
    return {key: np.asarray(value) for key, value in by_key.items()}


def main(file: str, fed: str) -> None:
    """Load the model, ask it, and train it for a step towards answers that are one off."""
    model = keras.saving.load_model(file)
    inputs = dict(np.load(fed))
    feeds = inputs if len(inputs) > 1 else next(iter(inputs.values()))
    outputs = model(feeds, training=False)
    np.savez(Path(fed).with_name("answers.npz"), **named(outputs))
    before = {weight.path: weight.numpy() for weight in model.weights}
    is_one = not isinstance(outputs, dict)
    model.compile(keras.optimizers.SGD(0.1), loss="mse" if is_one else dict.fromkeys(outputs, "mse"))
    wanted = {key: value + 1 for key, value in named(outputs).items()}
    model.fit(feeds, wanted["answer"] if is_one else wanted, verbose=0)
    seen = {
        "ours": [name for name in sys.modules if name.partition(".")[0] in ("job", "tests")],
        "layers": [layer.name for layer in model.layers if layer.weights],
        "trainable": [weight.path for weight in model.trainable_weights],
        "unmoved": [weight.path for weight in model.weights if np.array_equal(before[weight.path], weight.numpy())],
    }
    print(json.dumps(seen))  # noqa: T201 - it is how the test hears of it


if __name__ == "__main__":
    main(*sys.argv[1:])
