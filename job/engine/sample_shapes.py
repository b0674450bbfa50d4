"""Concrete shapes for free ones: what the graph implies, and sizes to try where it says nothing."""

from dataclasses import dataclass
from typing import Final

from job.engine.graph import edge_of
from job.engine.source_graph import SourceGraph
from job.records import Shape, TensorSpec

SPATIAL_SIZES: Final = (64, 65, 224, 299, 32, 28, 128)
"""Tried for free height and width, even and odd: an odd size hides padding errors (finding 7)."""

LENGTHS: Final = (8, 5, 16, 1)
"""Tried for every other free dimension; with 1, an input of unknown rank is a scalar."""

RANK_KEEPING_OPS: Final = (
    "Identity",
    "Cast",
    "Enter",
    "Switch",
    "Relu",
    "Mul",
    "Add",
    "AddV2",
    "Sub",
    "RealDiv",
    "PlaceholderWithDefault",
)
"""What goes in and what comes out have the same rank, unless they broadcast."""

PREDICATES: Final = (("Switch", 1), ("RefSwitch", 1), ("LoopCond", 0))
"""Inputs, of which op at which place, that are one truth value."""
CONVOLUTIONS: Final = {"Conv2D": 4, "DepthwiseConv2dNative": 4, "Conv3D": 5}


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """What the free dimensions of one sample are."""

    batch: int
    spatial: int
    length: int


def to_try(shapes: list[Shape], batch: int, turn: int) -> list[Sizes]:
    """Return sizes, likeliest first; an even and an odd one come first in turn."""
    first, length = SPATIAL_SIZES[turn % 2], LENGTHS[turn % 2]
    if not any(shape is None or None in shape[1:] for shape in shapes):
        return [Sizes(batch=batch, spatial=first, length=length)]
    lengths = [length, *(other for other in LENGTHS if other != length)]
    spatial = [size for size in SPATIAL_SIZES if size != first]
    return [Sizes(batch=batch, spatial=first, length=one) for one in lengths] + [
        Sizes(batch=batch, spatial=size, length=length) for size in spatial
    ]


def implied(source: SourceGraph, spec: TensorSpec) -> Shape:
    """Return an input's shape; where the rank is unknown, that which its first branch, convolution or product needs.

    Graphs of old producers say ``{}`` for an unknown shape, and frozen ones often lost theirs.
    """
    if spec.shape is not None:
        return spec.shape
    graph, queue, seen = source.graph, [edge_of(spec.tensor).node], set[str]()
    while queue:
        for name, index, _ in graph.consumers(queue.pop(0)):
            node = graph.nodes[name]
            if (node.op, index) in PREDICATES:
                return ()
            if index == 0 and node.op in CONVOLUTIONS:
                weights = first_dims(source, graph.inputs(name)[1].node)
                channels = weights[-2] if len(weights) > 1 else 3
                return (*[None] * (CONVOLUTIONS[node.op] - 1), channels)
            if index == 0 and node.op == "MatMul":
                weights = first_dims(source, graph.inputs(name)[1].node)
                return (None, weights[0] if weights else None)
            if node.op in RANK_KEEPING_OPS and name not in seen:
                seen.add(name)
                queue.append(name)
    return None


def concrete(shape: Shape, sizes: Sizes) -> tuple[int, ...]:
    """Return a shape without free dimensions: the batch first, height and width of images, lengths else."""
    if shape is None:
        return () if sizes.length == 1 else (sizes.batch,)
    inner = sizes.spatial if len(shape) == 4 else sizes.length
    return tuple(
        (sizes.batch if axis == 0 else inner) if dimension is None else dimension
        for axis, dimension in enumerate(shape)
    )


def first_dims(source: SourceGraph, name: str) -> list[int]:
    """Return the shape of the variable or constant behind a node; empty where it is neither."""
    graph = source.graph
    reading = ("Identity", "ReadVariableOp", "Enter", "Cast")
    seen = set[str]()
    while graph.nodes[name].op in reading and name not in seen:
        seen.add(name)
        name = graph.inputs(name)[0].node
    stored = next((one for one in source.variables if one.name == name), None)
    if stored is not None:
        return [int(size) for size in stored.shape.as_list()] if stored.shape.is_fully_defined() else []
    node = graph.nodes[name]
    return [dim.size for dim in node.attr["value"].tensor.tensor_shape.dim] if node.op == "Const" else []
