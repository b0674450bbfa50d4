"""Runs MobileNet v1 and v2 as tensorflow/models defines them.

``python3.7 -m tests.architectures.make.mobilenet SLIM`` from the repository's root, with TensorFlow 1.15.5,
where SLIM is the folder research/slim of tensorflow/models, of a commit at or near those named below.
"""

from __future__ import annotations  # Python 3.7 runs this

import importlib
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tensorflow.contrib import slim  # noqa: TID253 - 1.15.5 runs the originals

from tests.architectures.make import recording

SOURCE = "tensorflow/models research/slim/nets/"
V1 = SOURCE + "mobilenet_v1.py at 0cf9932fde23c1714483309fcabd66a501a16399"
V2 = SOURCE + "mobilenet/{mobilenet_v2,mobilenet,conv_blocks}.py at 0ba83cf0, 02c04f49, 10cf1c0a"
CLASSES = 1001
NOTES = {
    V1: "preprocessing: RGB in [-1,1]; class 0 is the background; the mean is over at most 7x7 positions, so the edge "
    "of images above 224 pixels does not count",
    V2: "preprocessing: RGB in [-1,1]; class 0 is the background",
}


def main(folder: str) -> None:
    """Write every case."""
    sys.path.insert(0, folder)
    write_trained("mobilenet_v1_100", V1, v1_of(1.0), (224, 225))
    write("mobilenet_v1_025", V1, v1_of(0.25), (128, 224, 225))
    write("mobilenet_v2_100", V2, v2_of(1.0), (224, 225))
    write("mobilenet_v2_035", V2, v2_of(0.35, finegrain_classification_mode=True), (96, 224))
    write("mobilenet_v2_140", V2, v2_of(1.4), (224,))


def v1_of(multiplier: float) -> Callable[[Any], Any]:
    """Return a builder of MobileNet v1 of some width."""
    net = importlib.import_module("nets.mobilenet_v1")

    def build(inputs: dict[str, Any]) -> dict[str, Any]:
        with slim.arg_scope(net.mobilenet_v1_arg_scope(is_training=False)):
            logits, _ = net.mobilenet_v1(inputs["images"], CLASSES, is_training=False, depth_multiplier=multiplier)
        return {"logits": logits}

    return build


def v2_of(multiplier: float, *, finegrain_classification_mode: bool = False) -> Callable[[Any], Any]:
    """Return a builder of MobileNet v2 of some width; below 1 the published ones keep the last layer's."""
    net = importlib.import_module("nets.mobilenet.mobilenet_v2")

    def build(inputs: dict[str, Any]) -> dict[str, Any]:
        with slim.arg_scope(net.training_scope(is_training=False)):
            logits, _ = net.mobilenet(
                inputs["images"],
                CLASSES,
                depth_multiplier=multiplier,
                finegrain_classification_mode=finegrain_classification_mode,
            )
        return {"logits": logits}

    return build


def write(case: str, origin: str, build: Callable[[Any], Any], sizes: Sequence[int]) -> None:
    """Write a case of weights alone."""
    variables, answers = recording.of_images(build, sizes)
    extras: dict[str, list[int]] = {}
    recording.write(case, recording.describe_images(origin, variables, sizes, NOTES[origin], extras=extras), answers)


def write_trained(case: str, origin: str, build: Callable[[Any], Any], sizes: Sequence[int]) -> None:
    """Write a case of training, as published ones are: averages of all and the slots of RMSProp."""
    variables, answers = recording.of_images(build, sizes)
    averaged = recording.of_images(build, sizes[:1], of_averages=True).outputs
    answers[f"averages_logits_{sizes[0]}"] = averaged[f"logits_{sizes[0]}"]
    description = recording.describe_images(origin, variables, sizes, NOTES[origin], extras=training_of(variables))
    description["averages"] = {"logits": [f"averages_logits_{sizes[0]}"]}
    recording.write(case, description, answers)


def training_of(variables: Mapping[str, list[int]]) -> dict[str, list[int]]:
    """Return what slim's training puts beside the weights."""
    averages = {name + recording.AVERAGE: shape for name, shape in variables.items()}
    return dict(averages, global_step=[], **recording.slots_of(variables, "RMSProp", "RMSProp_1"))


if __name__ == "__main__":
    main(sys.argv[1])
