"""ResNet v1, v1.5 and v2 of tf_cnn_benchmarks, in the scopes that its variable managers put around them."""

from __future__ import annotations  # Python 3.7 runs this

import importlib
import sys
import types
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import tensorflow as tf  # noqa: TID253 - 1.15.5 runs the originals

from tests.architectures.make import resnet_cases
from tests.architectures.make.resnet_cases import NARROW, Case

ORIGIN = (
    "tensorflow/benchmarks scripts/tf_cnn_benchmarks/{models/resnet_model,models/model,convnet_builder}.py at"
    " 039fa9550c9efd25e09db2e73f360b67378436fe, transcribed without docstrings and what ResNets do not use"
)
COMMON = {
    "prefix": "v/cg/ with --variable_update=parameter_server, the default; v0/cg/ with replicated, independent and"
    " distributed_all_reduce, which save tower 0 only: variable_mgr.py, same commit",
    "padding": "SAME_RESNET: (k-1)//2 before, the rest after, then VALID; pool1 SAME",
    "shortcut": "created before the unit's own convolutions, so conv and batchnorm are numbered with it first",
    "preprocessing": "RGB in [-1,1]: preprocessing.normalized_image [general knowledge]",
    "labels": "1001, 0 the background: build_network(nclass=1001)",
}
FIRST_UNIT = "first unit of a stage, at its %s, and its 1x1 shortcut"
FACTS = {
    "v1": dict(COMMON, stride=FIRST_UNIT % "first 1x1", batch_norm="epsilon 1e-5, decay 0.9"),
    "v1.5": dict(COMMON, stride=FIRST_UNIT % "3x3", batch_norm="epsilon 1e-5, decay 0.9"),
    "v2": dict(
        COMMON,
        stride=FIRST_UNIT % "first 1x1",
        batch_norm="in a conv scope: epsilon 1e-5, scale; pre-activations and the last one, which are in none, have the"
        " builder's defaults: epsilon 1e-3, no gamma, decay 0.999. conv0 has batch norm and ReLU of its own",
    ),
}
SCOPES = {"v1": "v", "v1.5": "v0", "v2": "v0"}


def cases(folder: str) -> Iterator[Case]:
    """Return the cases of a folder that holds ``benchmarks/scripts/tf_cnn_benchmarks``."""
    for name in ("mlperf", "datasets"):
        sys.modules[name] = resnet_cases.stand_in(name)
    sys.path.insert(0, str(Path(folder, "benchmarks/scripts/tf_cnn_benchmarks")))
    net, builder = importlib.import_module("models.resnet_model"), importlib.import_module("convnet_builder")
    sys.path.pop(0)
    for version, word in (("v1", ""), ("v1.5", "_v1_5"), ("v2", "_v2")):
        name = "benchmarks_{}_50".format(version.replace(".", "_"))
        yield case(name, (net, builder), f"create_resnet50{word}_model", version, 1001, train=True)
    yield case("benchmarks_v1_50_classes1000", (net, builder), "create_resnet50_model", "v1", 1000, sizes=(224,))
    yield case("benchmarks_v1_101", (net, builder), "create_resnet101_model", "v1", 1001, sizes=(224,))
    yield case("benchmarks_v2_101", (net, builder), "create_resnet101_v2_model", "v2", 1001, sizes=(224,))


def case(
    name: str,
    modules: tuple[Any, Any],
    maker: str,
    version: str,
    classes: int,
    *,
    sizes: tuple[int, ...] = resnet_cases.SIZES,
    train: bool = False,
) -> Case:
    """Return one case."""
    net, builder = modules

    def logits_of(images: Any, *, is_training: bool) -> Any:
        params = types.SimpleNamespace(
            use_tf_layers=True, fp16_vars=False, use_fp16=False, data_format="NHWC", resnet_base_lr=None
        )
        network = builder.ConvNetBuilder
        root = resnet_cases.dividing(network.conv, 1, "num_out_channels", NARROW, only=is_root)
        with resnet_cases.patched((network, "conv", root), (net, "bottleneck_block", narrower(net.bottleneck_block))):  # noqa: SIM117 - Python 3.7 cannot fold it
            with tf.compat.v1.variable_scope(SCOPES[version]):
                return getattr(net, maker)(params).build_network([images], is_training, classes).logits

    def build(inputs: dict[str, Any]) -> dict[str, Any]:
        return {"logits": logits_of(inputs["images"], is_training=False)}

    def training(images: Any, labels: Any) -> None:
        resnet_cases.minimise(logits_of(images, is_training=True), labels, resnet_cases.momentum())

    return Case(name, ORIGIN, build, FACTS[version], classes=classes, sizes=sizes, train=training if train else None)


def is_root(arguments: Sequence[Any], _: Any) -> bool:
    """Tell the first convolution, the only one with a 7x7 kernel; the builder itself is the first argument."""
    return bool(arguments[2] == 7)


def narrower(block: Any) -> Callable[..., None]:
    """Return a bottleneck of narrower layers."""

    def divided(cnn: Any, depth: int, depth_bottleneck: Any, stride: Any, version: str) -> None:
        block(cnn, depth // NARROW, depth_bottleneck // NARROW, stride, version)

    return divided
