"""A checkpoint without a MetaGraph (``.meta``), whose graph comes from elsewhere: from beside it, or from us."""

from dataclasses import replace
from pathlib import Path
from typing import Final

from job.engine.architectures import reading
from job.engine.formats import borrowed, graph_def
from job.engine.formats.base import LoadedMetaGraph, checkpoint_of
from job.engine.user_graphs import building, pairing
from job.errors import BadInput
from job.requests import SourceRequest
from job.user_function import is_scheme

_SUFFIXES: Final = (".pb", ".pbtxt")


def read(request: SourceRequest) -> LoadedMetaGraph:
    """Read the one graph that discovery has chosen: a GraphDef in the checkpoint's directory, or a ``.meta``.

    What the user gives comes before it: a graph, an architecture's name, or a function that builds one. Without
    any it is restated, where the architecture is known. Raises `BadInput` for several, and as the readers of
    graphs do.
    """
    prefix = f"{request.directory}/{request.entry}"
    if request.options.graph:
        return pairing.read(request, prefix)
    if is_scheme(request.options.architecture):
        return replace(reading.read(request, prefix), restated=True)
    if request.options.architecture:
        return building.read(request, prefix)
    directory = Path(f"{prefix}.index").parent
    graphs = [path for path in sorted(directory.glob("*")) if path.suffix in _SUFFIXES]
    if len(graphs) > 1:
        raise differing(request, graphs)
    if graphs:
        entry = str(graphs[0].relative_to(request.directory))
        return replace(graph_def.read(replace(request, entry=entry)), checkpoint=checkpoint_of(prefix))
    metas = sorted(Path(request.directory).rglob("*.meta"))
    if metas:
        return borrowed.read(request, metas[0])
    return replace(reading.read(request, prefix), restated=True)


def differing(request: SourceRequest, graphs: list[Path]) -> BadInput:
    """Return the error for several graphs of which it is not known which is the checkpoint's."""
    names = ", ".join(path.name for path in graphs)
    return BadInput(
        f"a checkpoint without its .meta, and the graphs beside it differ: {names}",
        where=request.entry,
        remedy="leave only its own graph beside it, or name it by --graph",
    )
