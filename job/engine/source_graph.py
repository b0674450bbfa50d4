"""The neutral form in the middle: what every reader's MetaGraph becomes, and all that comes after knows."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tensorflow.core.framework import graph_pb2

from job.engine import dropout, switches
from job.engine.checkpoint import StoredVariable, trained_variables, variables_of
from job.engine.formats import FORMATS
from job.engine.formats.base import LoadedMetaGraph
from job.engine.graph import Edge, Graph, edge_of
from job.engine.initialising import init_ops, members
from job.engine.policy import check_ops
from job.engine.pruning import computed_by, cut_at, needed_by, prune
from job.engine.rewrites import WRITE_OPS
from job.engine.signatures import read_signatures
from job.engine.tables import TABLE_OPS, Table, filling_nodes, find_assets, tables_of, vocabulary_nodes
from job.errors import BadInput
from job.records import Finding, Format, Signature, SourceSummary
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
    they fill a needed table. `assets` maps constant nodes to files.
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
        return prune(self.graph, self.cut(signature), [spec.tensor for spec in signature.outputs])

    def cut(self, signature: Signature) -> set[Edge]:
        """Return the tensors at which the signature's graph begins."""
        return cut_at((spec.tensor for spec in signature.inputs), self.switches)


def read_source(request: SourceRequest) -> SourceGraph:
    """Read an artifact and find out what it computes.

    Raises `BadInput` (damaged, incomplete, unregistered ops, no outputs) or `Refused`.
    """
    if request.format not in FORMATS:
        raise BadInput(f"the format {request.format.value} cannot be converted yet", where=request.entry)
    loaded = FORMATS[request.format](request)
    return assemble(loaded, request)


def assemble(loaded: LoadedMetaGraph, request: SourceRequest) -> SourceGraph:
    """Find signatures, switches, variables, tables and assets of a MetaGraph."""
    graph = normalised(loaded.meta_graph.graph_def)
    signatures, bound, findings = _found(loaded, graph, request)
    needed = _needed(graph, signatures, bound)
    initialisers = members(
        graph, init_ops(loaded.meta_graph, graph), {node.name for node in graph.of_type(*TABLE_OPS)} & needed
    )
    tables = tables_of(graph, needed, initialisers)
    assets, asset_findings = find_assets(graph, tables, loaded, request)
    computed = set[str]().union(*(computed_by(graph, signature, bound) for signature in signatures))
    check_ops(graph, computed)
    check_ops(graph, filling_nodes(graph, tables, initialisers, assets), vocabularies=vocabulary_nodes(graph, tables))
    return SourceGraph(
        format=request.format,
        producer=loaded.meta_graph.meta_info_def.tensorflow_version,
        graph=graph,
        needed=frozenset(needed),
        signatures=signatures,
        switches=bound,
        checkpoint=loaded.checkpoint,
        variables=variables_of(graph, needed, loaded.checkpoint, trained_variables(loaded.meta_graph)),
        tables=tables,
        initialisers=initialisers,
        assets=assets,
        findings=(*loaded.findings, *findings, *asset_findings),
    )


def _found(
    loaded: LoadedMetaGraph, graph: Graph, request: SourceRequest
) -> tuple[tuple[Signature, ...], dict[str, bool | float], tuple[Finding, ...]]:
    """Return the signatures, the switches that they depend on with their values, and what was found out on the way."""
    bound: dict[str, bool | float] = switches.find_switches(graph) | dropout.find_controls(graph)
    signatures, findings = read_signatures(loaded.meta_graph, graph, bound, request.options)
    fed = {spec.tensor for signature in signatures for spec in signature.inputs}
    bound = {tensor: value for tensor, value in bound.items() if tensor not in fed}
    left_on = dropout.find_dropout(graph, _needed(graph, signatures, bound))
    needed = _needed(graph, signatures, bound | left_on)
    used = {tensor: value for tensor, value in (bound | left_on).items() if edge_of(tensor).node in needed}
    named = {tensor: value for tensor, value in used.items() if tensor not in left_on}
    return signatures, used, (*findings, *switches.findings(named), *dropout.findings(left_on))


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
