"""Concrete shapes for free ones: what the graph implies, and sizes to try where it says nothing."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from job.engine.graph import Graph, NodeDef, attribute, edge_of
from job.engine.source_graph import SourceGraph
from job.records import Shape, TensorSpec

SPATIAL_SIZES: Final = (64, 65, 224, 299, 32, 28, 128)
"""Tried for free height and width, even and odd: an odd size hides padding errors (finding 7)."""

LENGTHS: Final = (8, 5, 16, 1)
"""Tried for every other free dimension; with 1, an input of unknown rank is a scalar."""

RANK_KEEPING_OPS: Final = (
    *("Identity", "Cast", "Enter", "Switch", "PlaceholderWithDefault", "StopGradient", "CheckNumerics"),
    *("Relu", "Sigmoid", "Tanh", "Neg", "Mul", "Add", "AddV2", "Sub", "RealDiv", "Div", "Maximum", "Minimum"),
    *("Merge", "FakeQuantWithMinMaxVars", "FakeQuantWithMinMaxArgs"),
)
"""What goes in and what comes out have the same rank, unless they broadcast."""

DIVISIBLE_BATCH: Final = 36
"""Tried last, for graphs that fold blocks of 2 x 2 or 3 x 3 into the batch (`BatchToSpaceND`)."""

PREDICATES: Final = (("Switch", 1), ("RefSwitch", 1), ("LoopCond", 0))
"""Inputs, of which op at which place, that are one truth value."""

SCALARS: Final = (
    *("DecodeJpeg", "DecodePng", "DecodeImage", "DecodeBmp", "DecodeGif", "DecodeAndCropJpeg", "DecodeWav"),
    *("ParseSingleExample", "ParseSingleSequenceExample", "ParseTensor", "FIFOQueueV2"),
)
"""Ops whose first input is a scalar."""

VECTORS: Final = ("ParseExample", "ParseExampleV2", "ParseSequenceExample", "ParseSequenceExampleV2")
"""Ops whose first input is a vector."""

CONVOLUTIONS: Final = {"Conv2D": 4, "DepthwiseConv2dNative": 4, "Conv3D": 5}
POOLING: Final = {
    **dict.fromkeys(("MaxPool", "AvgPool", "FusedBatchNorm", "FusedBatchNormV3", "LRN", "SpaceToDepth"), 4),
    **dict.fromkeys(("ResizeBilinear", "ResizeNearestNeighbor", "ResizeBicubic", "ResizeArea", "CropAndResize"), 4),
    **dict.fromkeys(("MaxPool3D", "AvgPool3D"), 5),
}
"""Ops and the rank of their first input."""

READING_OPS: Final = (
    *("Identity", "ReadVariableOp", "Enter", "Cast", "Dequantize"),
    *("FakeQuantWithMinMaxVars", "FakeQuantWithMinMaxArgs", "FakeQuantWithMinMaxVarsPerChannel"),
)
"""What may lie between a weight and its use, and keeps its shape."""


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """What the free dimensions of one sample are."""

    batch: int
    spatial: int
    length: int


def to_try(shapes: list[Shape], batch: int, turn: int) -> list[Sizes]:
    """Return sizes, likeliest first; an even and an odd one come first in turn."""
    first, length = SPATIAL_SIZES[turn % 2], LENGTHS[turn % 2]
    divisible = [] if turn else [Sizes(batch=DIVISIBLE_BATCH, spatial=first, length=length)]
    if not any(shape is None or None in shape[1:] for shape in shapes):
        return [Sizes(batch=batch, spatial=first, length=length), *divisible]
    lengths = [length, *(other for other in LENGTHS if other != length)]
    spatial = [size for size in SPATIAL_SIZES if size != first]
    return [
        *(Sizes(batch=batch, spatial=first, length=one) for one in lengths),
        *(Sizes(batch=batch, spatial=size, length=length) for size in spatial),
        *divisible,
    ]


def implied(source: SourceGraph, spec: TensorSpec) -> Shape:
    """Return an input's shape; what it leaves free is as its first branch, convolution, product or reshape needs.

    Graphs of old producers say ``{}`` for an unknown shape, and frozen ones often lost theirs.
    """
    wanted = next((shape for shape in _wanted(source, spec)), None)
    if spec.shape is None or wanted is None:
        return spec.shape if wanted is None else wanted
    if len(spec.shape) == len(wanted):
        return tuple(theirs if ours is None else ours for ours, theirs in zip(spec.shape, wanted, strict=True))
    return _filled(spec.shape, wanted)


def _filled(shape: tuple[int | None, ...], wanted: tuple[int | None, ...]) -> Shape:
    """Return a shape whose one free dimension, after the batch, holds as many values as it is reshaped to.

    Of a vector that is reshaped to a constant shape it is the vector's own: one example, and no batch.
    """
    if shape == (None,) and None not in wanted:
        return (int(np.prod([size for size in wanted if size is not None])),)
    known = [size for size in shape[1:] if size]
    total = int(np.prod([size for size in wanted[1:] if size]))
    if None in wanted[1:] or shape[1:].count(None) != 1 or total % int(np.prod(known)):
        return shape
    return (shape[0], *(total // int(np.prod(known)) if size is None else size for size in shape[1:]))


def _wanted(source: SourceGraph, spec: TensorSpec) -> Iterator[tuple[int | None, ...]]:
    """Yield the shapes that an input's consumers need, nearest first; free sizes are `None`."""
    graph, start = source.graph, edge_of(spec.tensor)
    queue, seen = [(start.node, start.output, tuple[int, ...]())], set[str]()
    while queue:
        node_name, output, added = queue.pop(0)
        for name, index, ours in graph.consumers(node_name):
            node = graph.nodes[name]
            if output not in (-1, ours):
                continue
            shape = _needed(source, node, index)
            if shape is not None and len(shape) >= len(added):
                yield tuple(np.delete(np.array(shape, object), [axis % len(shape) for axis in added]).tolist())
            elif name not in seen and (node.op in RANK_KEEPING_OPS or _expanded(graph, node)):
                seen.add(name)
                queue.append((name, -1, (*_expanded(graph, node), *added)))


