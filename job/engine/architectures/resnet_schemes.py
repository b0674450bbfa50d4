"""Under which names ResNets were saved, and what each of them is.

The sources are listed in docs/architectures.md; every scheme is proven by tests against the original
definition, run by TensorFlow 1.15.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Final

from job.engine.architectures.base import Proposal
from job.engine.architectures.catalogue import Kind, Naming
from job.engine.architectures.inventory import Inventory
from job.engine.architectures.naming import LAYERS, SLIM, Numbered, under
from job.engine.architectures.resnet import ResNet

DEPTHS: Final = {
    (2, 2, 2, 2): 18,
    (3, 4, 6, 3): 50,
    (3, 4, 23, 3): 101,
    (3, 8, 36, 3): 152,
    (3, 24, 36, 3): 200,
}
"""Table 1 of He et al. 2015; 34 has the units of 50, and no bottlenecks."""


def propose(inventory: Inventory) -> Iterator[Proposal]:
    """Propose every scheme, its depth and head read from the checkpoint's names."""
    yield from _slim(inventory, 1)
    yield from _slim(inventory, 2)
    yield _keras(inventory)
    yield from _official(inventory)


def _slim(inventory: Inventory, version: int) -> Iterator[Proposal]:
    """``research/slim/nets/resnet_v{1,2}.py``: strides in the last units, ``FeatureExtractor/`` and the like before."""
    found = [
        match for name in inventory.weights if (match := re.match(rf"(.*?)resnet_v{version}_(\d+)/conv1/weights", name))
    ]
    scope = found[0][0].removesuffix("/conv1/weights") if found else f"resnet_v{version}_50"
    block = rf"{re.escape(scope)}/block(\d+)/unit_(\d+)/"
    net = ResNet(
        version=version,
        units=_units(inventory, block) or (3, 4, 6, 3),
        stride_in="last",
        projects="where_needed",
        biases=frozenset({"conv1", "shortcut", "conv3"}) if version == 2 else frozenset(),
        head="logits" if f"{scope}/logits/weights" in inventory.weights else "",
    )
    yield Proposal(
        scheme=f"slim_resnet_v{version}_{_depth(net)}",
        title=f"slim's ResNet-{_depth(net)} v{version}",
        build=net,
        naming=lambda: _slim_names(scope, version),
        facts=(
            "the original takes RGB from which (123.68, 116.78, 103.94) was subtracted"
            if version == 1
            else "the original takes RGB scaled to [-1, 1]",
        ),
    )


def _slim_names(scope: str, version: int) -> Naming:
    def names(path: str, kind: Kind) -> Mapping[str, str]:
        place = re.sub(r"group(\d+)/block(\d+)", rf"block\1/unit_\2/bottleneck_v{version}", path)
        if kind == "norm" and not path.endswith(("preact", "postnorm")):
            place = place.removesuffix("norm") + "BatchNorm"
        return under(f"{scope}/{place}", SLIM[kind])

    return names


def _keras(inventory: Inventory) -> Proposal:
    """``keras_applications.resnet`` in TensorFlow 1.15: strides in the 1x1, all convolutions with a bias."""
    net = ResNet(
        units=_units(inventory, r"conv(\d+)_block(\d+)_") or (3, 4, 6, 3),
        stride_at="conv1",
        pool="zeros",
        biases=frozenset({"conv1", "conv2", "conv3", "shortcut"}),
        epsilon=1.001e-5,
        head=next((head for head in ("probs", "predictions") if f"{head}/kernel" in inventory.weights), ""),
    )
    return Proposal(
        scheme=f"keras_resnet_{_depth(net)}",
        title=f"Keras' ResNet{_depth(net)}",
        build=net,
        naming=lambda: _keras_names,
        facts=("the original takes BGR from which (103.939, 116.779, 123.68) was subtracted",),
    )


def _keras_names(path: str, kind: Kind) -> Mapping[str, str]:
    *block, layer = path.removesuffix("/norm").split("/")
    if not block:
        return under(layer if kind == "dense" else f"{layer}_{_ENDS[kind]}", LAYERS[kind])
    group, number = (int(re.sub(r"\D", "", part)) for part in block)
    place = {"shortcut": 0, "conv1": 1, "conv2": 2, "conv3": 3}[layer]
    return under(f"conv{group + 1}_block{number}_{place}_{_ENDS[kind]}", LAYERS[kind])


_ENDS: Final = {"conv": "conv", "norm": "bn"}


def _official(inventory: Inventory) -> Iterator[Proposal]:
    """``official/r1/resnet``: v1 (which is v1.5) and v2, both numbered in the order of creation."""
    found = next((name for name in inventory.weights if name.endswith("dense/kernel")), "resnet_model/dense/kernel")
    scope = found.removesuffix("dense/kernel")
    count = sum(bool(re.fullmatch(rf"{re.escape(scope)}conv2d(_\d+)?/kernel", name)) for name in inventory.weights)
    units, is_bottleneck = _BY_CONVOLUTIONS.get(count, ((3, 4, 6, 3), True))
    for version in (1, 2):
        net = ResNet(version=version, units=units, is_bottleneck=is_bottleneck)
        yield Proposal(
            scheme=f"official_resnet_v{version}_{_depth(net)}",
            title=f"the official ResNet-{_depth(net)} v{version}",
            build=net,
            naming=lambda: Numbered(scope),
            facts=("the original takes RGB from which (123.68, 116.78, 103.94) was subtracted",),
        )


_BY_CONVOLUTIONS: Final = {
    1 + len(units) + sum(units) * (3 if is_bottleneck else 2): (units, is_bottleneck)
    for units, is_bottleneck in (((2, 2, 2, 2), False), ((3, 4, 6, 3), False), *((one, True) for one in DEPTHS))
}
"""A convolution at the root, a projection in every group, and the blocks'."""


def _units(inventory: Inventory, block: str) -> tuple[int, ...]:
    """Return how many blocks each group has, by a pattern of a group's and a block's number."""
    found = {(int(match[1]), int(match[2])) for name in inventory.weights if (match := re.match(block, name))}
    counts = Counter(group for group, _ in found)
    return tuple(counts[group] for group in sorted(counts))


def _depth(net: ResNet) -> int:
    """Return what the network is called by: its convolutions and its head."""
    return 2 + sum(net.units) * (3 if net.is_bottleneck else 2)
