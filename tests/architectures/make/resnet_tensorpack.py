"""ResNet of tensorpack's examples, built by the layers of tensorpack 0.9.8."""

from __future__ import annotations  # Python 3.7 runs this

import contextlib
import functools
import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import tensorflow as tf  # noqa: TID253 - 1.15.5 runs the originals

from tests.architectures.make import resnet_cases
from tests.architectures.make.resnet_cases import NARROW, Case

ORIGIN = (
    "tensorpack/tensorpack examples/ResNet/resnet_model.py at 045f33526598a04a7fdca9027e41d461146a7c07,"
    " run with the layers of the wheel tensorpack 0.9.8"
)
BLOCKS = {18: [2, 2, 2, 2], 34: [3, 4, 6, 3], 50: [3, 4, 6, 3], 101: [3, 4, 23, 3], 152: [3, 8, 36, 3]}
CONVERTED_ORIGIN = (
    "tensorpack/tensorpack examples/ResNet/load-resnet.py at 0831fe9df2a44a9da9f4c120487fd05495aacc67, its build_graph"
    " re-stated in NHWC around resnet_model.py, run with the layers of the wheel tensorpack 0.9.8"
)
FACTS = {
    "stride": "first unit of a group, at its 3x3 (bottleneck) or its first 3x3 (basicblock); resnet_bottleneck has"
    " stride_first for the 1x1, which no name tells",
    "padding": "plain SAME at every convolution, also the strided ones (Conv2D's default); pool0 SAME",
    "shortcut": "projects only where the widths differ: group0/block0 of 18 and 34 has no convshortcut",
    "batch_norm": "epsilon 1e-5, decay 0.9 (tensorpack.models.BatchNorm)",
    "preprocessing": "[0,1], - and / ImageNet's mean and deviation, BGR: imagenet_utils.image_preprocess(bgr=True)",
    "labels": "1000, no background (FullyConnected('linear', 1000))",
}
PREACT = dict(
    FACTS,
    shortcut="projects only where the widths differ, without batch norm; a group's first unit has no"
    " pre-activation of its own, since conv0 and each group end with batch norm and ReLU (bnlast)",
)
CONVERTED = {
    "stride": "first unit of a group, at its first 1x1 (stride_first=True)",
    "padding": "conv0: 3 before and 2 after, then VALID; 3x3 SAME, stride 1; pool0 SAME",
    "batch_norm": FACTS["batch_norm"],
    "preprocessing": "BGR minus ImageNet's mean image: load-resnet.get_inference_augmentor",
    "labels": FACTS["labels"],
}


def cases(folder: str) -> Iterator[Case]:
    """Return the cases of a folder that holds ``tensorpack`` and ``tensorpack_site``."""
    sys.path[:0] = [str(Path(folder, "tensorpack_site")), str(Path(folder, "tensorpack/examples/ResNet"))]
    net = importlib.import_module("resnet_model")
    del sys.path[1], sys.modules["resnet_model"]  # other codebases call theirs so, too
    yield case("tensorpack_50", net, 50, train=True)
    for depth in (18, 34, 101):
        yield case(f"tensorpack_{depth}", net, depth, sizes=(224,))
    yield converted("tensorpack_50_stride_first", net)
    yield case("tensorpack_preact_50", net, 50, pre_activation=True)
    yield case("tensorpack_preact_18", net, 18, pre_activation=True, sizes=(224,))


def case(
    name: str,
    net: Any,
    depth: int,
    *,
    pre_activation: bool = False,
    sizes: tuple[int, ...] = resnet_cases.SIZES,
    train: bool = False,
) -> Case:
    """Return one case."""

    def build(inputs: dict[str, Any]) -> dict[str, Any]:
        return {"logits": logits_of(net, inputs["images"], depth, pre_activation=pre_activation, is_training=False)}

    def training(images: Any, labels: Any) -> None:
        logits = logits_of(net, images, depth, pre_activation=pre_activation, is_training=True)
        tf.compat.v1.get_variable("learning_rate", initializer=0.1, trainable=False)  # ImageNetModel._get_optimizer
        resnet_cases.minimise(logits, labels, resnet_cases.momentum())

    facts = PREACT if pre_activation else FACTS
    return Case(name, ORIGIN, build, facts, sizes=sizes, train=training if train else None)


def converted(name: str, net: Any) -> Case:
    """Return a case of load-resnet.Model, which is for what was converted from Caffe, with narrower layers."""

    def build(inputs: dict[str, Any]) -> dict[str, Any]:
        tfutils, models = importlib.import_module("tensorpack.tfutils"), importlib.import_module("tensorpack.models")
        block = functools.partial(net.resnet_bottleneck, stride_first=True)
        x = tf.pad(inputs["images"], [[0, 0], [3, 2], [3, 2], [0, 0]])
        with (
            tfutils.TowerContext("", is_training=False),
            tfutils.argscope(models.Conv2D, use_bias=False, data_format="NHWC"),
        ):
            x = models.Conv2D("conv0", x, 64 // NARROW, 7, strides=2, activation=models.BNReLU, padding="VALID")
            x = models.MaxPooling("pool0", x, 3, strides=2, padding="SAME")
            for group, count in enumerate(BLOCKS[50]):
                x = net.resnet_group(x, f"group{group}", block, 64 * 2**group // NARROW, count, 2 if group else 1)
            return {"logits": models.FullyConnected("linear", models.GlobalAvgPooling("gap", x), 1000)}

    return Case(name, CONVERTED_ORIGIN, build, CONVERTED)


def logits_of(net: Any, images: Any, depth: int, *, pre_activation: bool, is_training: bool) -> Any:
    """Return the logits of resnet_backbone, as imagenet-resnet.Model calls it, with narrower groups and root."""
    tfutils, models = importlib.import_module("tensorpack.tfutils"), importlib.import_module("tensorpack.models")
    prefix = "preresnet_" if pre_activation else "resnet_"
    block = getattr(net, prefix + ("bottleneck" if depth >= 50 else "basicblock"))
    group = resnet_cases.dividing(getattr(net, prefix + "group"), 3, "features", NARROW)
    layers = [models.Conv2D, models.MaxPooling, models.GlobalAvgPooling, models.BatchNorm]
    with tfutils.TowerContext("", is_training=is_training), narrow_root():  # noqa: SIM117 - Python 3.7 cannot fold it
        with tfutils.argscope(layers, data_format="NHWC"):
            return net.resnet_backbone(images, BLOCKS[depth], group, block)


@contextlib.contextmanager
def narrow_root() -> Iterator[None]:
    """Divide the width of the first convolution, the only one that LinearWrap finds by its name."""
    registry = importlib.import_module("tensorpack.models.registry")._LAYER_REGISTRY
    whole = registry["Conv2D"]
    registry["Conv2D"] = resnet_cases.dividing(whole, 2, "filters", NARROW)
    registry["Conv2D"].use_scope = True
    try:
        yield
    finally:
        registry["Conv2D"] = whole
