"""ResNets of tensorpack's examples, ``examples/ResNet/resnet_model.py``."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Final

from job.engine.architectures.base import Proposal
from job.engine.architectures.catalogue import Kind
from job.engine.architectures.facts import classes_of
from job.engine.architectures.inventory import Inventory
from job.engine.architectures.naming import under
from job.engine.architectures.resnet import ResNet
from job.engine.architectures.resnet_depths import blocks_of, units_of
from job.engine.architectures.scopes import SCOPE, scope_of

WORDS: Final = {
    "kernel": "W",
    "bias": "b",
    "gamma": "gamma",
    "beta": "beta",
    "mean": "mean/EMA",
    "variance": "variance/EMA",
}
TRAINED: Final = (
    "the original takes BGR of [0, 1], from which (0.406, 0.456, 0.485) was subtracted, "
    "divided by (0.225, 0.224, 0.229)"
)
CONVERTED: Final = "the original takes BGR from which ImageNet's mean image was subtracted"
STRIDE: Final = (
    "the names do not tell where it halves the image: it is taken for the ResNet that tensorpack trains, in the 3x3; "
    "--architecture tensorpack_resnet_{depth}_stride_first is the one that it converts from Caffe, in the 1x1"
)


def propose(inventory: Inventory) -> Iterator[Proposal]:
    """Propose version 1, trained or converted, and version 2, whose groups end in a batch norm."""
    scope = scope_of(inventory, rf"{SCOPE}group\d+/block\d+/.+")
    blocks = blocks_of(inventory, rf"{re.escape(scope)}group(\d+)/block(\d+)/")
    projects = any(name.startswith(f"{scope}group0/block0/convshortcut/") for name in inventory.weights)
    net = ResNet(
        units=units_of(blocks),
        is_bottleneck=not blocks or any("/conv3/" in name for name in inventory.weights),
        projects="every_group" if projects or not blocks else "later_groups",
        padding="same",
        head="linear" if f"{scope}linear/W" in inventory.weights else "",
    )
    v1 = _proposal(inventory, scope, net, f"tensorpack_resnet_{net.depth}")
    converted = replace(net, stride_at="conv1", root_padding=(3, 2))
    if net.is_bottleneck:
        yield replace(v1, assumptions=(STRIDE.format(depth=net.depth),))
        yield _proposal(inventory, scope, converted, f"{v1.scheme}_stride_first", CONVERTED)
    else:
        yield v1
    v2 = replace(net, version=2, preact_in="later")
    yield _proposal(inventory, scope, v2, f"tensorpack_preact_resnet_{net.depth}")


def _proposal(inventory: Inventory, scope: str, net: ResNet, scheme: str, takes: str = TRAINED) -> Proposal:
    return Proposal(
        scheme=scheme,
        title=f"tensorpack's ResNet-{net.depth} v{net.version}",
        origin="tensorpack/tensorpack, examples/ResNet",
        build=net,
        naming=lambda: partial(_names, scope),
        facts=(takes, classes_of(inventory, f"{scope}linear/W")),
        momentum=0.9,
    )


def _names(scope: str, path: str, kind: Kind) -> Mapping[str, str]:
    """Name layers by their paths, counted from 0."""
    place = re.sub(r"(group|block)(\d+)", lambda match: f"{match[1]}{int(match[2]) - 1}", path)
    place = place.replace("root", "conv0").replace("shortcut", "convshortcut").replace("postnorm", "bnlast")
    if kind == "norm":
        place = place.removesuffix("/norm") + "/bn"
    return under(scope + place, WORDS)
