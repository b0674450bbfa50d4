"""ResNets of slim, ``research/slim/nets/resnet_v{1,2}.py``: strides in the last units of groups."""

import re
from collections.abc import Callable, Iterator, Mapping
from functools import partial

from job.engine.architectures.base import Proposal
from job.engine.architectures.catalogue import Kind, Naming
from job.engine.architectures.facts import SCALED, VGG, classes_of
from job.engine.architectures.inventory import Inventory
from job.engine.architectures.naming import SLIM, under
from job.engine.architectures.resnet import ResNet
from job.engine.architectures.resnet_depths import blocks_of, units_of
from job.engine.architectures.scopes import SCOPE, scope_of


def propose(inventory: Inventory) -> Iterator[Proposal]:
    """Propose version 1, where batch norm follows convolutions, and version 2, where it comes before."""
    for version in (1, 2):
        unit = rf"unit_\d+/bottleneck_v{version}"
        scope = scope_of(inventory, rf"{SCOPE}block\d+/{unit}/.+") or f"resnet_v{version}_50/"
        head = f"{scope}logits/weights"
        net = ResNet(
            version=1 if version == 1 else 2,
            units=units_of(blocks_of(inventory, rf"{re.escape(scope)}block(\d+)/(unit_\d+)/")),
            stride_in="last",
            root_norm=version == 1,
            biases=frozenset() if version == 1 else frozenset({"root", "shortcut", "conv3"}),
            head="logits" if head in inventory.weights else "",
        )
        yield Proposal(
            scheme=f"slim_resnet_v{version}_{net.depth}",
            title=f"slim's ResNet-{net.depth} v{version}",
            origin=f"tensorflow/models, research/slim/nets/resnet_v{version}.py",
            build=net,
            naming=_naming(scope, version),
            facts=(VGG if version == 1 else SCALED, classes_of(inventory, head)),
            momentum=0.997,
        )


def _naming(scope: str, version: int) -> Callable[[], Naming]:
    return lambda: partial(_names, scope, version)


def _names(scope: str, version: int, path: str, kind: Kind) -> Mapping[str, str]:
    place = re.sub(r"group(\d+)/block(\d+)", rf"block\1/unit_\2/bottleneck_v{version}", path)
    place = re.sub(r"group\d+/postnorm", "postnorm", place).replace("root", "conv1")
    return under(scope + place.replace("/norm", "/BatchNorm"), SLIM[kind])
