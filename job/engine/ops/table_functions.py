"""Tables that library functions make and fill, as TF2 exports them for TF1 loaders: brought up into the graph.

There a creator's function returns the handle and another one fills it, both called by nodes of their own.
What makes or fills a table must be seen where the table is tracked, so that these calls give way to what they run.
"""

from collections.abc import Iterator
from typing import Final

import tensorflow as tf
from tensorflow.core.framework import function_pb2, graph_pb2
from tensorflow.python.framework.function_def_to_graph import function_def_to_graph_def

from job.engine.graph import Graph, NodeDef
from job.engine.reaching import reachable, reached_library
from job.engine.state.tables import FILLING_OPS, TABLE_OPS

CALLS: Final = ("PartitionedCall", "StatefulPartitionedCall")
MAKING_OPS: Final = frozenset({*TABLE_OPS, *FILLING_OPS})


def inline_tables(graph: Graph) -> Graph:
    """Replace, in place, the calls of one result at most that make or fill a table."""
    library = graph.functions
    queue = [call for call in graph.of_type(*CALLS) if _makes_table(graph, call)] if library else []
    if not queue:
        return graph
    graph_def, gone = graph.graph_def, {call.name for call in queue}
    with tf.Graph().as_default():
        called = reached_library(queue, graph_def.library)
        tf.import_graph_def(graph_pb2.GraphDef(library=called, versions=graph_def.versions), name="")
        made = [node for call in queue for node in _inlined(call, library)]
    kept = [node for node in graph_def.node if node.name not in gone]
    changed = graph_pb2.GraphDef(node=[*kept, *made], library=graph_def.library, versions=graph_def.versions)
    found = Graph(changed)
    found.recorded_shapes.update(graph.recorded_shapes)
    return found


def _makes_table(graph: Graph, call: NodeDef) -> bool:
    inner = (node for _, node in reachable(graph, [call.name]))
    return len(call.attr["Tout"].list.type) <= 1 and any(node.op in MAKING_OPS for node in inner)


def _inlined(call: NodeDef, library: dict[str, function_pb2.FunctionDef]) -> Iterator[NodeDef]:
    """Yield what a call runs, below its name, and under its own name what it returns.

    In a graph that has the library: TensorFlow looks there for what a function's nodes call.
    """
    function = library[call.attr["f"].func.name]
    body, tensors = function_def_to_graph_def(function)
    data = [text for text in call.input if not text.startswith("^")]
    waits = [text for text in call.input if text.startswith("^")]
    given = dict(zip((arg.name for arg in function.signature.input_arg), data, strict=True))
    tables = [f"^{node.name}" for node in body.node if node.op in TABLE_OPS]  # becomes a handle, which nothing awaits
    for node in body.node:
        if node.name in given:
            continue
        inputs = [_renamed(text, call.name, given) for text in node.input if text not in tables]
        one = NodeDef()
        one.CopyFrom(node)
        one.name, one.device = f"{call.name}/{node.name}", ""
        del one.input[:]
        one.input.extend([*inputs, *(wait for wait in waits if wait not in inputs)])
        yield from _inlined(one, library) if _is_call(one, library) else (one,)
    after = [f"^{call.name}/{name}" for name in function.control_ret.values() if f"^{name}" not in tables]
    results = [_renamed(tensors[function.ret[arg.name]], call.name, given) for arg in function.signature.output_arg]
    yield _result(call, results, [*after, *waits])


def _is_call(node: NodeDef, library: dict[str, function_pb2.FunctionDef]) -> bool:
    return node.op in CALLS and node.attr["f"].func.name in library and len(node.attr["Tout"].list.type) <= 1


def _renamed(text: str, scope: str, given: dict[str, str]) -> str:
    """Return an input of a function's node as one of the graph's."""
    if text.startswith("^"):
        return f"^{given[text[1:]].split(':')[0]}" if text[1:] in given else f"^{scope}/{text[1:]}"
    return given.get(text.partition(":")[0], f"{scope}/{text}")


def _result(call: NodeDef, results: list[str], after: list[str]) -> NodeDef:
    """Return what stands for a call: its result, if it has one, when all is done that it does."""
    one = NodeDef(name=call.name, op="Identity" if results else "NoOp", input=[*results, *dict.fromkeys(after)])
    if results:
        one.attr["T"].type = call.attr["Tout"].list.type[0]
    return one
