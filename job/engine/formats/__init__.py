"""One reader per source format; `FORMATS` lists them.

A reader turns files into a `LoadedMetaGraph`; what the graph needs and gives is found out
afterwards, for all formats alike, by `job.engine.assembling`.
"""

from collections.abc import Callable
from typing import Final

from job.engine.formats import checkpoint, graph_def, keras_h5, meta_graph, saved_model
from job.engine.formats.base import LoadedMetaGraph
from job.records import Format
from job.requests import SourceRequest

FORMATS: Final[dict[Format, Callable[[SourceRequest], LoadedMetaGraph]]] = {
    Format.SAVED_MODEL: saved_model.read,
    Format.META_GRAPH: meta_graph.read,
    Format.GRAPH_DEF: graph_def.read,
    Format.KERAS_H5: keras_h5.read,
    Format.CHECKPOINT: checkpoint.read,
}
"""Every format that can be lifted, with its reader."""
