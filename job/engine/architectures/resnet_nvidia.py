"""ResNet-50 v1.5 of NVIDIA's DeepLearningExamples, ``TensorFlow/Classification``: RN50v1.5 of 2019, then ConvNets."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from job.engine.architectures.base import Proposal
from job.engine.architectures.catalogue import Kind
from job.engine.architectures.facts import classes_of
from job.engine.architectures.inventory import Inventory
from job.engine.architectures.naming import LAYERS, under
from job.engine.architectures.resnet import ResNet
from job.engine.architectures.resnet_depths import blocks_of, units_of
from job.engine.architectures.scopes import SCOPE, scope_of

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
PAST: Final = "RN50v1.5 of 2019, whose strided convolutions are padded alike on both sides"
PRESENT: Final = "ConvNets of 2020, whose strided convolutions are padded by SAME"


def propose(inventory: Inventory) -> Iterator[Proposal]:
    """Propose both code bases: the one of 2019 first where groups and blocks are counted from 1, as it does."""
    scope = scope_of(inventory, rf"{SCOPE}btlnck_block_\d+_\d+/.+") or "resnet50/"
    group = re.compile(rf"{re.escape(scope)}btlnck_block_(\d+)_(\d+)/")
    first = min((int(match[1]) for name in inventory.weights if (match := group.match(name))), default=0)
    named = _Names(scope=scope, blocks=blocks_of(inventory, group.pattern), first=first)
    is_past = first > 0
    told = f"its groups are counted from {first}, so it is taken for " + (PAST if is_past else PRESENT)
    likelier = _proposal(inventory, named, is_past=is_past)
    other = _proposal(inventory, named, is_past=not is_past)
    assumption = f"{told}; --architecture {other.scheme} is {PRESENT if is_past else PAST}"
    yield replace(likelier, assumptions=(assumption,))
    yield other


def _proposal(inventory: Inventory, names: "_Names", *, is_past: bool) -> Proposal:
    head = f"{names.scope}output/dense/kernel"
    net = ResNet(
        units=units_of(names.blocks),
        padding="fixed" if is_past else "same",
        head="output/dense" if head in inventory.weights else "",
    )
    return Proposal(
        scheme=f"nvidia_resnet_{net.depth}" + ("_2019" if is_past else ""),
        title=f"NVIDIA's ResNet-{net.depth} v1.5" + (" of 2019" if is_past else ""),
        origin=f"NVIDIA/DeepLearningExamples, TensorFlow/Classification/{'RN50v1.5' if is_past else 'ConvNets'}",
        build=net,
        naming=lambda: names,
        facts=(PREPARED, classes_of(inventory, head)),
        momentum=0.9,
    )


@dataclass(frozen=True, kw_only=True)
class _Names:
    """Names that are counted as they are found: in one of the originals from 2 in the third group."""

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
        start = int(self.blocks[group][0]) if self.blocks else self.first
        return f"btlnck_block_{group + self.first}_{start + block}/"
