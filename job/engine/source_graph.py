"""The neutral form in the middle: what every reader's MetaGraph becomes, and all that comes after knows."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from tensorflow.core.framework import graph_pb2

from job.engine import health
from job.engine.folding import fold_conditions
from job.engine.formats import FORMATS
from job.engine.formats.base import LoadedMetaGraph
from job.engine.graph import Edge, Graph, edge_of
from job.engine.health import averages, dropout
from job.engine.health.subject import Subject
from job.engine.interface import switches
from job.engine.interface.free_batch import Freed, free_batches, with_targets
from job.engine.interface.partial import with_the_good_ones
from job.engine.interface.second_signatures import second_signatures
from job.engine.interface.signatures import declared_keys, read_signatures
from job.engine.interface.switches_by_use import find_by_use
from job.engine.ops import equivalents, frozen_state
from job.engine.ops.deprecated import renew
from job.engine.ops.op_library import load_op_libraries
from job.engine.ops.policy import check_ops
from job.engine.pruning import computed_by, cut_at, needed_by, prune
from job.engine.rewrites import WRITE_OPS, to_resources
from job.engine.shapes import filled
from job.engine.state.checkpoint import StoredVariable, stored_shapes, trained_variables, variables_of
from job.engine.state.initialising import init_ops, members
from job.engine.state.starting import elsewhere
from job.engine.state.tables import TABLE_OPS, Table, filling_nodes, find_assets, tables_of, vocabulary_nodes
from job.errors import BadInput
from job.records import ArtifactOptions, Finding, Format, Signature, SourceSummary
from job.requests import SourceRequest

STATE_WRITES: Final = frozenset(
    {*WRITE_OPS, *WRITE_OPS.values(), "LookupTableInsert", "LookupTableInsertV2", "LookupTableRemoveV2"}
)

STALE_ATTRIBUTES: Final = ("_class", "_output_shapes")
"""Colocation with nodes that will be gone, and shapes that later shape functions contradict."""


@dataclass(frozen=True, kw_only=True)
class SourceGraph:
    """A TF1 model: its graph, what it computes, and where its state and files are.

    `graph` holds the original nodes, with devices and stale attributes cleared and nothing
    else changed. `needed` are those that some signature needs. `switches` gives training
    switches their inference value, by tensor. `initialisers` are the model's own init ops, as far as
    they fill a needed table. `assets` maps constant nodes to files. `freed`
    says what was changed for signatures whose batch the export had fixed, by key.
    """

    format: Format
    producer: str
    graph: Graph
    needed: frozenset[str]
    signatures: tuple[Signature, ...]
    switches: Mapping[str, bool | float]
    checkpoint: str
    variables: tuple[StoredVariable, ...]
    tables: tuple[Table, ...]
    initialisers: tuple[str, ...]
    assets: Mapping[str, Path]
    findings: tuple[Finding, ...]
    freed: Mapping[str, Freed] = field(default_factory=dict)

    @property
    def writes_state(self) -> bool:
        """Whether a call can change what the next one answers."""
        return any(self.graph.nodes[name].op in STATE_WRITES for name in self.needed)

    def summary(self) -> SourceSummary:
        """Return what a report says about the model."""
        sizes = (variable.dtype.size * (variable.shape.num_elements() or 0) for variable in self.variables)
        return SourceSummary(
            format=self.format,
            producer=self.producer,
            node_count=len(self.graph.nodes),
            variable_count=len(self.variables),
            variables_bytes=sum(sizes),
            signatures=self.signatures,
            findings=self.findings,
        )

    def pruned(self, signature: Signature) -> graph_pb2.GraphDef:
        """Return what the signature's outputs need, cut at its inputs and at the switches.

        Inputs and switches are named by nodes' inputs and not held: whoever imports it
        gives them by `input_map`.
        """
        pruned = prune(self.graph, self.cut(signature), [spec.tensor for spec in signature.outputs])
        freed = self.freed.get(signature.key)
        return with_targets(pruned, freed.targets) if freed else pruned

    def exported(self, signature: Signature) -> Signature:
        """Return a signature as the TF1 graph takes it, with the batch that the export fixed."""
        freed = self.freed.get(signature.key)
        return freed.exported if freed else signature

    def cut(self, signature: Signature) -> set[Edge]:
        """Return the tensors at which the signature's graph begins."""
        return cut_at((spec.tensor for spec in signature.inputs), self.switches)

    def switches_of(self, signature: Signature) -> dict[str, np.ndarray[Any, Any]]:
        """Return the switches that are no inputs of a signature, with values of their dtype and shape."""
        given = {spec.tensor for spec in signature.inputs}
        return {name: value for name, value in filled(self.graph, self.switches).items() if name not in given}


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
    graph, replaced = equivalents.replace_retired(normalised(loaded.meta_graph.graph_def))
    frozen = frozen_state.thaw(graph)
    keys = declared_keys(loaded.meta_graph, request.options)
    parts, refusals = with_the_good_ones(keys, lambda good: _parts(loaded, graph, _asking_for(request, good)))
    path, changes = health.in_inference_mode(graph, parts.signatures, parts.bound, loaded.checkpoint, request.options)
    graph = path.graph
    parts = parts._replace(needed=frozenset(_needed(graph, parts.signatures, parts.bound)))
    signatures, freed, sizes = free_batches(graph, parts.signatures, parts.bound, request)
    parts = parts._replace(signatures=signatures)
    seconds, said = second_signatures(graph, parts.signatures, parts.bound, request.unproven)
    needed = set(parts.needed)
    thawed = frozen_state.initial_values(graph, frozen, needed)
    values = elsewhere(loaded, graph, needed)
    variables = variables_of(
        graph,
        needed,
        loaded.checkpoint,
        trained_variables(loaded.meta_graph),
        replace(values, assigned={**values.assigned, **thawed}),
    )
    if request.options.ema == "on" and loaded.checkpoint:
        variables = averages.averaged(variables, stored_shapes(loaded.checkpoint))
    subject = Subject(path=path, needed=parts.needed, checkpoint=loaded.checkpoint, variables=variables)
    return SourceGraph(
        format=request.format,
        producer=producer_of(loaded),
        graph=graph,
        needed=parts.needed,
        signatures=(*parts.signatures, *seconds),
        switches=parts.bound,
        checkpoint=loaded.checkpoint,
        variables=variables,
        tables=parts.tables,
        initialisers=parts.initialisers,
        assets=parts.assets,
        findings=(
            *(*loaded.findings, *refusals, *parts.findings, *said, *sizes),
            *changes,
            *(*equivalents.findings(replaced, needed), *frozen_state.findings(thawed)),
            *health.findings(subject),
        ),
        freed=freed,
    )


