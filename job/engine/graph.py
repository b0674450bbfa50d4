"""A GraphDef that can be asked: nodes by name, edges both ways, attributes with their defaults."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from itertools import takewhile
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np
from tensorflow.core.framework import graph_pb2, node_def_pb2
from tensorflow.core.framework.function_pb2 import FunctionDef
from tensorflow.python.framework import op_def_registry, tensor_util

from job.errors import BadInput

NodeDef: TypeAlias = node_def_pb2.NodeDef
GraphDef: TypeAlias = graph_pb2.GraphDef


class Edge(NamedTuple):
    """One data input: the producing node and which of its outputs."""

    node: str
    output: int

    @property
    def tensor(self) -> str:
        """Return the tensor's name, ``node:output``."""
        return f"{self.node}:{self.output}"


def edge_of(name: str) -> Edge:
    """Parse ``x``, ``x:0`` or a NodeDef's ``^x`` (output -1)."""
    if name.startswith("^"):
        return Edge(name[1:], -1)
    node, colon, output = name.rpartition(":")
    return Edge(node, int(output)) if colon and output.isdigit() else Edge(name, 0)


def all_nodes(graph_def: GraphDef) -> Iterator[NodeDef]:
    """Yield the nodes of a graph and of the functions in its library."""
    yield from graph_def.node
    for function in graph_def.library.function:
        yield from function.node_def


class Graph:
    """An index over a GraphDef's nodes, in the GraphDef's order.

    The nodes are the GraphDef's own: who changes one calls nothing, who adds or removes one makes
    a new `Graph`. `recorded_shapes` keeps, by node, what the export wrote down of its outputs.
    Raises `BadInput` for two nodes of one name.
    """

    def __init__(self, graph_def: GraphDef) -> None:
        self.graph_def = graph_def
        self.recorded_shapes: dict[str, list[Any]] = {}
        self.nodes: dict[str, NodeDef] = {node.name: node for node in graph_def.node}
        if len(self.nodes) < len(graph_def.node):
            ((twice, _),) = Counter(node.name for node in graph_def.node).most_common(1)
            raise BadInput(f"two nodes are named {twice!r}", remedy="the file is damaged; export the graph again")
        self._consumers: dict[str, list[tuple[str, int, int]]] | None = None

    def of(self, graph_def: GraphDef) -> "Graph":
        """Return an index over a form of this graph, with what the export wrote down of its nodes."""
        other = Graph(graph_def)
        other.recorded_shapes = self.recorded_shapes
        return other

    def inputs(self, name: str) -> list[Edge]:
        """Return the data inputs of a node, in order: control inputs follow them, thousands where a graph trains."""
        return [edge_of(text) for text in takewhile(_is_data, self.nodes[name].input)]

    def controls(self, name: str) -> list[str]:
        """Return the names of the nodes that must run before this one."""
        return [text[1:] for text in self.nodes[name].input if text.startswith("^")]

    def consumers(self, name: str) -> list[tuple[str, int, int]]:
        """Return (consumer, its input index, our output) for every data edge that leaves a node."""
        if self._consumers is None:
            found: dict[str, list[tuple[str, int, int]]] = defaultdict(list)
            for node in self.graph_def.node:
                for index, edge in enumerate(self.inputs(node.name)):
                    found[edge.node].append((node.name, index, edge.output))
            self._consumers = dict(found)
        return self._consumers.get(name, [])

    @property
    def functions(self) -> dict[str, FunctionDef]:
        """Return the library's functions by name."""
        return {function.signature.name: function for function in self.graph_def.library.function}

    def of_type(self, *ops: str) -> Iterator[NodeDef]:
        """Yield the nodes of the given op types."""
        return (node for node in self.graph_def.node if node.op in ops)

    def ancestors(self, names: Iterable[str], *, stop: Iterable[str] = ()) -> set[str]:
        """Return every node that `names` need, themselves included, not looking behind `stop`.

        Raises `BadInput` where an input names no node.
        """
        barrier, seen, queue = set(stop), set[str](), list(names)
        while queue:
            name = queue.pop()
            if name in seen:
                continue
            if name not in self.nodes:
                raise BadInput(
                    f"the graph names node {name!r}, which it does not hold", remedy="the file is cut or edited"
                )
            seen.add(name)
            if name not in barrier:
                queue += [edge_of(text).node for text in self.nodes[name].input]
        return seen

    def descendants(self, starts: Iterable[Edge], *, opaque: tuple[str, ...] = ()) -> set[str]:
        """Return every node that data from `starts` reaches, not looking behind ops of type `opaque`."""
        seen, queue = set[str](), [who for start in starts for who in self._readers(start)]
        while queue:
            name = queue.pop()
            if name not in seen and self.nodes[name].op not in opaque:
                seen.add(name)
                queue += [consumer for consumer, _, _ in self.consumers(name)]
        return seen

    def _readers(self, edge: Edge) -> list[str]:
        return [consumer for consumer, _, output in self.consumers(edge.node) if output == edge.output]

    def source_of(
        self, edge: Edge, *, through: tuple[str, ...] = ("Identity", "Enter", "RefEnter", "Switch", "RefSwitch")
    ) -> Edge:
        """Return where a value comes from, looking behind nodes that only hand it on."""
        seen = set[str]()
        while edge.node in self.nodes and self.nodes[edge.node].op in through and edge.node not in seen:
            seen.add(edge.node)
            edge = self.inputs(edge.node)[0]
        return edge

    def const(self, edge: Edge) -> Any:
        """Return the value of a constant as an array; raises `KeyError` if the edge is none."""
        node = self.nodes[self.source_of(edge).node]
        if node.op != "Const":
            raise KeyError(edge.tensor)
        return tensor_util.MakeNdarray(node.attr["value"].tensor)

    def names(self, edge: Edge) -> list[str]:
        """Return the strings of a constant; raises `BadInput` if it holds numbers, or the edge is none."""
        try:
            held = np.ravel(self.const(edge))
        except KeyError as error:
            what = f"{edge.tensor} is no constant, where names are wanted"
            raise BadInput(what, remedy="the file is damaged; export the graph again") from error
        if held.dtype.kind not in "OSU":
            what = f"{edge.tensor} gives {held.dtype} where names are wanted"
            raise BadInput(what, remedy="the file is damaged; export the graph again")
        return [name.decode(errors="replace") if isinstance(name, bytes) else str(name) for name in held]


