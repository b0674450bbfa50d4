"""ResNet-50 v1.5 of NVIDIA's DeepLearningExamples, ``TensorFlow/Classification``: RN50v1.5 of 2019, then ConvNets."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from job.engine.architectures.base import Proposal
from job.engine.architectures.catalogue import Kind
from job.engine.architectures.inventory import Inventory
from job.engine.architectures.naming import LAYERS, under
from job.engine.architectures.resnet import ResNet
from job.engine.architectures.resnet_names import SCOPE, blocks_of, classes_of, scope_of, units_of

PLACES: Final = {
    "root": "conv2d",
    "shortcut": "shortcut/conv2d",
    "conv1": "bottleneck_1",
    "conv2": "bottleneck_2",
    "conv3": "bottleneck_3",
}

PREPARED: Final = (
    "the original takes RGB from which (123.68, 116.28, 103.53) was subtracted, divided by (58.395, 57.120, 57.375)"
)
FIXED: Final = (
    "its groups are counted from 1: it is taken for RN50v1.5 of 2019, whose strided convolutions pad both sides"
)
PLAIN: Final = "its groups are counted from 0: it is taken for ConvNets of 2020, whose strided convolutions pad by SAME"


def propose(inventory: Inventory) -> Iterator[Proposal]:
    """Propose what counts groups and blocks from 0, and what counts them from 1: one pads otherwise than the other."""
    scope = scope_of(inventory, rf"{SCOPE}btlnck_block_\d+_\d+/.+") or "resnet50/"
    blocks = blocks_of(inventory, rf"{re.escape(scope)}btlnck_block_(\d+)_(\d+)/")
    groups = [int(name) for name in _groups(inventory, scope)]
    is_old = min(groups, default=0) > 0
    head = f"{scope}output/dense/kernel"
    net = ResNet(
        units=units_of(blocks),
        padding="fixed" if is_old else "same",
        head="output/dense" if head in inventory.weights else "",
    )
    yield Proposal(
        scheme=f"nvidia_resnet_{net.depth}" + ("_2019" if is_old else ""),
        title=f"NVIDIA's ResNet-{net.depth} v1.5" + (" of 2019" if is_old else ""),
        origin=f"NVIDIA/DeepLearningExamples, TensorFlow/Classification/{'RN50v1.5' if is_old else 'ConvNets'}",
        build=net,
        naming=lambda: _Names(scope=scope, blocks=blocks, first=int(is_old)),
        facts=(PREPARED, classes_of(inventory, head)),
        assumptions=(FIXED if is_old else PLAIN,),
        momentum=0.9,
    )


def _groups(inventory: Inventory, scope: str) -> Iterator[str]:
    pattern = rf"{re.escape(scope)}btlnck_block_(\d+)_"
    return (match[1] for name in inventory.weights if (match := re.match(pattern, name)))


@dataclass(frozen=True, kw_only=True)
class _Names:
    """Names as they are found: in one of the originals the blocks of the third group are counted from 2."""

    scope: str
    blocks: tuple[tuple[str, ...], ...]
    first: int

    def __call__(self, path: str, kind: Kind) -> Mapping[str, str]:
        """Return a layer's names."""
        if kind == "dense":
            return under(self.scope + path, LAYERS[kind])
        *place, layer = path.removesuffix("/norm").split("/")
        word = "conv2d" if kind == "conv" else "BatchNorm"
        return under(f"{self.scope}{self._block(place)}{PLACES[layer]}/{word}", LAYERS[kind])

    def _block(self, place: Sequence[str]) -> str:
        if not place:
            return ""
        group, block = (int(re.sub(r"\D", "", name)) - 1 for name in place)
        called = self.blocks[group][block] if self.blocks else block + self.first
        return f"btlnck_block_{group + self.first}_{called}/"
