"""Words that a model's tables know."""

from collections.abc import Iterator
from pathlib import Path

from job.engine.graph import edge_of
from job.engine.source_graph import SourceGraph

UNKNOWN = (b"a", b"zebra", b"")
"""Words that a table need not know, one of them empty."""

MOST = 1000


def words_of(source: SourceGraph) -> list[bytes]:
    """Return known words (at most 1,000 a table) and some that need not be known."""
    words = dict.fromkeys(word for path in source.assets.values() for word in _lines(path))
    words |= dict.fromkeys(_constant_keys(source))
    return [*words, *UNKNOWN]


def _lines(path: Path) -> list[bytes]:
    with path.open("rb") as file:
        return [line.rstrip(b"\r\n") for _, line in zip(range(MOST), file, strict=False)]


def _constant_keys(source: SourceGraph) -> Iterator[bytes]:
    """Yield the string keys that a table is filled with by a constant."""
    filling = [source.graph.inputs(node)[1] for table in source.tables for node in table.filled_by]
    for keys in filling or [edge_of(table.name) for table in source.tables]:
        if source.graph.nodes[keys.node].op == "Const" and keys.node not in source.assets:
            for key in source.graph.const(keys).ravel()[:MOST]:
                if isinstance(key, bytes):
                    yield key
