"""The part of a graph that an inference call really runs: without the branches that its switches rule out."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from tensorflow.core.framework.function_pb2 import FunctionDef

from job.engine.folding import MERGES, decided
from job.engine.graph import Edge, Graph, NodeDef, edge_of
from job.engine.pruning import cut_at, needed_by
from job.records import Signature


@dataclass(frozen=True, kw_only=True)
class Path:
    """The live nodes of some signatures, and the tensors that are fed.

    `taken` says which output of a decided `Switch` carries data.
    """

    graph: Graph
    signatures: tuple[Signature, ...]
    switches: Mapping[str, bool | float]
    nodes: frozenset[str]
    fed: frozenset[Edge]
    taken: Mapping[str, int]

    def again(self) -> "Path":
        """Return the path after control inputs of its nodes were changed."""
        return path_of(self.graph, self.signatures, self.switches)

    @cached_property
    def _by_op(self) -> Mapping[str, list[NodeDef]]:
        """The live nodes by op, in the graph's order."""
        found: dict[str, list[NodeDef]] = defaultdict(list)
        for name, node in self.graph.nodes.items():
            if name in self.nodes:
                found[node.op].append(node)
        return found

    def of_type(self, *ops: str) -> list[NodeDef]:
        """Return the live nodes of the given op types."""
        return [node for op in ops for node in self._by_op.get(op, ())]

    def inputs(self, name: str) -> list[Edge]:
        """Return the data inputs of a node that carry data; a merge may have lost some of its own."""
        return [edge for edge in self.graph.inputs(name) if edge.node in self.nodes and self._is_live(edge)]

    def traced(self, edge: Edge, through: Collection[str]) -> tuple[Edge, set[str]]:
        """Return where a value comes from, and the nodes that only hand it on; a merge only if one input is live."""
        passed = set[str]()
        while edge.node in self.nodes and self.graph.nodes[edge.node].op in through and edge.node not in passed:
            inputs = self.inputs(edge.node)
            is_choice = self.graph.nodes[edge.node].op in MERGES and len(inputs) != 1
            if is_choice or not inputs:
                break
            passed.add(edge.node)
            edge = inputs[0]
        return edge, passed

    def consumers(self, edge: Edge) -> list[str]:
        """Return the live nodes that take a tensor."""
        if not self._is_live(edge):
            return []
        return [
            who for who, _, output in self.graph.consumers(edge.node) if output == edge.output and who in self.nodes
        ]

    def functions(self) -> list[FunctionDef]:
        """Return the functions of the library that can be called, by others too."""
        library = self.graph.functions
        if not library:
            return []
        found, queue = dict[str, FunctionDef](), [name for node in self.nodes for name in self._called(node)]
        while queue:
            name = queue.pop()
            if name in library and name not in found:
                found[name] = library[name]
                queue += [inner for node in library[name].node_def for inner in _functions_of(node)]
        return list(found.values())

    def _called(self, name: str) -> list[str]:
        """Return the functions that a node names, but for the branch that a switch rules out."""
        node = self.graph.nodes[name]
        if node.op in ("If", "StatelessIf"):
            predicate = self.graph.source_of(self.graph.inputs(name)[0])
            if predicate.tensor in self.switches:
                return [node.attr["then_branch" if self.switches[predicate.tensor] else "else_branch"].func.name]
        return _functions_of(node)

    def _is_live(self, edge: Edge) -> bool:
        return self.taken.get(edge.node, edge.output) == edge.output


def _functions_of(node: NodeDef) -> list[str]:
    return [value.func.name for value in node.attr.values() if value.HasField("func")]


def path_of(graph: Graph, signatures: tuple[Signature, ...], switches: Mapping[str, bool | float]) -> Path:
    """Return what the signatures run, whose inputs and switches are fed."""
    cuts = [cut_at((spec.tensor for spec in signature.inputs), switches) for signature in signatures]
    results = [[spec.tensor for spec in signature.outputs] for signature in signatures]
    needed = set[str]().union(*(needed_by(graph, *pair) for pair in zip(cuts, results, strict=True)))
    dead, taken = decided(graph, switches, needed)
    nodes = set[str]()
    for cut, outputs in zip(cuts, results, strict=True):
        nodes |= _live(graph, {edge.node for edge in cut}, dead, taken, outputs)
    fed = set[Edge]().union(*cuts) - {edge_of(tensor) for tensor in switches}
    return Path(
        graph=graph, signatures=signatures, switches=switches, nodes=frozenset(nodes), fed=frozenset(fed), taken=taken
    )


def _live(graph: Graph, cut: set[str], dead: set[str], taken: Mapping[str, int], outputs: Iterable[str]) -> set[str]:
    seen, queue = set[str](), [edge_of(name).node for name in outputs]
    while queue:
        name = queue.pop()
        if name in seen or name in dead or name not in graph.nodes:
            continue
        seen.add(name)
        if name not in cut:
            edges = [edge for edge in graph.inputs(name) if taken.get(edge.node, edge.output) == edge.output]
            queue += [*(edge.node for edge in edges), *graph.controls(name)]
    return seen
