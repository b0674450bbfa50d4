"""How an artifact becomes a `SourceGraph`: read, repaired, understood, and checked before any work."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path as FilePath
from typing import Any, Final

import numpy as np
from tensorflow.core.framework import graph_pb2

from job.engine import health
from job.engine.folding import fold_conditions
from job.engine.formats import FORMATS
from job.engine.formats.base import LoadedMetaGraph
from job.engine.graph import Graph, edge_of
from job.engine.health import averages, dropout
from job.engine.health.path import Path, path_of
from job.engine.health.subject import Subject
from job.engine.interface import switches
from job.engine.interface.estimators import with_examples
from job.engine.interface.free_batch import Freed, free_batches
from job.engine.interface.partial import with_the_good_ones
from job.engine.interface.second_signatures import second_signatures
from job.engine.interface.signatures import declared_keys, read_signatures
from job.engine.interface.switches_by_use import find_by_use
from job.engine.ops import equivalents, frozen_state
from job.engine.ops.allowing import allow_ops
from job.engine.ops.deprecated import renew
from job.engine.ops.op_library import load_op_libraries
from job.engine.ops.policy import check_ops
from job.engine.ops.remarks import remarks
from job.engine.ops.table_functions import inline_tables
from job.engine.pruning import computed_by, cut_at, needed_by, prune
from job.engine.rewrites import to_resources
from job.engine.scanning.fills import check_fills
from job.engine.source_graph import SourceGraph
from job.engine.state.checkpoint import StoredVariable, stored_shapes, trained_variables, variables_of
from job.engine.state.initialising import init_ops, members
from job.engine.state.starting import elsewhere
from job.engine.state.tables import TABLE_OPS, Table, filling_nodes, find_assets, tables_of, vocabulary_nodes
from job.errors import BadInput
from job.records import ArtifactOptions, Finding, Signature, SourceSummary
from job.requests import SourceRequest

STALE_ATTRIBUTES: Final = ("_class", "_output_shapes")
"""Colocation with nodes that will be gone, and shapes that later shape functions contradict."""


def read_source(request: SourceRequest) -> SourceGraph:
    """Read an artifact and find out what it computes.

    Raises `BadInput` (damaged, incomplete, unregistered ops, no outputs) or `Refused`.
    """
    return assemble(load(request), request)


def load(request: SourceRequest) -> LoadedMetaGraph:
    """Read an artifact's files, but not yet its values; raises `BadInput` for what no reader takes."""
    if request.format not in FORMATS:
        raise BadInput(f"the format {request.format.value} cannot be converted yet", where=request.entry)
    said = load_op_libraries(request.options.op_libraries)
    allow_ops(request.options.allow_ops)
    loaded = FORMATS[request.format](request)
    return replace(loaded, findings=(*loaded.findings, *said))


def outline(loaded: LoadedMetaGraph, request: SourceRequest) -> SourceSummary:
    """Return what can be said of an artifact before it is known whether it makes sense."""
    return SourceSummary(
        format=request.format,
        producer=producer_of(loaded),
        node_count=len(loaded.meta_graph.graph_def.node),
        findings=loaded.findings,
    )


def producer_of(loaded: LoadedMetaGraph) -> str:
    """Return what wrote a MetaGraph, with its version; a bare GraphDef tells its own version alone, if that."""
    told: str = loaded.meta_graph.meta_info_def.tensorflow_version
    version = loaded.meta_graph.graph_def.versions.producer
    if told:
        return f"TensorFlow {told}" if told[0].isdigit() else told  # the reader of Keras files says Keras
    return f"GraphDef version {version}" if version else ""


