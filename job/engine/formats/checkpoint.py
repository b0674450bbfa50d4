"""A checkpoint without a MetaGraph (``.meta``), whose graph comes from elsewhere: from beside it, or from us."""

from dataclasses import replace
from pathlib import Path
from typing import Final

from job.engine.architectures import reading
from job.engine.formats import borrowed, graph_def
from job.engine.formats.base import LoadedMetaGraph, checkpoint_of
from job.engine.state.checkpoint import stored_shapes
from job.engine.state.recorded import OBJECTS
from job.engine.user_graphs import building, pairing
from job.engine.user_graphs.wanted import wanted_by
from job.errors import BadInput, Incomplete
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
        loaded = replace(graph_def.read(replace(request, entry=entry)), checkpoint=checkpoint_of(prefix))
        return _recognised_instead(request, prefix, loaded) if _is_of_another(loaded) else loaded
    metas = sorted(Path(request.directory).rglob("*.meta"))
    if metas:
        return borrowed.read(request, metas[0])
    return replace(reading.read(request, prefix), restated=True)


def _is_of_another(loaded: LoadedMetaGraph) -> bool:
    """Tell whether a graph has variables, and the checkpoint, which has names, holds none of them."""
    stored, wanted = stored_shapes(loaded.checkpoint), {one.name for one in wanted_by(loaded.meta_graph).values()}
    return bool(wanted) and OBJECTS not in stored and wanted.isdisjoint(stored)


def _recognised_instead(request: SourceRequest, prefix: str, loaded: LoadedMetaGraph) -> LoadedMetaGraph:
    """Return the graph of an architecture that is known, else the other's, which then says what it lacks."""
    try:
        return replace(reading.read(request, prefix), restated=True)
    except Incomplete:
        return loaded


def differing(request: SourceRequest, graphs: list[Path]) -> BadInput:
    """Return the error for several graphs of which it is not known which is the checkpoint's."""
    names = ", ".join(path.name for path in graphs)
    return BadInput(
        f"a checkpoint without its .meta, and the graphs beside it differ: {names}",
        where=request.entry,
        remedy="leave only its own graph beside it, or name it by --graph",
    )
