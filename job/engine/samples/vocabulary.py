"""Words that a model's tables know."""

from collections.abc import Collection, Iterator
from pathlib import Path

import numpy as np

from job.engine.graph import Edge
from job.engine.source_graph import SourceGraph
from job.engine.state.tables import Table

UNKNOWN = (b"a", b"zebra", b"")
"""Words that a table need not know, one of them empty."""

MOST = 1000


def words_of(source: SourceGraph, tables: Collection[str] = ()) -> list[bytes]:
    """Return known words (at most 1,000 a table) and some that need not be known.

    Of the named tables, or of all of the model's files and tables where none is named.
    """
    chosen = [table for table in source.tables if table.name in tables]
    words = dict.fromkeys(word for table in chosen or source.tables for word in _keys(source, table))
    if not words:
        words = dict.fromkeys(word for path in source.assets.values() for word in _lines(path))
    return [*words, *UNKNOWN]


def _keys(source: SourceGraph, table: Table) -> Iterator[bytes]:
    """Yield the string keys that a table is filled with, by a constant or from a file of a word a line."""
    for edge in _fillings(source, table):
        node = source.graph.nodes[edge.node]
        if edge.node in source.assets:
            yield from _lines(source.assets[edge.node])
        elif node.op == "Const":
            yield from (key for key in np.ravel(source.graph.const(edge))[:MOST] if isinstance(key, bytes))


def _fillings(source: SourceGraph, table: Table) -> list[Edge]:
    """Return what stands second in the nodes that fill a table: its keys, or its file's name."""
    given = (source.graph.inputs(node)[1:2] for node in table.filled_by)
    return [source.graph.source_of(edge) for edges in given for edge in edges]


def _lines(path: Path) -> list[bytes]:
    with path.open("rb") as file:
        return [line.rstrip(b"\r\n") for _, line in zip(range(MOST), file, strict=False)]