class _Parts(NamedTuple):
    """What is found before any value is read."""

    signatures: tuple[Signature, ...]
    bound: dict[str, bool | float]
    needed: frozenset[str]
    tables: tuple[Table, ...]
    initialisers: tuple[str, ...]
    assets: dict[str, Path]
    findings: tuple[Finding, ...]


def _parts(loaded: LoadedMetaGraph, graph: Graph, request: SourceRequest) -> _Parts:
    """Find out what the signatures need, and check that this job may run it and can lift it."""
    signatures, bound, findings = _found(loaded, graph, request)
    needed = _needed(graph, signatures, bound)
    initialisers = members(
        graph, init_ops(loaded.meta_graph, graph), {node.name for node in graph.of_type(*TABLE_OPS)} & needed
    )
    tables = tables_of(graph, needed, initialisers)
    assets, asset_findings = find_assets(graph, tables, loaded, request)
    computed = set[str]().union(*(computed_by(graph, signature, bound) for signature in signatures))
    check_ops(graph, computed, device=request.device)
    check_ops(graph, filling_nodes(graph, tables, initialisers, assets), vocabularies=vocabulary_nodes(graph, tables))
    if len(declared_keys(loaded.meta_graph, ArtifactOptions())) > 1:  # the lift of a lone one will tell
        _check_liftable(graph, signatures, bound)
    return _Parts(
        signatures, bound, frozenset(needed), tables, initialisers, dict(assets), (*findings, *asset_findings)
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
