"""Residual networks (He et al. 2015, arXiv:1512.03385; v2: arXiv:1603.05027) in all forms that TensorFlow 1 wrote."""

from dataclasses import dataclass
from typing import Literal

from job.engine.architectures.layers import Layers, Outputs, T, Window


@dataclass(frozen=True, kw_only=True)
class ResNet:
    """In what one ResNet differs from another.

    `units` are the blocks of each group. A group halves the image in its first block, or in its last but
    for the last group's; there `stride_at` the block's first convolution (Caffe), or its 3x3 one (v1.5).
    `projects` says where a shortcut has a convolution: in the groups' first blocks, in those of all groups but the
    first, or where channels change.
    `padding` of strided convolutions is ``fixed``, the same on both sides, or TensorFlow's ``same``;
    of the first pool it is ``same``, ``zeros`` or none. `biases` names the convolutions that have one.
    """

    version: Literal[1, 2] = 1
    units: tuple[int, ...]
    is_bottleneck: bool = True
    stride_in: Literal["first", "last"] = "first"
    stride_at: Literal["conv1", "conv2"] = "conv2"
    projects: Literal["first_blocks", "later_groups", "where_needed"] = "first_blocks"
    padding: Literal["fixed", "same"] = "fixed"
    pool: Literal["same", "zeros", "valid"] = "same"
    biases: frozenset[str] = frozenset()
    epsilon: float = 1e-5
    head: str = "dense"

    def __call__(self, layers: Layers[T]) -> Outputs[T]:
        """Build it: ``logits`` and ``probabilities``, or the ``features`` where there is no head."""
        x = self._root(layers, layers.images([None, None, 3]))
        for group, count in enumerate(self.units, 1):
            for block in range(1, count + 1):
                x = self._block(layers, x, f"group{group}/block{block}", self._stride(group, block))
        if self.version == 2:
            x = self._norm_relu(layers, x, "postnorm")
        x = layers.mean(x)
        if not self.head:
            return {"features": x}
        logits = layers.dense(x, self.head)
        return {"logits": logits, "probabilities": layers.softmax(logits)}

    def _root(self, layers: Layers[T], x: T) -> T:
        x = self._conv(layers, x, "conv1", 7, 2)
        if self.version == 1:
            x = self._norm_relu(layers, x, "conv1/norm")
        if self.pool == "zeros":
            x = layers.pad(x, 1, 1)
        return layers.max_pool(x, Window((3, 3), 2, "same" if self.pool == "same" else "valid"))

    def _stride(self, group: int, block: int) -> int:
        if self.stride_in == "first":
            return 2 if group > 1 and block == 1 else 1
        return 2 if group < len(self.units) and block == self.units[group - 1] else 1

    def _block(self, layers: Layers[T], x: T, path: str, stride: int) -> T:
        inner = x if self.version == 1 else self._norm_relu(layers, x, f"{path}/preact")
        if self._projects(path):  # before the others: some names count the layers in this order
            shortcut = self._projection(layers, inner, path, stride)
            residual = self._residual(layers, inner, path, stride)
        else:
            residual = self._residual(layers, inner, path, stride)
            shortcut = self._shortcut(layers, x, inner, residual, path, stride)
        y = layers.add(shortcut, residual)
        return layers.relu(y) if self.version == 1 else y

    def _projects(self, path: str) -> bool:
        group, block = path.split("/")
        skipped = self.projects == "later_groups" and group == "group1"
        return self.projects != "where_needed" and block == "block1" and not skipped

    def _shortcut(self, layers: Layers[T], x: T, inner: T, residual: T, path: str, stride: int) -> T:
        """Return the input itself, every other pixel of it where the block halves, or its projection to more channels."""
        if self.projects == "where_needed" and layers.channels(x) != layers.channels(residual):
            return self._projection(layers, inner, path, stride)
        return x if stride == 1 else layers.max_pool(x, Window((1, 1), stride))

    def _projection(self, layers: Layers[T], x: T, path: str, stride: int) -> T:
        x = self._conv(layers, x, f"{path}/shortcut", 1, stride)
        return layers.norm(x, f"{path}/shortcut/norm", epsilon=self.epsilon) if self.version == 1 else x

    def _residual(self, layers: Layers[T], x: T, path: str, stride: int) -> T:
        """Convolve two or three times; in version 1 the last batch norm is followed by the sum alone."""
        sizes = {"conv1": 1, "conv2": 3, "conv3": 1} if self.is_bottleneck else {"conv1": 3, "conv2": 3}
        strided = self.stride_at if self.is_bottleneck else "conv1"
        *_, last = sizes
        for name, size in sizes.items():
            x = self._conv(layers, x, f"{path}/{name}", size, stride if name == strided else 1)
            if name != last:
                x = self._norm_relu(layers, x, f"{path}/{name}/norm")
            elif self.version == 1:
                x = layers.norm(x, f"{path}/{name}/norm", epsilon=self.epsilon)
        return x

    def _conv(self, layers: Layers[T], x: T, path: str, size: int, stride: int) -> T:
        """Convolve; a strided one with ``fixed`` padding does not depend on the size of the image."""
        bias = path.rpartition("/")[2] in self.biases
        if stride == 1 or size == 1 or self.padding == "same":
            return layers.conv(x, path, Window((size, size), stride), bias=bias)
        around = size - 1
        x = layers.pad(x, around // 2, around - around // 2)
        return layers.conv(x, path, Window((size, size), stride, "valid"), bias=bias)

    def _norm_relu(self, layers: Layers[T], x: T, path: str) -> T:
        return layers.relu(layers.norm(x, path, epsilon=self.epsilon))
