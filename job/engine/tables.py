"""Lookup tables: where they are, what fills them, and which files they read."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Final

from job.engine.checkpoint import HANDED_ON, RESTORE_OPS
from job.engine.graph import Edge, Graph
from job.errors import BadInput
from job.records import Finding

TABLE_OPS: Final = {
    "HashTable": "HashTableV2",
    "HashTableV2": "HashTableV2",
    "MutableHashTable": "MutableHashTableV2",
    "MutableHashTableV2": "MutableHashTableV2",
    "MutableHashTableOfTensors": "MutableHashTableOfTensorsV2",
    "MutableHashTableOfTensorsV2": "MutableHashTableOfTensorsV2",
    "MutableDenseHashTable": "MutableDenseHashTableV2",
    "MutableDenseHashTableV2": "MutableDenseHashTableV2",
}
"""A table's op, and its form with a resource handle."""

FILLING_OPS: Final = {
    "InitializeTable": "InitializeTableV2",
    "InitializeTableV2": "InitializeTableV2",
    "InitializeTableFromTextFile": "InitializeTableFromTextFileV2",
    "InitializeTableFromTextFileV2": "InitializeTableFromTextFileV2",
    "LookupTableImport": "LookupTableImportV2",
    "LookupTableImportV2": "LookupTableImportV2",
}
FILE_OPS: Final = ("InitializeTableFromTextFile", "InitializeTableFromTextFileV2")


@dataclass(frozen=True, kw_only=True)
class Table:
    """A lookup table that the model needs.

    `filled_by` is the node that gives it its contents, empty for a mutable table that starts
    empty. `restored` maps the tensors that come from the checkpoint to their stored names.
    """

    name: str
    filled_by: str = ""
    restored: dict[str, str] = field(default_factory=dict)


def tables_of(graph: Graph, needed: set[str]) -> tuple[Table, ...]:
    """Return the needed tables; raises `BadInput` for a constant one that nothing fills."""
    return tuple(_table(graph, node.name) for node in graph.of_type(*TABLE_OPS) if node.name in needed)


def _table(graph: Graph, name: str) -> Table:
    filling = [node for node in graph.of_type(*FILLING_OPS) if graph.source_of(graph.inputs(node.name)[0]).node == name]
    if not filling and not graph.nodes[name].op.startswith("Mutable"):
        raise BadInput(
            f"nothing in the graph fills the table {name}", remedy="export the model with its table initialisers"
        )
    if not filling:
        return Table(name=name)
    return Table(name=name, filled_by=filling[0].name, restored=dict(_restored(graph, filling[0].name)))


def _restored(graph: Graph, filling: str) -> Iterator[tuple[str, str]]:
    """Yield (tensor, stored name) for contents that a saver restores (mutable tables)."""
    for edge in graph.inputs(filling)[1:]:
        source = graph.source_of(edge, through=HANDED_ON)
        if graph.nodes[source.node].op in RESTORE_OPS:
            names = graph.const(graph.inputs(source.node)[1]).ravel()
            yield edge.tensor, names[source.output].decode()


def find_assets(
    graph: Graph, tables: tuple[Table, ...], recorded: dict[str, Path], said: dict[str, str], beside: Path
) -> tuple[dict[str, Path], list[Finding]]:
    """Return the file of every constant file name that a table reads, by node name, with findings.

    Looked for where the model records its assets, where the manifest says (`said`, original
    path to path below `beside`'s root), and by base name beside the model. Raises `BadInput`
    naming the path that the graph asks for.
    """
    found, findings = dict[str, Path](), list[Finding]()
    known = {tensor.split(":")[0]: path for tensor, path in recorded.items()}
    for table in tables:
        if not table.filled_by or graph.nodes[table.filled_by].op not in FILE_OPS:
            continue
        node = graph.source_of(graph.inputs(table.filled_by)[1]).node
        path = known.get(node) or _search(graph, node, said, beside)
        if not path.is_file() or path.is_symlink():
            raise BadInput(
                f"the vocabulary {path.name} of table {table.name} is missing", remedy="copy the whole model directory"
            )
        if node not in known:
            findings.append(
                Finding(code="asset_found_beside", cause=f"the vocabulary of {table.name} is taken from {path.name}")
            )
        found[node] = path
    return found, findings


def _search(graph: Graph, node: str, said: dict[str, str], beside: Path) -> Path:
    if graph.nodes[node].op != "Const":
        raise BadInput(
            f"the file name of a table is computed by {node}", remedy="export the model with its vocabulary as an asset"
        )
    original = graph.const(Edge(node, 0)).item().decode(errors="replace")
    if original in said:
        if not (beside / said[original]).resolve().is_relative_to(beside.resolve()):
            raise BadInput(f"the asset {said[original]!r} lies outside the model", remedy="name a path below it")
        return beside / said[original]
    base = PureWindowsPath(original).name if "\\" in original else PurePosixPath(original).name
    files = sorted(path for path in beside.rglob("*") if path.name == base and path.is_file())
    candidates = [path for path in (beside / base, beside / "assets" / base) if path in files] or files
    if not candidates:
        raise BadInput(
            f"the graph reads its vocabulary from {original}, which is not here",
            remedy=f"put {base} beside the model, or name it under `assets` in the manifest",
        )
    return candidates[0]
