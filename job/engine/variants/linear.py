"""Linear ops with constant weights: which axis of these makes an output channel, and which takes an input one."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from job.engine.graph import NodeDef, attribute

Array = NDArray[Any]


@dataclass(frozen=True, kw_only=True)
class LinearOp:
    """Where an op takes its data and its weights, and their axes; several axes count as one, the last fastest."""

    data: int
    weights: int
    out_axes: tuple[int, ...]
    in_axes: tuple[int, ...]


CONVOLUTION: Final = LinearOp(data=0, weights=1, out_axes=(3,), in_axes=(2,))

LINEAR_OPS: Final[Mapping[str, LinearOp]] = {
    "Conv2D": CONVOLUTION,
    "Conv3D": LinearOp(data=0, weights=1, out_axes=(4,), in_axes=(3,)),
    "DepthwiseConv2dNative": LinearOp(data=0, weights=1, out_axes=(2, 3), in_axes=(2,)),
    "Conv2DBackpropInput": LinearOp(data=2, weights=1, out_axes=(2,), in_axes=(3,)),
    "Conv3DBackpropInputV2": LinearOp(data=2, weights=1, out_axes=(3,), in_axes=(4,)),
    "MatMul": LinearOp(data=0, weights=1, out_axes=(1,), in_axes=(0,)),
}


def linear_op(node: NodeDef) -> LinearOp:
    """Return how a node of one of `LINEAR_OPS` is laid out."""
    if node.op == "MatMul" and attribute(node, "transpose_b").b:
        return LinearOp(data=0, weights=1, out_axes=(0,), in_axes=(1,))
    return LINEAR_OPS[node.op]


def channel_axis(node: NodeDef) -> int:
    """Return the axis of channels in what a linear op gives: 1 or the last one, as -1."""
    layout = attribute(node, "data_format")
    return 1 if layout is not None and layout.s.startswith(b"NC") else -1


def rank_of(node: NodeDef) -> int:
    """Return the rank of what a linear op gives."""
    return {"MatMul": 2, "Conv3D": 5, "Conv3DBackpropInputV2": 5}.get(node.op, 4)


def channels(weights: Array, axes: tuple[int, ...]) -> int:
    """Return how many channels axes of the weights stand for."""
    return int(np.prod([weights.shape[axis] for axis in axes]))


def scaled(weights: Array, axes: tuple[int, ...], scale: Array) -> Array:
    """Return weights with each channel along `axes` multiplied by its scale, in the dtype of the scale."""
    shape = [size if axis in axes else 1 for axis, size in enumerate(weights.shape)]
    return np.asarray(weights.astype(scale.dtype) * scale.reshape(shape))
