"""Where a node runs: always, or only in a branch of TF1's conditions or an iteration of its loops."""

from typing import Final, NamedTuple

from job.engine.graph import Graph, edge_of

ENTERS: Final = ("Enter", "RefEnter")
EXITS: Final = ("Exit", "RefExit")
SWITCHES: Final = ("Switch", "RefSwitch")
MERGES: Final = ("Merge", "RefMerge")
BACK_EDGES: Final = ("NextIteration", "RefNextIteration")

LOOP: Final = -1


class Around(NamedTuple):
    """A branch: the predicate's tensor and 1 where it is true, 0 where it is false. A loop: its frame and `LOOP`."""

    what: str
    side: int


Context = frozenset[Around]


class Contexts:
    """The contexts of a graph's nodes, found when they are asked for."""

    def __init__(self, graph: Graph) -> None:
        self._graph, self._found = graph, dict[str, Context]()

    def of(self, name: str) -> Context:
        """Return the branches and loops around a node; none for one that runs once and always."""
        queue, begun = [name], set[str]()
        while queue:
            current = queue[-1]
            waiting = [one for one in self._before(current) if one not in self._found and one not in begun]
            begun.add(current)
            if not waiting:
                queue.pop()
                self._found.setdefault(current, self._context(current))
            queue += waiting
        return self._found[name]

    def _before(self, name: str) -> list[str]:
        """Return what a node waits for, but not for what an iteration hands to the next one."""
        node = self._graph.nodes[name]
        if node.op in BACK_EDGES:
            return []
        return [edge.node for edge in map(edge_of, node.input) if edge.node in self._graph.nodes]

    def _context(self, name: str) -> Context:
        node, before = self._graph.nodes[name], self._before(name)
        if node.op in MERGES:
            entering = [self._found.get(one, Context()) for one in before if not self._goes_back(one)]
            return Context.intersection(*entering) if entering else Context()
        around = Context().union(*(self._found.get(one, Context()) for one in before), *map(self._branch, node.input))
        if node.op in ENTERS:
            return around | {self._frame(name)}
        return around - self._left(name) if node.op in EXITS else around

    def _goes_back(self, name: str) -> bool:
        return self._graph.nodes[name].op in BACK_EDGES

    def _branch(self, text: str) -> Context:
        """Return the branch that taking a switch's output enters; a loop's own switch is no branch."""
        edge, graph = edge_of(text), self._graph
        if edge.output < 0 or edge.node not in graph.nodes or graph.nodes[edge.node].op not in SWITCHES:
            return Context()
        predicate = graph.source_of(graph.inputs(edge.node)[1], through=("Identity",))
        is_loop = predicate.node in graph.nodes and graph.nodes[predicate.node].op == "LoopCond"
        return Context() if is_loop else Context({Around(predicate.tensor, edge.output)})

    def _left(self, name: str) -> Context:
        """Return the frame that an exit leaves: the one that its loop variable entered."""
        merge = self._graph.source_of(self._graph.inputs(name)[0]).node
        return Context(self._frame(one) for one in self._before(merge) if self._graph.nodes[one].op in ENTERS)

    def _frame(self, enter: str) -> Around:
        return Around(self._graph.nodes[enter].attr["frame_name"].s.decode(), LOOP)
