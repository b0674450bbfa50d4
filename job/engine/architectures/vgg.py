"""VGG (Simonyan and Zisserman 2014, arXiv:1409.1556) in slim's names, where the last three layers are convolutions."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from job.engine.architectures import slim
from job.engine.architectures.base import Proposal
from job.engine.architectures.facts import VGG, classes_of
from job.engine.architectures.inventory import Inventory
from job.engine.architectures.layers import Layers, Outputs, T, Window
from job.engine.architectures.scopes import SCOPE, scope_of

UNITS: Final = {"vgg_a": (1, 1, 2, 2, 2), "vgg_16": (2, 2, 3, 3, 3), "vgg_19": (2, 2, 4, 4, 4)}
"""The convolutions before each pool by what slim calls the network: columns A, D and E of table 1 of the paper."""


@dataclass(frozen=True, kw_only=True)
class Vgg:
    """Its convolutions before each pool."""

    units: tuple[int, ...]
    head: str

    def __call__(self, layers: Layers[T]) -> Outputs[T]:
        """Build it: ``logits`` and ``probabilities``, or ``features``, of images of 224 pixels or more.

        Larger images have several positions left at the end; their mean is taken, as by slim's `global_pool`.
        """
        x = layers.images([None, None, 3])
        for group, count in enumerate(self.units, 1):
            for number in range(1, count + 1):
                x = _conv(layers, x, f"conv{group}/conv{group}_{number}", Window((3, 3)))
            x = layers.max_pool(x, Window((2, 2), 2, "valid"))
        x = _conv(layers, x, "fc6", Window((7, 7), 1, "valid"))
        x = _conv(layers, x, "fc7", Window((1, 1)))
        return slim.answers(layers, layers.mean(x), self.head)


def propose(inventory: Inventory) -> Iterator[Proposal]:
    """Propose each depth."""
    for name, units in UNITS.items():
        yield _proposal(inventory, name, units)


def _proposal(inventory: Inventory, name: str, units: tuple[int, ...]) -> Proposal:
    scope = scope_of(inventory, f"{SCOPE}{name}/conv1/conv1_1/weights") + name
    return Proposal(
        scheme=f"slim_{name}",
        title=f"slim's {name.upper().replace('_', '-')}",
        origin=f"{slim.ORIGIN}vgg.py",
        build=Vgg(units=units, head=slim.head_in(inventory, scope, "fc8")),
        naming=lambda: slim.names(scope),
        facts=(VGG, classes_of(inventory, f"{scope}/fc8/weights")),
    )


def _conv(layers: Layers[T], x: T, path: str, window: Window) -> T:
    return layers.relu(layers.conv(x, path, window, bias=True))
