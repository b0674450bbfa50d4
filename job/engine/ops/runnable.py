"""Ops that this TensorFlow cannot run: all of them in one error, with where they came from and the ways out."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import tensorflow as tf
from tensorflow.core.framework import function_pb2
from tensorflow.python.framework import op_def_registry

from job.engine.graph import Edge, Graph, NodeDef
from job.engine.ops.deprecated import RENEWED
from job.engine.ops.kernels import Device, constrained, has_kernel
from job.engine.ops.op_origins import origin_of
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


def reachable(graph: Graph, needed: list[str]) -> Iterator[tuple[str, NodeDef]]:
    """Yield the needed nodes, and those of every function that they can run, each with its caller's name."""
    library = graph.functions
    instead = _stand_ins(graph.graph_def.library)
    seen = set[str]()
    queue = [(name, graph.nodes[name]) for name in needed]
    while queue:
        caller, node = queue.pop()
        yield caller, node
        named = {node.op, *_named_by(node.attr)}
        called = named.union(*(instead[name] for name in named & instead.keys()))
        for name in (called & library.keys()) - seen:
            seen.add(name)
            queue += [(caller, inner) for inner in library[name].node_def]


def _named_by(attributes: Mapping[str, Any]) -> Iterator[str]:
    """Yield the functions that attributes name, those given to such a function for its own attributes included."""
    for value in attributes.values():
        for function in (value.func, *value.list.func) if value.WhichOneof("value") in ("func", "list") else ():
            yield function.name
            yield from _named_by(function.attr)


def _stand_ins(library: function_pb2.FunctionDefLibrary) -> dict[str, set[str]]:
    """Return the functions that TensorFlow may run where another one is named.

    ``SymbolicGradient`` of a function runs the gradient that the library gives it, and Grappler chooses by the device
    among functions that implement the same.
    """
    found = defaultdict[str, set[str]](set)
    for pair in library.gradient:
        found[pair.function_name].add(pair.gradient_func)
    alike = defaultdict[bytes, set[str]](set)
    for function in library.function:
        if implemented := function.attr["api_implements"].s if "api_implements" in function.attr else b"":
            alike[implemented].add(function.signature.name)
    for names in alike.values():
        for name in names:
            found[name] |= names
    return found


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