def _is_data(text: str) -> bool:
    return not text.startswith("^")


def attribute(node: NodeDef, name: str) -> Any:
    """Return an attribute's ``AttrValue``, the op's default where the export stripped it."""
    if name in node.attr:
        return node.attr[name]
    op_def = op_def_registry.get(node.op)
    return next((attr.default_value for attr in op_def.attr if attr.name == name), None) if op_def else None


def reference_inputs(node: NodeDef) -> set[int]:
    """Return which inputs of a node take a TF1 reference (`Assign` takes one at 0)."""
    op_def = op_def_registry.get(node.op)
    return {index for index, arg in enumerate(op_def.input_arg) if arg.is_ref} if op_def else set()


def arguments(node: NodeDef, which: Literal["input_arg", "output_arg"]) -> list[Any]:
    """Return what an op's definition says of each input or output of a node, for that many as the node has."""
    args = getattr(op_def_registry.get(node.op), which)
    return [arg for arg in args for _ in range(_arg_count(node, arg))]


def input_count(node: NodeDef) -> int:
    """Return how many data inputs a node of a registered op must have."""
    return sum(_arg_count(node, arg) for arg in op_def_registry.get(node.op).input_arg)


def output_count(node: NodeDef) -> int:
    """Return how many outputs a node has; 1 for an op that is not registered."""
    op_def = op_def_registry.get(node.op)
    return sum(_arg_count(node, arg) for arg in op_def.output_arg) if op_def else 1


def _arg_count(node: NodeDef, arg: Any) -> int:
    if arg.number_attr:
        return int(attribute(node, arg.number_attr).i)
    return len(attribute(node, arg.type_list_attr).list.type) if arg.type_list_attr else 1
