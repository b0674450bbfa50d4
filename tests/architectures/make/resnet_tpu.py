"""ResNet of tensorflow/tpu models/official/resnet: numbered variables without a scope, in training with averages."""

from __future__ import annotations  # Python 3.7 runs this

import importlib
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import tensorflow as tf  # noqa: TID253 - 1.15.5 runs the originals

from tests.architectures.make import resnet_cases
from tests.architectures.make.resnet_cases import NARROW, Case

ORIGIN = (
    "tensorflow/tpu models/official/resnet/resnet_model.py at 0325bfff2db03ff85b9264bc61c8961056f29b0b, transcribed"
    " without docstrings, EvoNorm, DropBlock and squeeze-excitation, which these networks do not use"
)
FACTS = {
    "stride": "first unit of a stage, at its 3x3 (bottleneck) or its first 3x3 (18, 34), and its 1x1 shortcut",
    "padding": "strided convolutions: fixed_padding, then VALID; pool1 SAME",
    "shortcut": "created first; every stage's first unit projects; with a batch norm in v1, without in v2",
    "batch_norm": "epsilon 1e-5, decay 0.9",
    "preprocessing": "RGB in [0,1], minus (0.485, 0.456, 0.406), over (0.229, 0.224, 0.225):"
    " resnet_preprocessing._normalize; before it, in resnet_main, the same means and deviations times 255",
    "labels": "1000 by default; 1001 where trained with a background (num_label_classes)",
    "head": "a mean over all positions (average_pooling2d of the whole), then dense",
}


def cases(folder: str) -> Iterator[Case]:
    """Return the cases of a folder that holds ``tpu/models/official/resnet``."""
    layers = resnet_cases.stand_in("resnet")
    layers.__dict__["resnet_layers"] = types.SimpleNamespace(get_drop_connect_rate=lambda *_: None)
    sys.modules["google3.third_party.cloud_tpu.models.resnet"] = layers
    sys.path.insert(0, str(Path(folder, "tpu/models/official/resnet")))
    net = importlib.import_module("resnet_model")
    sys.path.pop(0)
    del sys.modules["resnet_model"]  # other codebases call theirs so, too
    yield case("tpu_v1_50", net, 50, 1000, train="momentum")
    yield case("tpu_v1_50_averages", net, 50, 1001, train="averages")
    for depth in (18, 34, 101, 152):
        yield case(f"tpu_v1_{depth}", net, depth, 1000, sizes=(224,))
    yield case("tpu_v2_50", net, 50, 1000, pre_activation=True)
    yield case("tpu_v2_18", net, 18, 1000, pre_activation=True, sizes=(224,))


def case(
    name: str,
    net: Any,
    depth: int,
    classes: int,
    *,
    sizes: tuple[int, ...] = resnet_cases.SIZES,
    pre_activation: bool = False,
    train: str = "",
) -> Case:
    """Return one case, with convolutions narrower and the flat features' width with them."""

    def logits_of(images: Any, *, is_training: bool) -> Any:
        model = net.resnet(depth, classes, data_format="channels_last", pre_activation=pre_activation)
        narrower = resnet_cases.dividing(net.conv2d_fixed_padding, 1, "filters", NARROW)
        with resnet_cases.patched((net, "conv2d_fixed_padding", narrower), (net, "tf", NarrowTensorFlow())):
            answer = model(images, is_training)
        return answer[0] if isinstance(answer, tuple) else answer

    def build(inputs: dict[str, Any]) -> dict[str, Any]:
        return {"logits": logits_of(inputs["images"], is_training=False)}

    def training(images: Any, labels: Any) -> None:
        step = resnet_cases.minimise(logits_of(images, is_training=True), labels, resnet_cases.momentum())
        if train == "averages":
            with tf.control_dependencies([step]):
                average()

    origin = ORIGIN + (
        "; averages re-stated: ExponentialMovingAverage of all that is trained or moving" if train == "averages" else ""
    )
    return Case(name, origin, build, FACTS, classes=classes, sizes=sizes, train=training if train else None)


def average() -> Any:
    """Average what is trained and what batch norm tracks."""
    moving = [variable for variable in tf.compat.v1.global_variables() if "/moving_" in variable.name]
    step = tf.compat.v1.train.get_global_step()
    return tf.train.ExponentialMovingAverage(0.9999, step).apply(tf.compat.v1.trainable_variables() + moving)


class NarrowTensorFlow:
    """TensorFlow, except that the reshape to 2048 or 512 features knows of narrower ones."""

    def __getattr__(self, name: str) -> Any:
        return getattr(tf.compat.v1, name)

    def reshape(self, tensor: Any, shape: Any) -> Any:
        """Reshape to ``[-1, features]``, with as many features as there are."""
        return tf.reshape(tensor, [shape[0], shape[1] // NARROW])
