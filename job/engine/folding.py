"""Conditions that a bound switch has decided: the branch that is never taken goes, and v1 control flow with it.

TF1's ``tf.cond`` is a `Switch` for every tensor that its branches take and a `Merge` for every result.
Left in, they keep gradients from passing (TensorFlow differentiates no imported v1 condition), keep XLA
and other readers of SavedModels from understanding the model, and carry the training branch along.
"""

import operator
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from typing import Any, Final

import numpy as np
from tensorflow.core.framework import graph_pb2

from job.engine.graph import Edge, Graph, NodeDef, edge_of

SWITCHES: Final = {"Switch": "Identity", "RefSwitch": "RefIdentity"}
MERGES: Final = {"Merge": "Identity", "RefMerge": "RefIdentity"}
LOOP_BACK: Final = ("NextIteration", "RefNextIteration")

DECIDING_OPS: Final[Mapping[str, Callable[..., Any]]] = {
    "Cast": lambda value: value,
    "Enter": lambda value: value,
    "Identity": lambda value: value,
    "Switch": lambda value, _: value,
    "LogicalNot": operator.not_,
    "LogicalAnd": lambda left, right: left and right,
    "LogicalOr": lambda left, right: left or right,
    "Equal": operator.eq,
    "NotEqual": operator.ne,
    "Greater": operator.gt,
    "Less": operator.lt,
}
"""What may lie between a switch and the condition that it decides, on scalars."""


class UndecidedError(Exception):
    """A condition depends on more than switches and constants."""


def fold_conditions(
    graph_def: graph_pb2.GraphDef, switches: Mapping[str, bool | float], outputs: Iterable[str]
) -> graph_pb2.GraphDef:
    """Return the graph as `outputs` need it once the switches have their values.

    Exact: what a condition does not take is dead in TF1's executor too. A graph whose outputs
    depend on how the conditions went (one is dead, or is a condition's own end) is returned as it is.
    """
    wanted = [edge_of(name) for name in outputs]
    folder = _Folder(Graph(graph_def), switches)
    return folder.folded(wanted) if folder.taken and folder.can_fold(wanted) else graph_def


class _Folder:
    def __init__(self, graph: Graph, switches: Mapping[str, bool | float], within: Collection[str] = ()) -> None:
        self.graph, self.switches, self.within = graph, switches, within or graph.nodes
        self.taken = dict(self._decided())
        self.dead = set[str]()
        self.lost: dict[str, set[int]] = defaultdict(set)
        self._waiting: dict[str, list[str]] = defaultdict(list)
        for node in self.within if self.taken else ():
            for name in graph.controls(node):
                self._waiting[name].append(node)
        self._spread([Edge(name, 1 - output) for name, output in self.taken.items()])

    def can_fold(self, wanted: list[Edge]) -> bool:
        """Whether every output is still there, and nothing asks which way a condition went."""
        told = {who for merge in self.lost for who, _, output in self.graph.consumers(merge) if output == 1}
        ends = {*self.dead, *self.taken}
        asked = any(edge.node in ends or (edge.node in self.lost and edge.output == 1) for edge in wanted)
        return not asked and not told - self.dead

    def folded(self, wanted: list[Edge]) -> graph_pb2.GraphDef:
        """Return the live nodes that the outputs need, switches and merges become identities."""
        nodes = {node.name: self._rewritten(node) for node in self.graph.graph_def.node if node.name not in self.dead}
        needed, queue = set[str](), [edge.node for edge in wanted]
        while queue:
            name = queue.pop()
            if name in nodes and name not in needed:
                needed.add(name)
                queue += [edge_of(text).node for text in nodes[name].input]
        copy = graph_pb2.GraphDef(versions=self.graph.graph_def.versions, library=self.graph.graph_def.library)
        copy.node.extend(node for name, node in nodes.items() if name in needed)
        return copy

    def _decided(self) -> Iterable[tuple[str, int]]:
        """Yield the switches whose predicate is known, with the output that is taken."""
        for name in self.within:
            if self.graph.nodes[name].op in SWITCHES:
                with suppress(UndecidedError):
                    yield name, int(bool(self._value(self.graph.inputs(name)[1])))

    def _value(self, edge: Edge) -> Any:
        """Return a scalar that switches and constants decide; raises `UndecidedError`."""
        if edge.tensor in self.switches:
            return self.switches[edge.tensor]
        node = self.graph.nodes.get(edge.node, NodeDef())  # an input of the model is none of the pruned nodes
        if node.op == "Const":
            value: Any = np.asarray(self.graph.const(edge))
            if value.size == 1:
                return value.item()
        values = (
            [self._value(one) for one in self.graph.inputs(edge.node)] if node.op in (*DECIDING_OPS, "Cast") else []
        )
        if not values or (node.op == "Cast" and values[0] not in (0, 1)):
            raise UndecidedError
        return values[0] if node.op == "Cast" else DECIDING_OPS[node.op](*values)

    def _spread(self, queue: list[Edge]) -> None:
        """Find what is dead because it takes something dead; a merge dies with the last of its inputs."""
        while queue:
            edge = queue.pop()
            for consumer, index, output in self.graph.consumers(edge.node):
                is_reached = output == edge.output and consumer in self.within and consumer not in self.dead
                if is_reached and self._dies(consumer, index):
                    queue += self._kill(consumer)

    def _dies(self, name: str, index: int) -> bool:
        if self.graph.nodes[name].op not in MERGES:
            return True
        self.lost[name].add(index)
        return all(
            number in self.lost[name] for number, edge in enumerate(self.graph.inputs(name)) if self._enters(edge)
        )

    def _enters(self, edge: Edge) -> bool:
        """A loop that is not entered never comes back."""
        return edge.node not in self.graph.nodes or self.graph.nodes[edge.node].op not in LOOP_BACK

    def _kill(self, name: str) -> set[Edge]:
        """Mark a node, and those that wait for it, as dead; return their outputs."""
        found, queue = set[Edge](), [name]
        while queue:
            one = queue.pop()
            if one not in self.dead:
                self.dead.add(one)
                found |= {Edge(one, output) for _, _, output in self.graph.consumers(one)}
                queue += [who for who in self._waiting[one] if self.graph.nodes[who].op not in MERGES]
        return found

    def _rewritten(self, node: NodeDef) -> NodeDef:
        copy = NodeDef()
        copy.CopyFrom(node)
        data = self.graph.inputs(node.name)
        if node.name in self.taken:
            copy.op, data = SWITCHES[node.op], data[:1]
        elif node.name in self.lost:
            data = [edge for index, edge in enumerate(data) if index not in self.lost[node.name]]
            copy.op = MERGES[node.op] if len(data) == 1 else node.op
            copy.attr["N"].i = len(data)
        if copy.op != node.op and "N" in copy.attr:
            del copy.attr["N"]
        controls = [text for text in node.input if text.startswith("^") and text[1:] not in self.dead]
        del copy.input[:]
        copy.input.extend([*map(self._live, data), *controls])
        return copy

    def _live(self, edge: Edge) -> str:
        """A switch that is decided has one output left."""
        output = 0 if edge.node in self.taken else edge.output
        return f"{edge.node}:{output}" if output else edge.node


def decided(
    graph: Graph, switches: Mapping[str, bool | float], within: Collection[str]
) -> tuple[set[str], dict[str, int]]:
    """Return the nodes that are dead once the switches have their values, and the output that decided ones take.

    Only nodes `within` are looked at, which hold all that they need: a training graph has ten times as many.
    """
    folder = _Folder(graph, switches, within)
    return folder.dead, folder.taken
