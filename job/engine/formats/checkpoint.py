"""A checkpoint without a MetaGraph (``.meta``), whose graph lies beside it as a GraphDef."""

from dataclasses import replace
from pathlib import Path
from typing import Final

from job.engine.formats import graph_def
from job.engine.formats.base import LoadedMetaGraph, checkpoint_of
from job.errors import BadInput
from job.requests import SourceRequest

_SUFFIXES: Final = (".pb", ".pbtxt")


def read(request: SourceRequest) -> LoadedMetaGraph:
    """Read the one GraphDef in the checkpoint's directory; discovery has chosen it, and no other is there.

    Raises `BadInput` where there is none, and as the reader of GraphDefs does.
    """
    prefix = f"{request.directory}/{request.entry}"
    directory = Path(f"{prefix}.index").parent
    graph = next((path for path in sorted(directory.glob("*")) if path.suffix in _SUFFIXES), None)
    if graph is None:
        raise BadInput(
            "a checkpoint without its graph", where=request.entry, remedy="put its .meta or its GraphDef beside it"
        )
    entry = str(graph.relative_to(request.directory))
    return replace(graph_def.read(replace(request, entry=entry)), checkpoint=checkpoint_of(prefix))
