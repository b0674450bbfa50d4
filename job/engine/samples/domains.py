"""Which values a tensor may hold, told by the ops that they reach."""

from collections.abc import Iterator
from typing import Final

from job.engine.graph import Edge, Graph
from job.engine.samples.sizes import first_dims
from job.engine.source_graph import SourceGraph

ROW_OPS: Final = (
    "Gather",
    "GatherV2",
    "GatherNd",
    "ResourceGather",
    "ResourceGatherNd",
    *(f"SparseSegment{how}{more}" for how in ("Mean", "Sum", "SqrtN") for more in ("", "WithNumSegments")),
)
"""Their second input says which rows of the first one are meant."""

COUNTED_OPS: Final = {
    ("OneHot", 0): 1,
    **{(f"UnsortedSegment{how}", 1): 2 for how in ("Sum", "Mean", "Max", "Min", "Prod")},
}
"""(op, input) that holds indices, and which input says how many there are."""

VALUE_KEEPING_OPS: Final = {
    **dict.fromkeys(("Identity", "Cast", "Reshape", "ExpandDims", "Squeeze", "Transpose", "Tile"), (0,)),
    **dict.fromkeys(("Unique", "UniqueV2", "StridedSlice", "Slice", "Pad", "BroadcastTo", "StopGradient"), (0,)),
    **dict.fromkeys(("Enter", "Exit", "NextIteration", "Switch", "Gather", "GatherV2", "GatherNd"), (0,)),
    **dict.fromkeys(("Unpack", "ReverseV2", "ReverseSequence", "FloorDiv", "DynamicPartition", "Where"), (0,)),
    **dict.fromkeys(("StringLower", "StringUpper", "StringStrip", "RegexReplace", "StaticRegexReplace"), (0,)),
    **dict.fromkeys(("Merge", "Pack", "ConcatV2", "Maximum", "Minimum", "Select", "SelectV2"), (0, 1, 2, 3)),
    **dict.fromkeys(("Split", "SparseFillEmptyRows"), (1,)),
    **dict.fromkeys(("TensorArrayScatterV3", "TensorArrayReadV3", "TensorArrayWriteV3", "TensorArrayGatherV3"), (2,)),
    "TensorArrayWriteV3": (2, 3),
    "PlaceholderWithDefault": (0,),
}
"""Op → inputs whose numbers or words it hands on. A ``TensorArray``'s flow stands for what it holds."""

LOOKUPS: Final = ("LookupTableFind", "LookupTableFindV2")


def reached(graph: Graph, start: Edge) -> Iterator[tuple[str, int]]:
    """Yield (consumer, which of its inputs) for every op that sees the values of a tensor as they are."""
    seen, queue = set[tuple[str, int]](), [(start.node, start.output)]
    while queue:
        node, output = queue.pop(0)
        for name, index, ours in graph.consumers(node):
            if (output not in (-1, ours)) or (name, index) in seen:
                continue
            seen.add((name, index))
            yield name, index
            if index in VALUE_KEEPING_OPS.get(graph.nodes[name].op, ()):
                queue.append((name, -1))


def index_bound(source: SourceGraph, start: Edge) -> int:
    """Return how many rows the smallest table has that the values index; 0 where they index none that is known.

    Behind `DynamicPartition` the tables are the shards of one, and their rows add up.
    """
    graph, consumers = source.graph, list(reached(source.graph, start))
    counts = [count for name, index in consumers if (count := _count(source, name, index))]
    sharded = any(graph.nodes[name].op == "DynamicPartition" for name, _ in consumers)
    return (sum if sharded else min)(counts) if counts else 0


def _count(source: SourceGraph, name: str, index: int) -> int:
    graph, op = source.graph, source.graph.nodes[name].op
    if op in ROW_OPS and index == 1:
        rows, axis = first_dims(source, graph.inputs(name)[0].node), _axis(graph, name)
        return rows[axis] if -len(rows) <= axis < len(rows) else 0
    if (op, index) in COUNTED_OPS:
        return _constant(graph, graph.inputs(name)[COUNTED_OPS[op, index]])
    return 0


def _axis(graph: Graph, name: str) -> int:
    return _constant(graph, graph.inputs(name)[2]) if graph.nodes[name].op == "GatherV2" else 0


def _constant(graph: Graph, edge: Edge) -> int:
    try:
        return int(graph.const(edge))
    except (KeyError, TypeError):  # computed, or no scalar
        return 0


def tables_read(graph: Graph, start: Edge) -> set[str]:
    """Return the tables in which a tensor's values are looked up."""
    return {
        graph.source_of(graph.inputs(name)[0]).node
        for name, index in reached(graph, start)
        if graph.nodes[name].op in LOOKUPS and index == 1
    }
