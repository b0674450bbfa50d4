"""Ops that this TensorFlow cannot run: all of them in one error, with where they came from and the ways out."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Final

import tensorflow as tf
from tensorflow.python.framework import op_def_registry

from job.engine.graph import Edge, Graph, NodeDef
from job.engine.ops.deprecated import RENEWED
from job.engine.ops.kernels import Device, constrained, has_kernel
from job.engine.ops.op_origins import origin_of
from job.engine.reaching import reachable
from job.errors import BadInput

WEIGHTS: Final = ("Const", "VariableV2", "Variable", "VarHandleOp", "ReadVariableOp")

NAMED_MOST: Final = 4
"""How many tensors a remedy names."""


def check_runnable(graph: Graph, needed: Iterable[str], device: Device = "any") -> None:
    """Raise `BadInput` that lists what is not registered, has no kernel, or cannot be saved any more."""
    faults = defaultdict[tuple[str, str], list[str]](list)
    callers = list[str]()
    for caller, node in reachable(graph, list(needed)):
        fault = _fault(graph, node, device)
        if fault:
            faults[node.op, fault].append(node.name)
            callers.append(caller)
    if faults:
        listed = "; ".join(_told(op, fault, names) for (op, fault), names in sorted(faults.items()))
        raise BadInput(
            f"ops that TensorFlow {tf.__version__} cannot run: {listed}",
            remedy="; or ".join(_ways_out(graph, set(needed), callers, faults)),
        )


def _fault(graph: Graph, node: NodeDef, device: Device) -> str:
    """Return why a node cannot run; empty where it can."""
    definition = op_def_registry.get(node.op)
    if definition is None:
        return "" if node.op in graph.functions else "not registered"
    if not has_kernel(node, device):
        alone = " on the CPU, but on a GPU" if has_kernel(node) else ""
        return f"no kernel{constrained(node)}{alone}"
    ended = definition.deprecation.version
    return f"ended with GraphDef version {ended}" if ended and node.op not in RENEWED else ""


def _told(op: str, fault: str, names: list[str]) -> str:
    more = f" and {len(names) - 1} more" if len(names) > 1 else ""
    origin = origin_of(op)
    return f"{op} (node {names[0]}{more}, {fault}{f', from {origin}' if origin else ''})"


def _ways_out(graph: Graph, needed: set[str], callers: list[str], faults: Iterable[tuple[str, str]]) -> Iterator[str]:
    reasons = {fault for _, fault in faults}
    if any(fault.endswith("on a GPU") for fault in reasons):
        yield "run with --device gpu"
    if "not registered" in reasons:
        yield "load them with --op-library FILE@sha256:HEX"
    before, behind = _cut_points(graph, needed, set(callers))
    if before:
        yield f"end the model before them with `outputs: [{', '.join(before)}]` in the manifest"
    if behind:
        yield f"begin it behind them with `inputs: [{', '.join(behind)}]`"
    yield "export the model without them"


def _cut_points(graph: Graph, needed: set[str], faulty: set[str]) -> tuple[list[str], list[str]]:
    """Return the tensors that feed the first faulty nodes, and those that the last ones give."""
    first = [name for name in sorted(faulty) if not _before(graph, name, needed) & faulty]
    above = {name for one in faulty for name in _before(graph, one, needed)}
    fed = {edge for name in first for edge in graph.inputs(name) if not _is_weight(graph, edge)}
    given = {
        Edge(name, output)
        for name in faulty - above
        for consumer, _, output in graph.consumers(name)
        if consumer in needed
    }
    before, behind = ([edge.tensor for edge in sorted(edges)] for edges in (fed, given))
    return (before if len(before) <= NAMED_MOST else [], behind if len(behind) <= NAMED_MOST else [])


def _before(graph: Graph, name: str, needed: set[str]) -> set[str]:
    """Return what a node depends on, as far as that is needed."""
    return graph.ancestors([name], stop=graph.nodes.keys() - needed) - {name}


def _is_weight(graph: Graph, edge: Edge) -> bool:
    return graph.nodes[graph.source_of(edge).node].op in WEIGHTS
