"""ResNet v1 and v2 of slim, as tensorflow.contrib.slim.nets inside TensorFlow 1.15.5 defines them."""

from __future__ import annotations  # Python 3.7 runs this

from collections.abc import Iterator, Sequence
from typing import Any

import tensorflow as tf  # noqa: TID253 - 1.15.5 runs the originals
from tensorflow.contrib import slim  # noqa: TID253 - as before
from tensorflow.contrib.slim.python.slim.nets import resnet_utils, resnet_v1, resnet_v2  # noqa: TID253 - as before

from tests.architectures.make import resnet_cases
from tests.architectures.make.resnet_cases import NARROW, Case

ORIGIN = "TensorFlow 1.15.5, tensorflow/contrib/slim/python/slim/nets/{{resnet_v{},resnet_utils}}.py, run as it is"
COMMON = {
    "padding": "strided 3x3 and 7x7: (k-1)//2 before, the rest after, then VALID (resnet_utils.conv2d_same); pool1"
    " SAME (resnet_arg_scope), so padded with -inf",
    "stride": "last unit of block1 to block3, at its 3x3; its identity shortcut is max_pool 1x1/2",
    "batch_norm": "epsilon 1e-5, decay 0.997, scale (resnet_arg_scope)",
    "head": "1x1 convolution, answers [N,1,1,C], squeezed here",
}
V1 = dict(
    COMMON,
    preprocessing="RGB - (123.68, 116.779, 103.939): research/slim/preprocessing/vgg_preprocessing.py"
    " [general knowledge]",
    labels="published checkpoints have 1000 classes: labels_offset 1 [general knowledge]",
)
V2 = dict(
    COMMON,
    preprocessing="RGB in [-1,1]: inception_preprocessing [general knowledge]",
    labels="published checkpoints have 1001 classes, 0 the background [general knowledge]",
    shortcut="a projection takes the pre-activation, has a bias and no batch norm; pool1 comes before any ReLU",
)


def cases(_: str) -> Iterator[Case]:
    """Return the cases; nothing is looked for on the disk."""
    yield case("slim_v1_50", 1, 50, 1000, train=True)
    yield case("slim_v1_50_classes1001", 1, 50, 1001, sizes=(224,))
    yield case("slim_v1_50_full", 1, 50, 1000, divisor=1)
    yield case("slim_v1_101", 1, 101, 1000, sizes=(224,))
    yield case("slim_v1_152", 1, 152, 1000, sizes=(224,))
    yield case("slim_v2_50", 2, 50, 1001, train=True)
    yield case("slim_v2_50_classes1000", 2, 50, 1000, sizes=(224,))
    yield case("slim_v2_101", 2, 101, 1001, sizes=(224,))


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
    """Return one case of slim."""

    def build(inputs: dict[str, Any]) -> dict[str, Any]:
        return {"logits": network(inputs["images"], version, depth, classes, divisor, is_training=False)}

    def training(images: Any, labels: Any) -> None:
        logits = network(images, version, depth, classes, divisor, is_training=True)
        optimizer = tf.compat.v1.train.RMSPropOptimizer(0.01) if version == 2 else resnet_cases.momentum()
        slim.learning.create_train_op(tf.compat.v1.losses.sparse_softmax_cross_entropy(labels, logits), optimizer)
        if version == 1:
            tf.compat.v1.get_variable("mean_rgb", [3])  # published v1 checkpoints hold it [general knowledge]

    facts = V1 if version == 1 else V2
    return Case(
        name, ORIGIN.format(version), build, facts, classes=classes, sizes=sizes, train=training if train else None
    )


def network(images: Any, version: int, depth: int, classes: int, divisor: int, *, is_training: bool) -> Any:
    """Return the logits of slim's own function, with the base depth of its blocks and its root divided."""
    module = resnet_v1 if version == 1 else resnet_v2
    block = f"resnet_v{version}_block"
    root = resnet_cases.dividing(resnet_utils.conv2d_same, 1, "num_outputs", divisor, only=is_root)
    narrower = resnet_cases.dividing(getattr(module, block), 1, "base_depth", divisor)
    with resnet_cases.patched((resnet_utils, "conv2d_same", root), (module, block, narrower)):  # noqa: SIM117 - Python 3.7 cannot fold it
        with slim.arg_scope(resnet_utils.resnet_arg_scope()):
            logits, _ = getattr(module, f"resnet_v{version}_{depth}")(images, classes, is_training=is_training)
    return tf.squeeze(logits, [1, 2])


def is_root(arguments: Sequence[Any], _: Any) -> bool:
    """Tell the call that makes conv1, the only one with a 7x7 kernel."""
    return bool(arguments[2] == 7)
