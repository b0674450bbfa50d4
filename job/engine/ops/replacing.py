"""One node of a GraphDef becomes several: a composition is traced, and put in the node's place under its name."""

from collections.abc import Callable, Mapping, Sequence

import tensorflow as tf

from job.engine.graph import Graph, NodeDef, edge_of
from job.engine.ops.compositions import Tensors
from job.engine.state.checkpoint import VARIABLE_OPS
from job.errors import BadInput

Build = Callable[[NodeDef, Tensors], Tensors]


def replace_node(graph: Graph, node: NodeDef, dtypes: Sequence[tf.DType], build: Build) -> None:
    """Turn a node into the end of what `build` makes of its inputs, of `dtypes`; the rest is named below it.

    The graph's index does not know the new nodes: make a new one. Raises `BadInput` for another number of inputs.
    """
    given = [text for text in node.input if not text.startswith("^")]
    if len(given) != len(dtypes):
        raise BadInput(
            f"node {node.name} has {len(given)} inputs, and its op {node.op} takes {len(dtypes)}",
            remedy="the file is damaged or edited; export the graph again",
        )
    awaited = [text for text in node.input if text.startswith("^")]
    with tf.Graph().as_default() as traced:
        fed = [tf.compat.v1.placeholder(dtype, name=f"given_{index}") for index, dtype in enumerate(dtypes)]
        outputs = build(node, fed)
    known = {tensor.op.name: text for tensor, text in zip(fed, given, strict=True)}
    beside, inner = _beside(graph, given) or awaited, traced.as_graph_def()
    graph.graph_def.node.extend(
        _named_below(node.name, one, known, beside) for one in inner.node if one.name not in known
    )
    graph.graph_def.library.MergeFrom(inner.library)
    _end(node, [_text(node.name, tensor.name, known) for tensor in outputs], [tensor.dtype for tensor in outputs])
    node.input.extend(awaited)


def _beside(graph: Graph, given: list[str]) -> list[str]:
    """Return a control input for constants: they must run where their consumers do, in a loop's frame or a branch."""
    names = (edge_of(text).node for text in given)
    there = (name for name in names if name in graph.nodes and graph.nodes[name].op not in VARIABLE_OPS)
    return [f"^{name}" for name in there][:1]


def _named_below(scope: str, inner: NodeDef, known: Mapping[str, str], beside: list[str]) -> NodeDef:
    node = NodeDef()
    node.CopyFrom(inner)
    node.name = f"{scope}/{inner.name}"
    del node.input[:]
    node.input.extend([_text(scope, text, known) for text in inner.input] or beside)
    return node


def _text(scope: str, text: str, known: Mapping[str, str]) -> str:
    """Return an input as the whole graph calls it; `known` are the tensors from outside."""
    edge = edge_of(text)
    if edge.output < 0:
        return f"^{edge_of(known[edge.node]).node}" if edge.node in known else f"^{scope}/{edge.node}"
    return known.get(edge.node, f"{scope}/{edge.tensor}")


def _end(node: NodeDef, inputs: list[str], dtypes: list[tf.DType]) -> None:
    """Let a node hand on what its composition computed."""
    del node.input[:]
    node.input.extend(inputs)
    node.attr.clear()
    numbers = [dtype.as_datatype_enum for dtype in dtypes]
    if len(numbers) == 1:
        node.op = "Identity"
        node.attr["T"].type = numbers[0]
    else:
        node.op = "IdentityN"
        node.attr["T"].list.type.extend(numbers)
