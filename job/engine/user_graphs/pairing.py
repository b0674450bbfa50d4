"""A checkpoint with the graph that its owner names: a GraphDef, or the MetaGraph of another checkpoint."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from tensorflow.core.framework import graph_pb2
from tensorflow.core.protobuf import meta_graph_pb2

from job.content import HEAD_BYTES, MEANINGS, Kind, sniff
from job.engine.formats.base import LoadedMetaGraph, checkpoint_of, parse
from job.engine.formats.session_bundle import adopt_signatures
from job.engine.graph import Graph
from job.engine.structure import blaming
from job.engine.user_graphs.names import named
from job.engine.user_graphs.wanted import Restored, Wanted, restore_from, restored_names, wanted_by
from job.errors import UsageError
from job.records import Finding
from job.requests import SourceRequest
from job.wording import shown

GRAPH_DEFS: Final = (Kind.GRAPH_DEF, Kind.GRAPH_DEF_TEXT)
META_GRAPHS: Final = (Kind.META_GRAPH, Kind.META_GRAPH_TEXT)


def read(request: SourceRequest, prefix: str) -> LoadedMetaGraph:
    """Read the file in ``options.graph`` with the values at `prefix`.

    That the variables which the signatures need are there is checked once these are known. Raises
    `UsageError` for a file that is no graph or has no variables, and as the parsing of files does.
    """
    path = Path(request.options.graph)
    meta_graph = _parsed(path)
    with blaming(meta_graph.graph_def):
        wanted = wanted_by(meta_graph)
        if not wanted:
            what = "the graph that was given has no variables: its weights are in it, and no checkpoint goes with it"
            raise UsageError(what, where=path.name, remedy="name the graph that trained the model, or convert it alone")
        findings = tuple(_paired(meta_graph, wanted, checkpoint_of(prefix), request.options.rules))
    given = Finding(code="graph_given", cause=f"the graph is that of {path.name}, as was asked for")
    return LoadedMetaGraph(
        meta_graph=meta_graph,
        checkpoint=checkpoint_of(prefix),
        beside=Path(prefix).parent,
        findings=(given, *findings),
    )


def _paired(
    meta_graph: meta_graph_pb2.MetaGraphDef, wanted: Mapping[str, Wanted], checkpoint: str, rules: str
) -> Iterator[Finding]:
    """Let the graph restore what the checkpoint calls otherwise, in place; yield what was done, and what is left."""
    called = {one.name for one in wanted.values()}
    tensors, findings = named(wanted.values(), called, checkpoint, rules)
    yield from findings
    restore_from(meta_graph.graph_def, dict(_renamed(wanted, tensors.keys)))
    used = {*called, *restored_names(Graph(meta_graph.graph_def))}
    yield from _left_over([key for name, key in tensors.keys.items() if not {name, key} & used])


def _parsed(path: Path) -> meta_graph_pb2.MetaGraphDef:
    with path.open("rb") as file:
        kind = sniff(file.read(HEAD_BYTES), path.stat().st_size).kind
    if kind in GRAPH_DEFS:
        return meta_graph_pb2.MetaGraphDef(graph_def=parse(path, graph_pb2.GraphDef()))
    if kind in META_GRAPHS:
        meta_graph = parse(path, meta_graph_pb2.MetaGraphDef())
        adopt_signatures(meta_graph)
        return meta_graph
    raise UsageError(
        f"the graph that was given is {MEANINGS[kind][0]}, where a GraphDef or a MetaGraph is wanted",
        where=path.name,
        remedy="name a .pb, .pbtxt or .meta file",
    )


def _renamed(wanted: Mapping[str, Wanted], keys: Mapping[str, str]) -> Iterator[tuple[str, Restored]]:
    """Yield what is restored into each variable that the checkpoint calls by another name than the graph."""
    for name, one in wanted.items():
        if keys.get(one.name, one.name) != one.name:
            yield name, (keys[one.name], one.slice_spec)


def _left_over(keys: list[str]) -> Iterator[Finding]:
    if keys:
        yield Finding(
            code="tensors_left_over",
            cause=f"{len(keys)} tensors of the checkpoint are no variables of the graph: {shown(keys)}",
            remedy="check that the graph is the model's: what it lacks is lost",
            severity="warning",
        )
