"""What the names in a checkpoint tell of a ResNet: what stands before them, its groups, its classes."""

import re
from collections import Counter, defaultdict
from typing import Final

from job.engine.architectures.inventory import Inventory

RESNET_50: Final = (3, 4, 6, 3)

DEPTHS: Final = {
    18: (2, 2, 2, 2),
    34: RESNET_50,
    50: RESNET_50,
    101: (3, 4, 23, 3),
    152: (3, 8, 36, 3),
    200: (3, 24, 36, 3),
}
"""Table 1 of He et al. 2015, and 200 of the second paper; 18 and 34 have no bottlenecks."""

SCOPE: Final = r"(?P<scope>(?:.+/)?)"
"""What may stand before a scheme's own names: ``module/``, ``FeatureExtractor/``, ``tower_0/``, ``v0/cg/`` …"""

CAFFE: Final = "the original takes BGR from which (103.939, 116.779, 123.68) was subtracted"
VGG: Final = "the original takes RGB from which (123.68, 116.78, 103.94) was subtracted"
SCALED: Final = "the original takes RGB scaled to [-1, 1]"


def scope_of(inventory: Inventory, pattern: str) -> str:
    """Return what stands before most names that match a pattern with the group ``scope``, empty where none does."""
    return around(inventory, pattern).get("scope", "")


def around(inventory: Inventory, pattern: str) -> dict[str, str]:
    """Return what the groups of a pattern are in most of the names that match it, nothing where none does."""
    found = Counter(
        tuple(match.groupdict().items()) for name in inventory.weights if (match := re.fullmatch(pattern, name))
    )
    return dict(found.most_common(1)[0][0]) if found else {}


def blocks_of(inventory: Inventory, pattern: str) -> tuple[tuple[str, ...], ...]:
    """Return by group what its blocks are called, by a pattern of a group's number and a block's name.

    Names of one kind are in their order: numbers by value, letters by the alphabet. Without any it is a ResNet-50.
    """
    found = defaultdict[int, set[str]](set)
    for name in inventory.weights:
        if match := re.match(pattern, name):
            found[int(match[1])].add(match[2])
    return tuple(tuple(sorted(found[group], key=lambda name: (len(name), name))) for group in sorted(found))


def units_of(blocks: tuple[tuple[str, ...], ...]) -> tuple[int, ...]:
    """Return how many blocks each group has, those of a ResNet-50 where none are known."""
    return tuple(len(group) for group in blocks) or RESNET_50


def classes_of(inventory: Inventory, head: str) -> str:
    """Return a sentence about the labels, which the size of the last layer tells; `head` is its kernel's name."""
    if head not in inventory.weights:
        return "the checkpoint has no classifier: what it answers is the features, the last images' mean"
    count = inventory.weights[head][-1]
    if count == 1001:
        return "it has 1001 classes: class 0 is taken for the background, before ImageNet's 1000"
    return f"it has {count} classes" + (
        ": they are taken for ImageNet's, without a background" if count == 1000 else ""
    )