def _expanded(graph: Graph, node: NodeDef) -> tuple[int, ...]:
    """Return which dimension an `ExpandDims` adds; none for any other op."""
    if node.op != "ExpandDims":
        return ()
    try:
        return (int(graph.const(graph.inputs(node.name)[1])),)
    except (KeyError, TypeError):
        return ()


def _needed(source: SourceGraph, node: NodeDef, index: int) -> tuple[int | None, ...] | None:
    """Return the shape that an op needs of one of its inputs, or `None` where it takes many."""
    if (node.op, index) in PREDICATES or (index == 0 and node.op in SCALARS):
        return ()
    if index == 0 and node.op in POOLING:
        return _image(node, POOLING[node.op], None)
    if index == 0 and node.op in VECTORS:
        return (None,)
    if index == 0 and node.op == "Reshape":
        return _reshaped(source.graph, node)
    return _weighted(source, node) if index == 0 and node.op in (*CONVOLUTIONS, "MatMul") else None


def _weighted(source: SourceGraph, node: NodeDef) -> tuple[int | None, ...]:
    """Return what the weights fix of an op's input: its channels or columns."""
    weights = first_dims(source, source.graph.inputs(node.name)[1].node)
    if node.op != "MatMul":
        return _image(node, CONVOLUTIONS[node.op], weights[-2] if len(weights) > 1 else 3)
    turned = attribute(node, "transpose_b").b
    return (None, weights[turned] if len(weights) == 2 else None)


def _image(node: NodeDef, rank: int, channels: int | None) -> tuple[int | None, ...]:
    layout = attribute(node, "data_format")
    first = layout is not None and layout.s.startswith(b"NC")
    sizes = [None] * (rank - 2)
    return (None, channels, *sizes) if first else (None, *sizes, channels)


def _reshaped(graph: Graph, node: NodeDef) -> tuple[int | None, ...] | None:
    """Return a constant shape with one free dimension at most, which stands first: the batch."""
    try:
        sizes = [int(size) for size in np.ravel(graph.const(graph.inputs(node.name)[1]))]
    except KeyError:
        return None
    if len(sizes) < 2 or any(size < 0 for size in sizes[1:]):
        return None
    return tuple(None if size < 0 else size for size in sizes)


def concrete(shape: Shape, sizes: Sizes) -> tuple[int, ...]:
    """Return a shape without free dimensions: the batch first, height and width of images, lengths else."""
    if shape is None:
        return () if sizes.length == 1 else (sizes.batch,)
    inner = sizes.spatial if len(shape) in (4, 5) else sizes.length
    return tuple(
        (sizes.batch if axis == 0 else inner) if dimension is None else dimension
        for axis, dimension in enumerate(shape)
    )


def first_dims(source: SourceGraph, name: str) -> list[int]:
    """Return the shape of the variable or constant behind a node; empty where it is neither."""
    graph = source.graph
    seen = set[str]()
    while graph.nodes[name].op in READING_OPS and name not in seen:
        seen.add(name)
        name = graph.inputs(name)[0].node
    stored = next((one for one in source.variables if one.name == name), None)
    if stored is not None:
        return [int(size) for size in stored.shape.as_list()] if stored.shape.is_fully_defined() else []
    node = graph.nodes[name]
    return [dim.size for dim in node.attr["value"].tensor.tensor_shape.dim] if node.op == "Const" else []
