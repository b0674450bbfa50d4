"""ResNets whose layers have numbers: ``official/r1/resnet`` of tensorflow/models, and that of tensorflow/tpu."""

import re
from collections.abc import Iterator
from typing import Final, Literal

from job.engine.architectures.base import Proposal
from job.engine.architectures.facts import VGG, classes_of
from job.engine.architectures.inventory import Inventory
from job.engine.architectures.naming import Numbered
from job.engine.architectures.resnet import ResNet
from job.engine.architectures.resnet_depths import DEPTHS
from job.engine.architectures.scopes import SCOPE, scope_of

TORCH: Final = (
    "the original takes RGB of [0, 1], from which (0.485, 0.456, 0.406) was subtracted, "
    "divided by (0.229, 0.224, 0.225)"
)
COUNTED: Final = (
    "its layers have numbers and no names: these are taken for the order in which the original makes its layers "
    "(shortcut, {}), which their shapes agree with; its strides are in the {}3x3, padded alike on both sides"
)
BOTTLENECKS: Final = COUNTED.format("1x1, 3x3, 1x1", "")
BASIC_BLOCKS: Final = COUNTED.format("3x3, 3x3", "first ")
FIFTY: Final = 53
"""The convolutions of a ResNet-50, which it is taken for where none has a number."""
ORIGINS: Final = {
    "official": ("the official ResNet", "tensorflow/models, official/r1/resnet/resnet_model.py", VGG, 0.997),
    "tpu": ("the ResNet of tensorflow/tpu", "tensorflow/tpu, models/official/resnet/resnet_model.py", TORCH, 0.9),
}
"""Of each code base: its title, its source, what images it takes, and how much its batch norms keep."""


def propose(inventory: Inventory) -> Iterator[Proposal]:
    """Propose the official models first where there is a scope, and the TPU's where there is none."""
    scope = scope_of(inventory, rf"{SCOPE}conv2d_\d+/kernel")
    for code in ("official", "tpu") if scope else ("tpu", "official"):
        yield _proposal(inventory, scope, code, 1)
        yield _proposal(inventory, scope, code, 2)


def _proposal(inventory: Inventory, scope: str, code: str, version: Literal[1, 2]) -> Proposal:
    title, origin, takes, momentum = ORIGINS[code]
    head = f"{scope}dense/kernel"
    net = _net(inventory, scope, version, "dense" if head in inventory.weights else "")
    other = "tpu" if code == "official" else "official"
    alike = (
        f"the names do not tell {title} from {ORIGINS[other][0]}, which computes the same of images that are prepared "
        f"otherwise: {ORIGINS[other][2].removeprefix('the original ')} (scheme {other}_resnet_v{version}_{net.depth})"
    )
    return Proposal(
        scheme=f"{code}_resnet_v{version}_{net.depth}",
        title=f"{title} v{version} of {net.depth} layers",
        origin=origin,
        build=net,
        naming=lambda: Numbered(scope),
        facts=(takes, alike, classes_of(inventory, head)),
        assumptions=(BOTTLENECKS if net.is_bottleneck else BASIC_BLOCKS,),
        momentum=momentum,
    )


def _net(inventory: Inventory, scope: str, version: Literal[1, 2], head: str) -> ResNet:
    """Return the network that has as many convolutions, or nearly: the root, a shortcut in each group, the blocks."""
    convolution = rf"{re.escape(scope)}conv2d(_\d+)?/kernel"
    count = sum(bool(re.fullmatch(convolution, name)) for name in inventory.weights) or FIFTY
    nets = [
        ResNet(version=version, units=units, is_bottleneck=depth >= 50, root_norm=version == 1, head=head)
        for depth, units in DEPTHS.items()
    ]
    return min(nets, key=lambda net: abs(net.depth - 1 + len(net.units) - count))
