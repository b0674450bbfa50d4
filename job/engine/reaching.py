"""What nodes can run besides themselves: functions, by whatever name or attribute they are reached."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeAlias

from tensorflow.core.framework import function_pb2

from job.engine.graph import Graph, NodeDef

Library: TypeAlias = function_pb2.FunctionDefLibrary


def reachable(graph: Graph, needed: Iterable[str]) -> Iterator[tuple[str, NodeDef]]:
    """Yield the needed nodes, and those of every function that they can run, each with its caller's name."""
    return _reached((graph.nodes[name] for name in needed), graph.graph_def.library)


def reached_library(nodes: Iterable[NodeDef], library: Library) -> Library:
    """Return those functions of a library that nodes can run, with the gradients that it gives them."""
    if not library.function:
        return Library()
    called = set[str]()
    for _ in _reached(nodes, library, called):
        pass
    return Library(
        function=[function for function in library.function if function.signature.name in called],
        gradient=[pair for pair in library.gradient if pair.function_name in called],
    )


def _reached(
    nodes: Iterable[NodeDef], library: Library, called: set[str] | None = None
) -> Iterator[tuple[str, NodeDef]]:
    """Yield nodes and what they can run; `called` is filled with the functions' names."""
    functions = {function.signature.name: function for function in library.function}
    instead = _stand_ins(library)
    seen = set[str]() if called is None else called
    queue = [(node.name, node) for node in nodes]
    while queue:
        caller, node = queue.pop()
        yield caller, node
        named = {node.op, *_named_by(node.attr)}
        named = named.union(*(instead[name] for name in named & instead.keys()))
        for name in (named & functions.keys()) - seen:
            seen.add(name)
            function = functions[name]
            queue += [(caller, inner) for inner in function.node_def]


def _named_by(attributes: Mapping[str, Any]) -> Iterator[str]:
    """Yield the functions that attributes name, those given to such a function for its own attributes included."""
    for value in attributes.values():
        for function in (value.func, *value.list.func) if value.WhichOneof("value") in ("func", "list") else ():
            yield function.name
            yield from _named_by(function.attr)


def _stand_ins(library: Library) -> dict[str, set[str]]:
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
