"""Runs an original in TensorFlow 1.15.5 and writes down what a test needs: names, shapes and answers, no weights."""

from __future__ import annotations  # Python 3.7 runs this

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf  # noqa: TID253 - 1.15.5 runs the originals

from tests.architectures import weights

FOLDER = Path(__file__).resolve().parents[1] / "originals"
IMAGES = 2
AVERAGE = "/ExponentialMovingAverage"


class Run(NamedTuple):
    """A model's variables, as shapes by name, and its answers."""

    variables: dict[str, list[int]]
    outputs: dict[str, Any]


def run(
    build: Callable[[dict[str, Any]], dict[str, Any]],
    feeds: Mapping[str, Any],
    *,
    of_averages: bool = False,
    value_of: Callable[[str, Sequence[int]], Any] = weights.value_of,
) -> Run:
    """Build a model, give every variable its value, and run it.

    `build` makes outputs by key from placeholders by key. With `of_averages` each variable takes the
    value that its moving average has.
    """
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        inputs = {key: tf.compat.v1.placeholder(value.dtype, value.shape, key) for key, value in feeds.items()}
        outputs = build(inputs)
        variables = tf.compat.v1.global_variables()
        values = {}
        for variable in variables:
            name = variable.op.name + (AVERAGE if of_averages else "")
            values[variable.initializer.inputs[1]] = value_of(name, variable.shape.as_list())
        session.run([variable.initializer for variable in variables], values)  # load() one by one takes minutes
        answers = session.run(outputs, {inputs[key]: value for key, value in feeds.items()})
        return Run({variable.op.name: variable.shape.as_list() for variable in variables}, answers)


def of_images(
    build: Callable[[dict[str, Any]], dict[str, Any]],
    sizes: Sequence[int],
    *,
    of_averages: bool = False,
    value_of: Callable[[str, Sequence[int]], Any] = weights.value_of,
) -> Run:
    """Run a model of images at each of some sizes; outputs are named ``logits_224``."""
    runs = {
        pixels: run(build, {"images": weights.images_of(IMAGES, pixels)}, of_averages=of_averages, value_of=value_of)
        for pixels in sizes
    }
    answers = {f"{key}_{pixels}": value for pixels, one in runs.items() for key, value in one.outputs.items()}
    return Run(runs[sizes[0]].variables, answers)


def slots_of(variables: Mapping[str, list[int]], *slots: str) -> dict[str, list[int]]:
    """Return the shapes of an optimizer's slots, which only what is trained has."""
    trained = [name for name in variables if not name.rpartition("/")[2].startswith("moving_")]
    return {f"{name}/{slot}": variables[name] for name in trained for slot in slots}


def write(case: str, description: dict[str, Any], answers: dict[str, Any]) -> None:
    """Write ``<case>.json`` and ``<case>.npz``; answers are float32, what was fed to BERT keeps its dtype."""
    text = json.dumps(dict(description, case=case), sort_keys=True, separators=(",", ":"))
    (FOLDER / f"{case}.json").write_text(text + "\n")
    np.savez_compressed(FOLDER / f"{case}.npz", **answers)
    for key, value in sorted(answers.items()):
        print(case, key, value.shape, f"scale {np.abs(value).max():.3g}", f"apart {_apart(value):.3g}")  # noqa: T201


def describe_images(
    origin: str,
    variables: Mapping[str, list[int]],
    sizes: Sequence[int],
    notes: str,
    extras: Mapping[str, list[int]],
    *,
    classes: int = 1001,
) -> dict[str, Any]:
    """Return what the JSON of a model of images says."""
    return {
        "origin": origin,
        "variables": variables,
        "extras": extras,
        "inputs": {"images": {"shape": [None, None, None, 3], "dtype": "float32"}},
        "pixels": list(sizes),
        "outputs": {"logits": [f"logits_{pixels}" for pixels in sizes]},
        "classes": classes,
        "notes": notes,
    }


def _apart(value: Any) -> float:
    """Tell how far two examples' answers are apart: a model that ignores its input proves nothing."""
    return float(np.abs(value[0] - value[1]).max())
