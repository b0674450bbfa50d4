"""Lookup tables: where they are, what fills them, and which files they read."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Final

from job.engine.formats.base import LoadedMetaGraph
from job.engine.graph import Edge, Graph, NodeDef, edge_of
from job.engine.ops.policy import FILE_OPS
from job.engine.state.checkpoint import HANDED_ON, RESTORE_OPS, VARIABLE_OPS
from job.errors import BadInput, Incomplete
from job.records import Finding
from job.requests import SourceRequest

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
INSERT_OPS: Final = ("LookupTableInsert", "LookupTableInsertV2")
READING_OPS: Final = tuple(f"LookupTable{use}{version}" for use in ("Find", "Size", "Export") for version in ("", "V2"))
HANDLE_OPS: Final = ("Identity", "RefIdentity", "Enter", "RefEnter", "Switch", "RefSwitch")


@dataclass(frozen=True, kw_only=True)
class Table:
    """A lookup table that the model needs.

    `filled_by` are the nodes that give it its contents, none for a mutable table that starts
    empty. `restored` maps the tensors that come from the checkpoint to their stored names.
    """

    name: str
    filled_by: tuple[str, ...] = ()
    restored: dict[str, str] = field(default_factory=dict)


def tables_of(graph: Graph, needed: set[str], initialisers: tuple[str, ...] = ()) -> tuple[Table, ...]:
    """Return the needed tables, filled as the saver and then `initialisers`, the model's own, do.

    Raises `BadInput` for a constant table that nothing fills, and for one that is filled in a way
    that cannot be carried over.
    """
    at_start = graph.ancestors(initialisers)
    return tuple(
        _table(graph, node.name, needed, at_start) for node in graph.of_type(*TABLE_OPS) if node.name in needed
    )


def _table(graph: Graph, name: str, needed: set[str], at_start: set[str]) -> Table:
    users = [node for node in graph.graph_def.node if _uses(graph, node, name)]
    filling = [node.name for node in users if node.op in FILLING_OPS]
    restoring = [node for node in filling if any(_restored(graph, node))]
    started = [node.name for node in users if node.name in at_start and node.op not in (*READING_OPS, *HANDLE_OPS)]
    if not started and not graph.nodes[name].op.startswith("Mutable"):
        started = filling
    filled_by = tuple(dict.fromkeys([*restoring, *(started or filling)]))
    for node in filled_by:
        _check_carried(graph, name, node, needed)
    if not filled_by and not graph.nodes[name].op.startswith("Mutable"):
        raise BadInput(
            f"nothing in the graph fills the table {name}", remedy="export the model with its table initialisers"
        )
    return Table(
        name=name, filled_by=filled_by, restored=dict(pair for node in filled_by for pair in _restored(graph, node))
    )


def _uses(graph: Graph, node: NodeDef, table: str) -> bool:
    """Whether a node other than one that hands it on takes the table."""
    return node.op not in HANDLE_OPS and any(graph.source_of(edge).node == table for edge in graph.inputs(node.name))


def _check_carried(graph: Graph, table: str, filling: str, needed: set[str]) -> None:
    """Raise `BadInput` for what fills a table by more than constants, files and the checkpoint."""
    op = graph.nodes[filling].op
    given = {edge_of(tensor).node for tensor, _ in _restored(graph, filling)} | {table}
    given |= {graph.source_of(graph.inputs(filling)[1]).node} if op in FILE_OPS else set()
    behind = graph.ancestors([filling], stop=given) - given
    by = ""
    if op not in (*FILLING_OPS, *INSERT_OPS):
        by = f"op {op} (node {filling})"
    elif op in INSERT_OPS and filling in needed:
        by = f"{filling}, which every call runs too"
    else:
        odd = [name for name in sorted(behind) if graph.nodes[name].op in (*VARIABLE_OPS, *TABLE_OPS, "Placeholder")]
        by = f"{filling}, which needs {odd[0]}" if odd else ""
    if by:
        raise BadInput(
            f"the table {table} is filled by {by}, which cannot be carried over",
            remedy="export the model with a table that constants or a vocabulary file fill",
        )


def filling_nodes(
    graph: Graph, tables: tuple[Table, ...], initialisers: tuple[str, ...], assets: Iterable[str]
) -> set[str]:
    """Return what runs to fill the tables, apart from reading the checkpoint: the same for check and baseline."""
    restored = {edge_of(tensor).node for table in tables for tensor in table.restored}
    filled_by = [*initialisers, *(node for table in tables for node in table.filled_by)]
    return graph.ancestors(filled_by, stop={*assets, *restored}) - restored


def vocabulary_nodes(graph: Graph, tables: tuple[Table, ...]) -> list[str]:
    """Return the nodes that fill a table from a file, which `find_assets` finds."""
    return [node for table in tables for node in table.filled_by if graph.nodes[node].op in FILE_OPS]


def _restored(graph: Graph, filling: str) -> Iterator[tuple[str, str]]:
    """Yield (tensor, stored name) for contents that a saver restores (mutable tables)."""
    for edge in graph.inputs(filling)[1:]:
        source = graph.source_of(edge, through=HANDED_ON)
        if graph.nodes[source.node].op in RESTORE_OPS:
            yield edge.tensor, graph.names(graph.inputs(source.node)[1])[source.output]


def find_assets(
    graph: Graph, tables: tuple[Table, ...], loaded: LoadedMetaGraph, request: SourceRequest
) -> tuple[dict[str, Path], list[Finding]]:
    """Return the file of every constant file name that a table reads, by node name, with findings.

    Looked for where the model records its assets, where the manifest says (original path to
    key below the source), and by base name beside the model. Raises `BadInput` naming the path
    that the graph asks for.
    """
    found, findings, root = dict[str, Path](), list[Finding](), Path(request.directory)
    known = {tensor.split(":")[0]: path for tensor, path in loaded.assets.items()}
    reading = [(table, node) for table in tables for node in table.filled_by if graph.nodes[node].op in FILE_OPS]
    for table, filling in reading:
        node = graph.source_of(graph.inputs(filling)[1]).node
        path = known.get(node) or _search(graph, node, request.options.assets, loaded.beside, root)
        if not path.is_file() or path.is_symlink():
            raise Incomplete(
                f"the vocabulary {path.name} of table {table.name} is missing", remedy="copy the whole model directory"
            )
        if node not in known:
            taken = path.relative_to(root).as_posix()
            findings.append(
                Finding(
                    code="asset_found_beside",
                    cause=f"the vocabulary of {table.name} is taken from {taken}",
                    remedy="if that is another one, name the right file under `assets` in the manifest",
                )
            )
        found[node] = path
    return found, findings


def _search(graph: Graph, node: str, said: dict[str, str], beside: Path, root: Path) -> Path:
    if graph.nodes[node].op != "Const":
        raise BadInput(
            f"the file name of a table is computed by {node}", remedy="export the model with its vocabulary as an asset"
        )
    original = graph.const(Edge(node, 0)).item().decode(errors="replace")
    if original in said:
        if not (root / said[original]).resolve().is_relative_to(root.resolve()):
            raise BadInput(f"the asset {said[original]!r} lies outside the source", remedy="name a key below it")
        return root / said[original]
    base = PureWindowsPath(original).name if "\\" in original else PurePosixPath(original).name
    files = sorted(path for path in beside.rglob("*") if path.name == base and path.is_file())
    candidates = [path for path in (beside / base, beside / "assets" / base) if path in files][:1] or files
    if not candidates:
        raise Incomplete(
            f"the graph reads its vocabulary from {original}, which is not here",
            remedy=f"put {base} beside the model, or name it under `assets` in the manifest",
        )
    if len(candidates) > 1:
        listed = ", ".join(path.relative_to(root).as_posix() for path in candidates[:5])
        raise BadInput(
            f"the graph reads its vocabulary from {original}, and {len(candidates)} files here are named so: {listed}",
            remedy="say which one under `assets` in the manifest",
        )
    return candidates[0]