def assemble(loaded: LoadedMetaGraph, request: SourceRequest) -> SourceGraph:
    """Find signatures, switches, variables, tables and assets of a MetaGraph."""
    graph, replaced = equivalents.replace_retired(inline_tables(normalised(loaded.meta_graph.graph_def)))
    frozen = frozen_state.thaw(graph)
    draft = _in_inference_mode(_drafted(loaded, graph, request), loaded, request.options)
    draft = _with_more_signatures(_with_free_batches(draft, request), loaded, request)
    thawed = frozen_state.initial_values(draft.graph, frozen, set(draft.needed))
    variables = _variables(draft, loaded, thawed, request.options)
    subject = Subject(
        path=draft.path,
        needed=draft.needed,
        checkpoint=loaded.checkpoint,
        variables=variables,
        ema=request.options.ema,
        restated=loaded.restated,
    )
    repairs = (*equivalents.findings(replaced, set(draft.needed)), *frozen_state.findings(thawed))
    return SourceGraph(
        format=request.format,
        producer=producer_of(loaded),
        graph=draft.graph,
        needed=draft.needed,
        signatures=(*draft.signatures, *draft.added),
        switches=draft.bound,
        checkpoint=loaded.checkpoint,
        variables=variables,
        tables=draft.tables,
        initialisers=draft.initialisers,
        assets=draft.assets,
        findings=(*loaded.findings, *draft.findings, *repairs, *health.findings(subject)),
        freed=draft.freed,
    )


@dataclass(frozen=True, kw_only=True)
class _Draft:
    """What is found before any value is read; each step below returns it with more.

    `added` are the signatures that the model had not; the other fields are those of `SourceGraph`.
    """

    graph: Graph
    path: Path
    signatures: tuple[Signature, ...]
    added: tuple[Signature, ...] = ()
    bound: dict[str, bool | float]
    needed: frozenset[str]
    tables: tuple[Table, ...]
    initialisers: tuple[str, ...]
    assets: dict[str, FilePath]
    freed: Mapping[str, Freed] = field(default_factory=dict)
    findings: tuple[Finding, ...]


def _drafted(loaded: LoadedMetaGraph, graph: Graph, request: SourceRequest) -> _Draft:
    """Keep the signatures that can be lifted; raises what is wrong with the last one if none can."""
    keys = declared_keys(loaded.meta_graph, request.options)
    draft, refusals = with_the_good_ones(keys, lambda good: _parts(loaded, graph, _asking_for(request, good)))
    return replace(draft, findings=(*refusals, *draft.findings))


def _in_inference_mode(draft: _Draft, loaded: LoadedMetaGraph, options: ArtifactOptions) -> _Draft:
    """Switch off what only training wants."""
    path, findings = health.in_inference_mode(draft.graph, draft.signatures, draft.bound, loaded.checkpoint, options)
    needed = frozenset(_needed(path.graph, draft.signatures, draft.bound))
    return replace(draft, graph=path.graph, path=path, needed=needed, findings=(*draft.findings, *findings))


def _with_free_batches(draft: _Draft, request: SourceRequest) -> _Draft:
    signatures, freed, findings = free_batches(draft.graph, draft.signatures, draft.bound, request)
    return replace(draft, signatures=signatures, freed=freed, findings=(*draft.findings, *findings))


def _with_more_signatures(draft: _Draft, loaded: LoadedMetaGraph, request: SourceRequest) -> _Draft:
    """Add signatures behind parsers and decoders, and one before the features of an Estimator that has none."""
    added, findings = second_signatures(draft.graph, draft.signatures, draft.bound, request.unproven)
    draft = replace(draft, added=added, findings=(*draft.findings, *findings))
    if declared_keys(loaded.meta_graph, ArtifactOptions()) or draft.freed or request.options.inputs:
        return draft
    extended = with_examples(draft.graph, draft.signatures, draft.bound, request.unproven)
    draft = replace(draft, added=(*added, *extended.added), findings=(*draft.findings, *extended.findings))
    if extended.graph is draft.graph:
        return draft
    needed = _needed(extended.graph, (*extended.signatures, *extended.added), draft.bound)
    path = path_of(extended.graph, extended.signatures, draft.bound)
    return replace(draft, graph=extended.graph, path=path, signatures=extended.signatures, needed=frozenset(needed))


def _variables(
    draft: _Draft, loaded: LoadedMetaGraph, thawed: Mapping[str, np.ndarray[Any, Any]], options: ArtifactOptions
) -> tuple[StoredVariable, ...]:
    """Return the variables that the signatures need, with where their values are."""
    needed = set(draft.needed)
    values = elsewhere(loaded, draft.graph, needed)
    values = replace(values, assigned={**values.assigned, **thawed})
    trained = trained_variables(loaded.meta_graph)
    variables = variables_of(draft.graph, needed, loaded.checkpoint, trained, values)
    stored = stored_shapes(loaded.checkpoint) if loaded.checkpoint and variables else {}
    return averages.chosen(variables, stored, options.ema, restated=loaded.restated)


