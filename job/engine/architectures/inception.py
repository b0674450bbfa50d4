"""Inception v3 (Szegedy et al. 2015, arXiv:1512.00567) in slim's names.

Widths are the checkpoint's. Paths are slim's own names, its slips in them included.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

from job.engine.architectures import slim
from job.engine.architectures.base import Proposal
from job.engine.architectures.catalogue import Catalogue
from job.engine.architectures.facts import SCALED, classes_of
from job.engine.architectures.inventory import Inventory
from job.engine.architectures.layers import Layers, Outputs, T, Window
from job.engine.architectures.scopes import SCOPE, scope_of

WINDOW: Final = 8
"""The mean is over 8x8 positions: what images above 299 pixels have besides does not count."""

AUXILIARY: Final = "AuxLogits"

Step = str | tuple[str, ...]
Branch = tuple[Step, ...]
"""What is done one after another: a convolution or a pool by name, or two convolutions of the same input, joined."""

POOLED: Final[Branch] = ("mean", "Conv2d_0b_1x1")
TWICE_3X3: Final[Branch] = ("Conv2d_0a_1x1", "Conv2d_0b_3x3", "Conv2d_0c_3x3")
SPLIT_3X3: Final[Branch] = ("Conv2d_0a_1x1", "Conv2d_0b_3x3", ("Conv2d_0c_1x3", "Conv2d_0d_3x1"))
ONCE_7X7: Final[Branch] = ("Conv2d_0a_1x1", "Conv2d_0b_1x7", "Conv2d_0c_7x1")
TWICE_7X7: Final[Branch] = ("Conv2d_0a_1x1", "Conv2d_0b_7x1", "Conv2d_0c_1x7", "Conv2d_0d_7x1", "Conv2d_0e_1x7")

MIXED: Final[dict[str, tuple[Branch, ...]]] = {
    "Mixed_5b": (("Conv2d_0a_1x1",), ("Conv2d_0a_1x1", "Conv2d_0b_5x5"), TWICE_3X3, POOLED),
    "Mixed_5c": (("Conv2d_0a_1x1",), ("Conv2d_0b_1x1", "Conv_1_0c_5x5"), TWICE_3X3, POOLED),
    "Mixed_5d": (("Conv2d_0a_1x1",), ("Conv2d_0a_1x1", "Conv2d_0b_5x5"), TWICE_3X3, POOLED),
    "Mixed_6a": (("Conv2d_1a_1x1",), ("Conv2d_0a_1x1", "Conv2d_0b_3x3", "Conv2d_1a_1x1"), ("max",)),
    **{f"Mixed_6{letter}": (("Conv2d_0a_1x1",), ONCE_7X7, TWICE_7X7, POOLED) for letter in "bcde"},
    "Mixed_7a": (("Conv2d_0a_1x1", "Conv2d_1a_3x3"), (*ONCE_7X7, "Conv2d_1a_3x3"), ("max",)),
    "Mixed_7b": (("Conv2d_0a_1x1",), ("Conv2d_0a_1x1", ("Conv2d_0b_1x3", "Conv2d_0b_3x1")), SPLIT_3X3, POOLED),
    "Mixed_7c": (("Conv2d_0a_1x1",), ("Conv2d_0a_1x1", ("Conv2d_0b_1x3", "Conv2d_0c_3x1")), SPLIT_3X3, POOLED),
}
"""The branches of each block, which are joined."""


@dataclass(frozen=True, kw_only=True)
class InceptionV3:
    """Whether batch norm scales, and what is trained on top.

    `auxiliary` is the size of the auxiliary head's own window, 0 where it was left out.
    """

    scale: bool
    head: str
    auxiliary: int

    def __call__(self, layers: Layers[T]) -> Outputs[T]:
        """Build it: ``logits`` and ``probabilities``, or ``features``; the auxiliary head answers nothing."""
        x = self._root(layers, layers.images([None, None, 3]))
        for name, branches in MIXED.items():
            x = layers.concat(
                [self._branch(layers, x, f"{name}/Branch_{number}", branch) for number, branch in enumerate(branches)]
            )
            if name == "Mixed_6e" and self.auxiliary:
                self._auxiliary(layers.catalogue, layers.channels(x))
        return slim.answers(layers, layers.mean(layers.crop(x, WINDOW)), self.head)

    def _root(self, layers: Layers[T], x: T) -> T:
        x = self._conv(layers, x, "Conv2d_1a_3x3")
        x = self._conv(layers, x, "Conv2d_2a_3x3", "valid")
        x = _max(layers, self._conv(layers, x, "Conv2d_2b_3x3"))
        x = self._conv(layers, x, "Conv2d_3b_1x1")
        return _max(layers, self._conv(layers, x, "Conv2d_4a_3x3", "valid"))

    def _branch(self, layers: Layers[T], x: T, path: str, branch: Branch) -> T:
        for step in branch:
            if isinstance(step, tuple):
                x = layers.concat([self._conv(layers, x, f"{path}/{name}") for name in step])
            elif step == "mean":
                x = layers.mean_pool(x, Window((3, 3)))
            else:
                x = _max(layers, x) if step == "max" else self._conv(layers, x, f"{path}/{step}")
        return x

    def _auxiliary(self, catalogue: Catalogue, channels: int | None) -> None:
        """Name the weights of the head that only training uses; its window is what the images of training left."""
        for name, size in (("Conv2d_1b_1x1", 1), (f"Conv2d_2a_{self.auxiliary}x{self.auxiliary}", self.auxiliary)):
            path = f"{AUXILIARY}/{name}"
            channels = catalogue.conv(path, channels, (size, size), bias=False)["kernel"].shape[-1] or None
            catalogue.norm(f"{path}/BatchNorm", channels, scale=self.scale)
        catalogue.dense(f"{AUXILIARY}/Conv2d_2b_1x1", channels)

    def _conv(self, layers: Layers[T], x: T, path: str, padding: Literal["same", "valid"] = "same") -> T:
        """Convolve by the window that the name tells; those called ``1a`` halve the image by 3x3, even ``1a_1x1``."""
        height, width = (int(size) for size in path.rpartition("_")[2].split("x"))
        window = Window((3, 3), 2, "valid") if "_1a_" in path else Window((height, width), 1, padding)
        return layers.relu(slim.conv(layers, x, path, window, scale=self.scale))


def propose(inventory: Inventory) -> Iterator[Proposal]:
    """Propose it with the heads that the checkpoint has."""
    scope = scope_of(inventory, f"{SCOPE}InceptionV3/Conv2d_1a_3x3/weights") + "InceptionV3"
    unread = frozenset(name for name in inventory.weights if name.startswith(f"{scope}/{AUXILIARY}/"))
    sizes = re.search(r"/Conv2d_2a_(\d+)x\1/weights", "\n".join(sorted(unread)))
    left_out = (f"its auxiliary head, {len(unread)} tensors that only training uses, is left out",) if unread else ()
    yield Proposal(
        scheme="slim_inception_v3",
        title="slim's Inception v3",
        origin=f"{slim.ORIGIN}inception_v3.py",
        build=InceptionV3(
            scale=f"{scope}/Conv2d_1a_3x3/BatchNorm/gamma" in inventory.weights,
            head=slim.head_in(inventory, scope),
            auxiliary=int(sizes[1]) if sizes else 0,
        ),
        naming=lambda: slim.names(scope),
        facts=(SCALED, classes_of(inventory, f"{scope}/{slim.LOGITS}/weights"), *left_out),
        momentum=0.9997,
        unread=unread,
    )


def _max(layers: Layers[T], x: T) -> T:
    return layers.max_pool(x, Window((3, 3), 2, "valid"))
