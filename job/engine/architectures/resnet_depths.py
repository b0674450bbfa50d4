"""How deep a ResNet is, and what its blocks are called in a checkpoint."""

import re
from collections import defaultdict
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


MAY_BE_LOST: Final = 2
"""Up to so many blocks more or fewer than in the table are taken for damage, and not for a network of its own."""


def blocks_of(inventory: Inventory, pattern: str) -> tuple[tuple[str, ...], ...]:
    """Return by group what its blocks are called, by a pattern of a group's number and a block's name.

    Names of one kind are in their order: numbers by value, letters by the alphabet. Nothing where there are
    not four groups: of fewer, as where a network was cut, it is not known which halves the image.
    """
    found = defaultdict[int, set[str]](set)
    for name in inventory.weights:
        if match := re.match(pattern, name):
            found[int(match[1])].add(match[2])
    groups = tuple(tuple(sorted(found[group], key=lambda name: (len(name), name))) for group in sorted(found))
    return groups if len(groups) == len(RESNET_50) else ()


def units_of(blocks: tuple[tuple[str, ...], ...]) -> tuple[int, ...]:
    """Return how many blocks each group has: of a ResNet-50 where none are known.

    Where that is nearly the table's it is taken for it, so that a checkpoint that lost a block is incomplete, and no
    ResNet of 47 layers.
    """
    counts = tuple(len(group) for group in blocks) or RESNET_50
    apart = {
        units: sum(abs(one - other) for one, other in zip(units, counts, strict=True)) for units in DEPTHS.values()
    }
    nearest = min(apart, key=lambda units: apart[units])
    return counts if apart[nearest] > MAY_BE_LOST and all(map(_is_whole, blocks)) else nearest


def own_depth(units: tuple[int, ...]) -> tuple[str, ...]:
    """Return what is assumed of a network that is not in the table."""
    if units in DEPTHS.values():
        return ()
    told = ", ".join(map(str, units))
    return (
        f"its groups have {told} blocks, as no published ResNet: its strides are taken to be where those have them",
    )


def _is_whole(group: tuple[str, ...]) -> bool:
    """Whether blocks that are called by numbers, or by letters, are called by successive ones."""
    places = [int(digits) if (digits := re.sub(r"\D", "", name)) else ord(name[-1]) for name in group]
    return max(places) - min(places) + 1 == len(places)
