"""A MetaGraph (``.meta``) with its checkpoint beside it."""

from pathlib import Path

from tensorflow.core.protobuf import meta_graph_pb2

from job.engine.formats.base import LoadedMetaGraph, checkpoint_of, parse
from job.engine.formats.session_bundle import adopt_signatures
from job.errors import BadInput
from job.requests import SourceRequest


def read(request: SourceRequest) -> LoadedMetaGraph:
    """Read ``<prefix>.meta``; the values lie at the prefix (V2 files, or one V1 file).

    A ``checkpoint`` file is never consulted: the paths that it names are those of the machine
    that trained the model.
    """
    prefix = f"{request.directory}/{request.entry}"  # joined as text: the prefix of ``run/.meta`` ends with a slash
    meta_graph = parse(Path(f"{prefix}.meta"), meta_graph_pb2.MetaGraphDef())
    if not meta_graph.graph_def.node:
        raise BadInput(
            "the MetaGraph holds no nodes", where=f"{request.entry}.meta", remedy="copy it again from where it was made"
        )
    adopt_signatures(meta_graph)
    return LoadedMetaGraph(
        meta_graph=meta_graph, checkpoint=checkpoint_of(prefix), beside=Path(f"{prefix}.meta").parent
    )
