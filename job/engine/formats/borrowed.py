"""A checkpoint without a MetaGraph, with the MetaGraph of another one, which discovery has found for it."""

from dataclasses import replace
from pathlib import Path

from tensorflow.core.protobuf import meta_graph_pb2

from job.engine.architectures.matching import Pattern, Shape, fit
from job.engine.formats import meta_graph
from job.engine.formats.base import GRAPH_WANTED, LoadedMetaGraph, checkpoint_of
from job.engine.graph import Graph, edge_of
from job.engine.state.checkpoint import RESTORE_OPS, stored_shapes
from job.engine.structure import blaming
from job.engine.user_graphs.wanted import wanted_by
from job.errors import Incomplete
from job.records import Finding
from job.requests import SourceRequest


def read(request: SourceRequest, meta: Path) -> LoadedMetaGraph:
    """Read the graph in `meta` with the values of the requested checkpoint.

    Where the two checkpoints' indexes are the same the weights are, and the graph is theirs. Else it
    must restore what the checkpoint holds, by name and shape. Raises `Incomplete` where it does not.
    """
    prefix, entry = f"{request.directory}/{request.entry}", str(meta.relative_to(request.directory))
    other = entry.removesuffix(".meta")
    loaded = meta_graph.read(replace(request, entry=other))
    checkpoint = checkpoint_of(prefix)
    if _is_copy(Path(f"{request.directory}/{other}.index"), Path(f"{prefix}.index")):
        why = "its checkpoint has the same index, which holds a checksum of every value"
    else:
        why = f"it restores the same {_agreeing(loaded.meta_graph, checkpoint, request.entry, entry)} names and shapes"
    finding = Finding(
        code="graph_of_another",
        cause=f"the checkpoint has no graph of its own; that of {entry} was taken: {why}",
        remedy="name another graph by --graph, if it is not this one",
    )
    return replace(
        loaded, checkpoint=checkpoint, beside=Path(f"{prefix}.index").parent, findings=(*loaded.findings, finding)
    )


def _is_copy(one: Path, other: Path) -> bool:
    return one.is_file() and other.is_file() and one.read_bytes() == other.read_bytes()


def _agreeing(meta: meta_graph_pb2.MetaGraphDef, checkpoint: str, entry: str, graph_of: str) -> int:
    """Return how many stored tensors the graph restores, all of them."""
    stored: dict[str, Shape] = {key: tuple(shape) for key, shape in stored_shapes(checkpoint).items()}
    with blaming(meta.graph_def):
        wanted = _wanted(meta)
    found = fit({key: stored.get(key, ()) if shape is None else shape for key, shape in wanted.items()}, stored)
    if not found.is_exact:
        what = f"a checkpoint without its graph, and that of {graph_of} is another model's: {found.differences()}"
        raise Incomplete(what, where=entry, remedy=GRAPH_WANTED)
    return len(found.matched)


def _wanted(meta: meta_graph_pb2.MetaGraphDef) -> dict[str, Pattern | None]:
    """Return name and shape of every tensor that a graph's saver restores, `None` for a shape that is free.

    Without a saver these are the variables.
    """
    graph = Graph(meta.graph_def)
    shapes = {one.name: one.shape for one in wanted_by(meta).values()}
    restore = edge_of(meta.saver_def.restore_op_name).node
    if restore not in graph.nodes:
        return shapes
    saver = graph.ancestors([restore])
    nodes = [node.name for node in graph.of_type(*RESTORE_OPS) if node.name in saver]
    names = [name for node in nodes for name in graph.names(graph.inputs(node)[1])]
    return {name: shapes.get(name) for name in names}
