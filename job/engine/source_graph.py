"""The neutral form in the middle: what every reader's MetaGraph becomes, and all that comes after knows."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
from tensorflow.core.framework import graph_pb2

from job.engine.graph import Edge, Graph
from job.engine.interface.free_batch import Freed, with_targets
from job.engine.pruning import cut_at, prune
from job.engine.reaching import reachable
from job.engine.rewrites import WRITE_OPS
from job.engine.shapes import filled
from job.engine.state.checkpoint import StoredVariable
from job.engine.state.tables import Table
from job.records import Finding, Format, Signature, SourceSummary

STATE_WRITES: Final = frozenset(
    {*WRITE_OPS, *WRITE_OPS.values(), "LookupTableInsert", "LookupTableInsertV2", "LookupTableRemoveV2"}
)


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
        return any(node.op in STATE_WRITES for _, node in reachable(self.graph, list(self.needed)))

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