def _parts(loaded: LoadedMetaGraph, graph: Graph, request: SourceRequest) -> _Draft:
    """Find out what the signatures need, and check that this job may run it and can lift it."""
    signatures, bound, findings = _found(loaded, graph, request)
    needed = _needed(graph, signatures, bound)
    held = {node.name for node in graph.of_type(*TABLE_OPS)} & needed
    initialisers = members(graph, init_ops(loaded.meta_graph, graph), held)
    tables = tables_of(graph, needed, initialisers)
    assets, asset_findings = find_assets(graph, tables, loaded, request)
    computed = set[str]().union(*(computed_by(graph, signature, bound) for signature in signatures))
    check_ops(graph, computed, device=request.device)
    check_fills((graph.nodes[name] for name in computed), request.entry)
    filling = filling_nodes(graph, tables, initialisers, assets)
    check_ops(graph, filling, vocabularies=vocabulary_nodes(graph, tables))
    if len(declared_keys(loaded.meta_graph, ArtifactOptions())) > 1:  # the lift of a lone one will tell
        _check_liftable(graph, signatures, bound)
    return _Draft(
        graph=graph,
        path=path_of(graph, signatures, bound),
        signatures=signatures,
        bound=bound,
        needed=frozenset(needed),
        tables=tables,
        initialisers=initialisers,
        assets=dict(assets),
        findings=(*findings, *asset_findings, *remarks(graph, computed | filling)),
    )


def _check_liftable(graph: Graph, signatures: tuple[Signature, ...], bound: Mapping[str, bool | float]) -> None:
    """Raise what the lift of a signature would raise: here it costs that one alone."""
    for signature in signatures:
        outputs = [spec.tensor for spec in signature.outputs]
        pruned = prune(graph, cut_at((spec.tensor for spec in signature.inputs), bound), outputs)
        to_resources(renew(fold_conditions(pruned, bound, outputs)))


def _asking_for(request: SourceRequest, keys: tuple[str, ...]) -> SourceRequest:
    return replace(request, options=replace(request.options, signatures=keys)) if keys else request


def _found(
    loaded: LoadedMetaGraph, graph: Graph, request: SourceRequest
) -> tuple[tuple[Signature, ...], dict[str, bool | float], tuple[Finding, ...]]:
    """Return the signatures, the switches that they depend on with their values, and what was found out on the way."""
    bound: dict[str, bool | float] = switches.find_switches(graph) | find_by_use(graph) | dropout.find_controls(graph)
    signatures, findings = read_signatures(loaded.meta_graph, graph, bound, request.options)
    bound = {tensor: value for tensor, value in bound.items() if _is_open(graph, tensor, signatures, bound)}
    needed = _needed(graph, signatures, bound)
    used = {tensor: value for tensor, value in bound.items() if edge_of(tensor).node in needed}
    return signatures, used, (*findings, *switches.findings(used))


def _is_open(graph: Graph, tensor: str, signatures: tuple[Signature, ...], bound: Mapping[str, object]) -> bool:
    """Whether a signature needs a tensor that is no input of it; to others it may be one."""
    open_to = [one for one in signatures if all(spec.tensor != tensor for spec in one.inputs)]
    return edge_of(tensor).node in _needed(graph, tuple(open_to), bound)


def _needed(graph: Graph, signatures: tuple[Signature, ...], bound: Mapping[str, object]) -> set[str]:
    needed = set[str]()
    for signature in signatures:
        cut = cut_at((spec.tensor for spec in signature.inputs), bound)
        needed |= needed_by(graph, cut, (spec.tensor for spec in signature.outputs))
    return needed


def normalised(graph_def: graph_pb2.GraphDef) -> Graph:
    """Clear devices and stale attributes, in place: a frozen graph is its weights, and a copy is another gigabyte."""
    graph = Graph(graph_def)
    for node in graph_def.node:
        node.device = ""
        if "_output_shapes" in node.attr:
            graph.recorded_shapes[node.name] = list(node.attr["_output_shapes"].list.shape)
        for name in STALE_ATTRIBUTES:
            if name in node.attr:
                del node.attr[name]
    return graph
