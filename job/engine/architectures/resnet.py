"""Residual networks (He et al. 2015, arXiv:1512.03385; v2: arXiv:1603.05027) in all forms that TensorFlow 1 wrote."""

from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

from job.engine.architectures.layers import Layers, Outputs, T, Window

BOTTLENECK: Final = {"conv1": 1, "conv2": 3, "conv3": 1}
BASIC: Final = {"conv1": 3, "conv2": 3}
"""A block's convolutions and their sizes."""


class Norm(NamedTuple):
    """What a batch norm adds to the variance, and whether it has a gamma."""

    epsilon: float = 1e-5
    scale: bool = True


NORM: Final = Norm()


@dataclass(frozen=True, kw_only=True)
class ResNet:
    """In what one ResNet differs from another.

    `units` are the blocks of each group. A group halves the image in its first block, or in its last but
    for the last group's; there `stride_at` the block's first convolution (Caffe), or its 3x3 one (v1.5).
    `projects` says whether the shortcut of the first block has a convolution in every group, or in all but the
    first. `padding` of strided convolutions is ``fixed``, the same on both sides, or TensorFlow's ``same``; of
    the very first one it is `root_padding`, before and after, if that is given; of the first pool it is
    ``same``, ``zeros`` or none (``valid``). `biases` names the convolutions that have one. `root_norm` says
    whether there is a batch norm before the first pool. In version 2 the first blocks of the groups have
    no `preact` of their own where `preact_in` is ``later``: each group ends with one. `last` is what of the
    last images is averaged for the head: ``all``, or the first 7 rows and columns.
    """

    version: Literal[1, 2] = 1
    units: tuple[int, ...]
    is_bottleneck: bool = True
    stride_in: Literal["first", "last"] = "first"
    stride_at: Literal["conv1", "conv2"] = "conv2"
    projects: Literal["every_group", "later_groups"] = "every_group"
    padding: Literal["fixed", "same"] = "fixed"
    root_padding: tuple[int, int] | None = None
    pool: Literal["same", "zeros", "valid"] = "same"
    biases: frozenset[str] = frozenset()
    norm: Norm = NORM
    root_norm: bool = True
    preact: Norm = NORM
    preact_in: Literal["every", "later"] = "every"
    last: Literal["all", "7x7"] = "all"
    head: str = "dense"

    @property
    def depth(self) -> int:
        """Return what the network is called by: its convolutions and its head."""
        return 2 + sum(self.units) * len(BOTTLENECK if self.is_bottleneck else BASIC)

    def __call__(self, layers: Layers[T]) -> Outputs[T]:
        """Build it: ``logits`` and ``probabilities``, or the ``features`` where there is no head."""
        x = self._root(layers, layers.images([None, None, 3]))
        for group, count in enumerate(self.units, 1):
            for block in range(1, count + 1):
                x = self._block(layers, x, f"group{group}/block{block}", self._stride(group, block))
            if self._ends_in_norm(group):
                x = layers.relu(self._normed(layers, x, f"group{group}/postnorm", self.preact))
        if not self.head:
            return {"features": layers.mean(x)}
        logits = layers.dense(layers.mean(x if self.last == "all" else layers.crop(x, 7)), self.head)
        return {"logits": logits, "probabilities": layers.softmax(logits)}

    def _root(self, layers: Layers[T], x: T) -> T:
        x = self._conv(layers, x, "root", 7, 2)
        if self.root_norm:
            x = layers.relu(self._normed(layers, x, "root/norm", self.norm))
        if self.pool == "zeros":
            x = layers.pad(x, 1, 1)
        return layers.max_pool(x, Window((3, 3), 2, "same" if self.pool == "same" else "valid"))

    def _stride(self, group: int, block: int) -> int:
        if self.stride_in == "first":
            return 2 if group > 1 and block == 1 else 1
        return 2 if group < len(self.units) and block == self.units[group - 1] else 1

    def _ends_in_norm(self, group: int) -> bool:
        return self.version == 2 and (self.preact_in == "later" or group == len(self.units))

    def _block(self, layers: Layers[T], x: T, path: str, stride: int) -> T:
        inner = x
        if self.version == 2 and not (self.preact_in == "later" and path.endswith("block1")):
            inner = layers.relu(self._normed(layers, x, f"{path}/preact", self.preact))
        if self._projects(path):  # before the others: some names count the layers in this order
            shortcut = self._projection(layers, inner, path, stride)
        else:
            shortcut = x if stride == 1 else layers.max_pool(x, Window((1, 1), stride))
        y = layers.add(shortcut, self._residual(layers, inner, path, stride))
        return layers.relu(y) if self.version == 1 else y

    def _projects(self, path: str) -> bool:
        """Whether a block's shortcut has a convolution; without one it hands on all pixels, or every other one."""
        group, block = path.split("/")
        return block == "block1" and not (self.projects == "later_groups" and group == "group1")

    def _projection(self, layers: Layers[T], x: T, path: str, stride: int) -> T:
        x = self._conv(layers, x, f"{path}/shortcut", 1, stride)
        return self._normed(layers, x, f"{path}/shortcut/norm", self.norm) if self.version == 1 else x

    def _residual(self, layers: Layers[T], x: T, path: str, stride: int) -> T:
        """Convolve two or three times; in version 1 the last batch norm is followed by the sum alone."""
        sizes = BOTTLENECK if self.is_bottleneck else BASIC
        strided = self.stride_at if self.is_bottleneck else "conv1"
        *_, last = sizes
        for name, size in sizes.items():
            x = self._conv(layers, x, f"{path}/{name}", size, stride if name == strided else 1)
            if name != last:
                x = layers.relu(self._normed(layers, x, f"{path}/{name}/norm", self.norm))
            elif self.version == 1:
                x = self._normed(layers, x, f"{path}/{name}/norm", self.norm)
        return x

    def _conv(self, layers: Layers[T], x: T, path: str, size: int, stride: int) -> T:
        """Convolve; a strided one with ``fixed`` padding does not depend on the size of the image."""
        bias = path.rpartition("/")[2] in self.biases
        around = self._around(path, size)
        if stride == 1 or size == 1 or around is None:
            return layers.conv(x, path, Window((size, size), stride), bias=bias)
        return layers.conv(layers.pad(x, *around), path, Window((size, size), stride, "valid"), bias=bias)

    def _around(self, path: str, size: int) -> tuple[int, int] | None:
        """Return how many zeros a strided convolution has before and after, `None` where that depends on the image."""
        if path == "root" and self.root_padding:
            return self.root_padding
        return (size // 2, size // 2) if self.padding == "fixed" else None

    def _normed(self, layers: Layers[T], x: T, path: str, norm: Norm) -> T:
        return layers.norm(x, path, epsilon=norm.epsilon, scale=norm.scale)
