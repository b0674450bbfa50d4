"""ResNet v1 (in fact v1.5) and v2 of tensorflow/models official/r1/resnet, whose variables are numbered, not named."""

from __future__ import annotations  # Python 3.7 runs this

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.architectures.make import resnet_cases
from tests.architectures.make.resnet_cases import NARROW, Case

ORIGIN = "tensorflow/models official/r1/resnet/resnet_model.py, run as the wheel tf-models-official 2.1.0.dev2 ships it"
BLOCKS = {18: [2, 2, 2, 2], 34: [3, 4, 6, 3], 50: [3, 4, 6, 3], 101: [3, 4, 23, 3], 152: [3, 8, 36, 3]}
"""imagenet_main._get_block_sizes; as there, a network of fewer than 50 layers has building blocks."""

FACTS = {
    "stride": "first unit of a stage, at its 3x3 (bottleneck) or its first 3x3 (building block), and its 1x1 shortcut",
    "padding": "strided convolutions: fixed_padding, then VALID; pool1 SAME",
    "shortcut": "created before the unit's own convolutions, so numbered first; v1 has a batch norm in it, v2 none;"
    " every stage's first unit projects, also where a building block's widths agree",
    "batch_norm": "epsilon 1e-5, decay 0.997; v2 has none after the first convolution",
    "preprocessing": "RGB - (123.68, 116.78, 103.94), not scaled: imagenet_preprocessing._mean_image_subtraction",
    "labels": "1001, 0 the background: imagenet_main.NUM_CLASSES",
}


def cases(folder: str) -> Iterator[Case]:
    """Return the cases of a folder that holds ``models/official``."""
    sys.path.insert(0, str(Path(folder, "models")))
    yield case("official_v1_50", 1, 50, 1001, train=True)
    yield case("official_v1_50_classes1000", 1, 50, 1000, sizes=(224,))
    yield case("official_v1_50_full", 1, 50, 1001, divisor=1)
    yield case("official_v2_50", 2, 50, 1001, train=True)
    yield case("official_v2_50_classes1000", 2, 50, 1000, sizes=(224,))
    yield case("official_v2_50_full", 2, 50, 1001, divisor=1, sizes=(224,))
    for depth in (18, 34, 101, 152):
        yield case(f"official_v1_{depth}", 1, depth, 1001, sizes=(224,))
    for depth in (18, 34, 101):
        yield case(f"official_v2_{depth}", 2, depth, 1001, sizes=(224,))


def case(
    name: str,
    version: int,
    depth: int,
    classes: int,
    *,
    divisor: int = NARROW,
    sizes: tuple[int, ...] = resnet_cases.SIZES,
    train: bool = False,
) -> Case:
    """Return one case of official/r1/resnet."""

    def build(inputs: dict[str, Any]) -> dict[str, Any]:
        return {"logits": model(version, depth, classes, divisor)(inputs["images"], training=False)}

    def training(images: Any, labels: Any) -> None:
        logits = model(version, depth, classes, divisor)(images, training=True)
        resnet_cases.minimise(logits, labels, resnet_cases.momentum())

    return Case(name, ORIGIN, build, FACTS, classes=classes, sizes=sizes, train=training if train else None)


def model(version: int, depth: int, classes: int, divisor: int) -> Any:
    """Return the original's model, with what imagenet_main.ImagenetModel gives it except the width."""
    return importlib.import_module("official.r1.resnet.resnet_model").Model(
        resnet_size=depth,
        bottleneck=depth >= 50,
        num_classes=classes,
        num_filters=64 // divisor,
        kernel_size=7,
        conv_stride=2,
        first_pool_size=3,
        first_pool_stride=2,
        block_sizes=BLOCKS[depth],
        block_strides=[1, 2, 2, 2],
        resnet_version=version,
        data_format="channels_last",
    )
