"""Which functions of a graph call which: never in a ring, not too deep, and not too many."""

from collections.abc import Iterable, Iterator
from graphlib import CycleError, TopologicalSorter
from typing import Any, Final

from job.errors import BadInput, Refused

MAX_DEPTH: Final = 256
"""How deep functions may call each other; TensorFlow 2.21 overflows its stack somewhere below 20,000."""

MAX_INLINED: Final = 2_000_000
"""Nodes, were every call replaced by its function's body, as TensorFlow does it: a million take it 17 s."""

WRITE_OUT: Final = "export the graph with its functions written out (graph_util, or a frozen graph)"


def check_calls(graph_def: Any, where: str) -> None:
    """Raise `BadInput` for functions that call themselves, `Refused` for calls that grow without measure."""
    functions = {one.signature.name: one for one in graph_def.library.function}
    gradients = {pair.function_name: pair.gradient_func for pair in graph_def.library.gradient}
    calls = {name: list(_called(one.node_def, functions, gradients)) for name, one in functions.items()}
    try:
        order = list(TopologicalSorter(calls).static_order())
    except CycleError as error:
        ring = " calls ".join(reversed(error.args[1]))
        what = f"functions call themselves: {ring}"
        raise BadInput(what, where=where, remedy="TensorFlow cannot run recursion; " + WRITE_OUT) from error
    depth, inlined = dict[str, int](), dict[str, int]()
    for name in order:
        depth[name] = 1 + max((depth[one] for one in calls[name]), default=0)
        inlined[name] = len(functions[name].node_def) + sum(inlined[one] for one in calls[name])
        if depth[name] > MAX_DEPTH:
            what = f"functions call each other {depth[name]} deep, up to {name}; {MAX_DEPTH} are allowed"
            raise Refused(what, where=where, remedy=WRITE_OUT)
    grown = len(graph_def.node) + sum(inlined[one] for one in _called(graph_def.node, functions, gradients))
    if grown > MAX_INLINED:
        what = f"the graph's {len(graph_def.node)} nodes become {grown} with what they call; {MAX_INLINED} are allowed"
        raise Refused(what, where=where, remedy=WRITE_OUT)


def _called(nodes: Iterable[Any], functions: dict[str, Any], gradients: dict[str, str]) -> Iterator[str]:
    """Yield the function of every call, a function called twice twice; whoever asks for a gradient calls that too."""
    if not functions:
        return
    for node in nodes:
        if node.op in functions:
            yield node.op
        named = list(_named(node.attr))
        if node.op == "SymbolicGradient":
            named += [gradients[name] for name in named if name in gradients]
        yield from (name for name in named if name in functions)


def _named(attributes: Any) -> Iterator[str]:
    for attribute in attributes.values():
        kind = attribute.WhichOneof("value")
        given = [attribute.func] if kind == "func" else attribute.list.func if kind == "list" else ()
        for one in given:
            yield one.name
            yield from _named(one.attr)
