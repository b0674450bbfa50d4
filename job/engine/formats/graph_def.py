"""A GraphDef in a file of its own, frozen or not."""

from pathlib import Path

from tensorflow.core.protobuf import meta_graph_pb2

from job.engine.formats.base import LoadedMetaGraph, parse
from job.errors import BadInput
from job.requests import SourceRequest


def read(request: SourceRequest) -> LoadedMetaGraph:
    """Wrap the GraphDef as a MetaGraph without saver and signatures.

    Raises `BadInput` for an empty graph: TensorFlow itself reads an empty file as one.
    """
    path = Path(request.directory, request.entry)
    meta_graph = meta_graph_pb2.MetaGraphDef()
    parse(path, meta_graph.graph_def)
    if not meta_graph.graph_def.node:
        raise BadInput(
            "the GraphDef holds no nodes", where=request.entry, remedy="copy it again from where it was made"
        )
    return LoadedMetaGraph(meta_graph=meta_graph, beside=path.parent)
