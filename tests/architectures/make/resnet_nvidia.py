"""ResNet-50 v1.5 of NVIDIA's DeepLearningExamples: of 2019 (RN50v1.5) and of 2020 and later (ConvNets)."""

from __future__ import annotations  # Python 3.7 runs this

import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import tensorflow as tf  # noqa: TID253 - 1.15.5 runs the originals

from tests.architectures.make import resnet_cases
from tests.architectures.make.resnet_cases import NARROW, Case

ORIGIN = "NVIDIA/DeepLearningExamples TensorFlow/Classification/%s, transcribed without training; pooling re-stated"
ORIGIN_2019 = ORIGIN % "RN50v1.5/model/{resnet_v1_5 at 0053b4b, blocks at 7118f12 and b1ae8dd}.py"
ORIGIN_2020 = ORIGIN % "ConvNets/model/{resnet at 3311013, blocks at 1182059 and 0a83da8}.py"
COMMON = {
    "stride": "first unit of a stage, at its 3x3, and its 1x1 shortcut",
    "batch_norm": "epsilon 1e-5, decay 0.9 (tf.contrib.layers.batch_norm)",
    "preprocessing": "RGB - (123.68, 116.28, 103.53), over (58.395, 57.120, 57.385): data_utils.normalized_inputs",
    "labels": "1001, 0 the background: Runner(n_classes=1001)",
}
FACTS_2019 = dict(
    COMMON,
    padding="SAME_RESNET: (k-1)//2 before, the rest after, then VALID; pool1 SAME",
    names="stages and units count from 1, but the units of stage 3 from 2: btlnck_block_3_2 to btlnck_block_3_7, since"
    " build_model adds 1 twice there (the same at ef5b97d and 7a8544e)",
)
FACTS_2020 = dict(COMMON, padding="plain SAME at every convolution; pool1 SAME", names="stages and units count from 0")


def cases(folder: str) -> Iterator[Case]:
    """Return the cases of a folder that holds ``DeepLearningExamples``."""
    old, new = read(folder, "RN50v1.5", "resnet_v1_5"), read(folder, "ConvNets", "resnet")
    yield case("nvidia_2019_50", old, 1001, (ORIGIN_2019, FACTS_2019), train=True)
    yield case("nvidia_2019_50_classes1000", old, 1000, (ORIGIN_2019, FACTS_2019), sizes=(224,))
    yield case("nvidia_2020_50", new, 1001, (ORIGIN_2020, FACTS_2020), train=True)
    yield case("nvidia_2020_50_classes1000", new, 1000, (ORIGIN_2020, FACTS_2020), sizes=(224,))
    facts = dict(
        FACTS_2020, head="1x1 convolution named dense, its kernel [1,1,2048,C]: postprocess_ckpt.py, --use_final_conv"
    )
    origin = (
        ORIGIN_2020
        + "; at that commit its use_final_conv gives the convolution [N,2048], so the mean keeps its axes here"
    )
    yield case("nvidia_2020_50_convolution", new, 1001, (origin, facts), use_final_conv=True)


def read(folder: str, name: str, module: str) -> Any:
    """Import a codebase's module, and forget its packages' names, which both codebases use."""
    for stand_in in ("horovod", "horovod.tensorflow", "dllogger", "dllogger.logger", "utils.data_utils"):
        sys.modules[stand_in] = resnet_cases.stand_in(stand_in)
    sys.path.insert(0, str(Path(folder, "DeepLearningExamples/TensorFlow/Classification", name)))
    net = importlib.import_module("model." + module)
    sys.path.pop(0)
    for key in [key for key in sys.modules if key.split(".")[0] in ("model", "utils")]:
        del sys.modules[key]
    return net


def case(
    name: str,
    net: Any,
    classes: int,
    told: tuple[str, dict[str, str]],
    *,
    sizes: tuple[int, ...] = resnet_cases.SIZES,
    train: bool = False,
    use_final_conv: bool = False,
) -> Case:
    """Return one case, computed NHWC; what is told of it is its origin and its facts."""
    origin, facts = told

    def build(inputs: dict[str, Any]) -> dict[str, Any]:
        logits = logits_of(net, inputs["images"], classes, is_training=False, use_final_conv=use_final_conv)
        return {"logits": logits}

    def training(images: Any, labels: Any) -> None:
        logits = logits_of(net, images, classes, is_training=True, use_final_conv=use_final_conv)
        resnet_cases.minimise(logits, labels, resnet_cases.momentum())

    return Case(name, origin, build, facts, classes=classes, sizes=sizes, train=training if train else None)


def logits_of(net: Any, images: Any, classes: int, *, is_training: bool, use_final_conv: bool) -> Any:
    """Return the logits of build_model, with narrower blocks and root."""
    block = narrower(net.blocks.bottleneck_block)
    root = resnet_cases.dividing(net.blocks.conv2d_block, 1, "n_channels", NARROW, only=is_root)
    mean = net.layers.reduce_mean
    if use_final_conv:
        mean = keeping_axes(mean)
    with resnet_cases.patched(
        (net.blocks, "bottleneck_block", block), (net.blocks, "conv2d_block", root), (net.layers, "reduce_mean", mean)
    ):
        model = model_of(net, classes)
        options = {"use_final_conv": True} if use_final_conv else {}
        _, logits = model.build_model(images, training=is_training, **options)
    return tf.squeeze(logits, [1, 2]) if use_final_conv else logits


def model_of(net: Any, classes: int) -> Any:
    """Return the codebase's ResnetModel; the later one is told the architecture that model_architectures has."""
    if hasattr(net, "model_architectures"):
        return net.ResnetModel("resnet50", classes, [3, 4, 6, 3], [64, 128, 256, 512], 4, compute_format="NHWC")
    return net.ResnetModel("resnet50_v1.5", classes, compute_format="NHWC")


def is_root(_: Any, named: dict[str, Any]) -> bool:
    """Tell the first convolution, the only one with a 7x7 kernel."""
    return bool(named["kernel_size"] == (7, 7))


def narrower(block: Any) -> Callable[..., Any]:
    """Return a bottleneck of narrower layers."""

    def divided(depth: int, depth_bottleneck: Any, **named: Any) -> Any:
        return block(depth=depth // NARROW, depth_bottleneck=depth_bottleneck // NARROW, **named)

    return divided


def keeping_axes(mean: Any) -> Callable[..., Any]:
    """Return the mean over positions that the convolution as a head needs."""

    def kept(inputs: Any, keepdims: Any, **named: Any) -> Any:
        del keepdims
        return mean(inputs, keepdims=True, **named)

    return kept
