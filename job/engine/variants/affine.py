"""Nodes that scale and shift each channel by constants: batch norms, whole or in pieces, and biases."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from job.engine.graph import Graph, NodeDef, attribute
from job.engine.variants.editing import is_constant

Array = NDArray[Any]


@dataclass(frozen=True, kw_only=True)
class Affine:
    """``y = scale * x + shift``, a float64 of each for every channel."""

    scale: Array
    shift: Array

    def then(self, after: "Affine") -> "Affine":
        """Return what both do, one after the other."""
        return Affine(scale=self.scale * after.scale, shift=self.shift * after.scale + after.shift)

    @property
    def is_finite(self) -> bool:
        """Whether every number is one."""
        return bool(np.isfinite(self.scale).all() and np.isfinite(self.shift).all())


@dataclass(frozen=True, kw_only=True)
class Channels:
    """What is known of the tensor that an affine node takes: `axis` is 1 or -1."""

    count: int
    axis: int
    rank: int

    def identity(self) -> Affine:
        """Return what changes nothing."""
        return Affine(scale=np.ones(self.count), shift=np.zeros(self.count))

    def vector(self, value: Array) -> Array:
        """Return a constant as one number for each channel; raises `ValueError` where it is none such.

        As it is broadcast: a constant of fewer dimensions stands for the last ones.
        """
        if value.ndim > self.rank:
            raise ValueError
        shape = (1,) * (self.rank - value.ndim) + value.shape
        along = shape[self.axis]
        if value.size != along or along not in (1, self.count):
            raise ValueError
        return np.broadcast_to(value.reshape(-1).astype(np.float64), (self.count,))


def affine_of(graph: Graph, node: NodeDef, index: int, channels: Channels) -> Affine:
    """Return what a node does to the channels of its input `index`; raises `ValueError` where it is no affine one."""
    read = READERS.get(node.op)
    if read is None:
        raise ValueError
    try:
        affine = read(graph, node, index, channels)
    except KeyError as error:  # not by a constant
        raise ValueError from error
    if not affine.is_finite:
        raise ValueError
    return affine


def _constant(graph: Graph, node: NodeDef, index: int) -> Array:
    """Return a constant input; raises `KeyError` where it is none."""
    edge = graph.inputs(node.name)[index]
    if not is_constant(graph.nodes[edge.node]):
        raise KeyError(edge.tensor)
    return np.asarray(graph.const(edge))


def _batch_norm(graph: Graph, node: NodeDef, index: int, channels: Channels) -> Affine:
    if index or attribute(node, "is_training").b or _axis_of(node) != channels.axis or channels.rank < 4:
        raise ValueError
    used = {output for _, _, output in graph.consumers(node.name)}
    if used - {0}:
        raise ValueError
    gamma, beta, mean, variance = (_constant(graph, node, one).astype(np.float64) for one in range(1, 5))
    with np.errstate(all="ignore"):  # what is not finite is refused
        scale = gamma / np.sqrt(variance + attribute(node, "epsilon").f)
        return Affine(scale=scale, shift=beta - mean * scale)


def _bias_add(graph: Graph, node: NodeDef, index: int, channels: Channels) -> Affine:
    axis = _axis_of(node)
    if index or (axis != channels.axis and channels.rank > 2):
        raise ValueError
    return _shifted(channels, _constant(graph, node, 1).astype(np.float64))


def _add(graph: Graph, node: NodeDef, index: int, channels: Channels) -> Affine:
    return _shifted(channels, channels.vector(_constant(graph, node, 1 - index)))


def _sub(graph: Graph, node: NodeDef, index: int, channels: Channels) -> Affine:
    value = channels.vector(_constant(graph, node, 1 - index))
    return _shifted(channels, -value) if index == 0 else Affine(scale=-np.ones(channels.count), shift=value)


def _mul(graph: Graph, node: NodeDef, index: int, channels: Channels) -> Affine:
    return _scaled(channels, channels.vector(_constant(graph, node, 1 - index)))


def _div(graph: Graph, node: NodeDef, index: int, channels: Channels) -> Affine:
    if index:
        raise ValueError
    with np.errstate(all="ignore"):  # what is not finite is refused
        return _scaled(channels, 1.0 / channels.vector(_constant(graph, node, 1)))


def _neg(_: Graph, __: NodeDef, ___: int, channels: Channels) -> Affine:
    return _scaled(channels, -np.ones(channels.count))


def _shifted(channels: Channels, shift: Array) -> Affine:
    return Affine(scale=np.ones(channels.count), shift=shift)


def _scaled(channels: Channels, scale: Array) -> Affine:
    return Affine(scale=scale, shift=np.zeros(channels.count))


def _axis_of(node: NodeDef) -> int:
    return 1 if attribute(node, "data_format").s.startswith(b"NC") else -1


Reader = Callable[[Graph, NodeDef, int, Channels], Affine]

READERS: Final[Mapping[str, Reader]] = {
    **dict.fromkeys(("FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3"), _batch_norm),
    "BiasAdd": _bias_add,
    "Add": _add,
    "AddV2": _add,
    "Sub": _sub,
    "Mul": _mul,
    "RealDiv": _div,
    "Neg": _neg,
}
"""What reads an op's scale and shift."""
