"""Runs Inception v3 as TensorFlow 1.15.5 itself holds it.

``python3.7 -m tests.architectures.make.inception`` from the repository's root.
"""

from __future__ import annotations  # Python 3.7 runs this

from collections.abc import Sequence
from typing import Any

from tensorflow.contrib import slim  # noqa: TID253 - 1.15.5 runs the originals
from tensorflow.contrib.slim.nets import inception  # noqa: TID253 - as before

from tests.architectures.make import recording

ORIGIN = "TensorFlow 1.15.5 tensorflow.contrib.slim.nets.inception.inception_v3"
NOTES = (
    "preprocessing: RGB in [-1,1]; class 0 is the background; batch norm without gamma, epsilon 1e-3; the mean is over "
    "at most 8x8 positions; averages over neighbours do not count what is padded"
)
SIZES = (299, 331)
AUXILIARY = "InceptionV3/AuxLogits/"


def main() -> None:
    """Write both cases: with the auxiliary head, as it was published, and without it."""
    variables, answers = recording.of_images(build, SIZES)
    write("inception_v3_aux", variables, SIZES, answers)
    kept = {name: shape for name, shape in variables.items() if not name.startswith(AUXILIARY)}
    write("inception_v3", kept, SIZES[:1], {"logits_299": answers["logits_299"]})


def build(inputs: dict[str, Any]) -> dict[str, Any]:
    """Build the model; its auxiliary logits do not change the logits."""
    with slim.arg_scope(inception.inception_v3_arg_scope()):
        logits, _ = inception.inception_v3(inputs["images"], 1001, is_training=False)
    return {"logits": logits}


def write(case: str, variables: dict[str, list[int]], sizes: Sequence[int], answers: dict[str, Any]) -> None:
    """Write a case."""
    description = recording.describe_images(ORIGIN, variables, sizes, NOTES, extras={"global_step": []})
    recording.write(case, description, answers)


if __name__ == "__main__":
    main()
