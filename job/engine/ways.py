"""How a node of a graph gets to an output: what a refusal shows."""

from collections import defaultdict, deque
from collections.abc import Iterable

from job.engine.graph import Graph, edge_of


def way_from_output(graph: Graph, needed: Iterable[str], name: str) -> list[str]:
    """Return the names of nodes from an output down to `name`, the shortest way through the needed ones.

    An output is what no needed node takes; where all is in loops, it is `name` alone.
    """
    takers = defaultdict[str, list[str]](list)
    for taker in needed:
        for text in graph.nodes[taker].input:
            takers[edge_of(text).node].append(taker)
    before, queue = {name: ""}, deque([name])
    while queue:
        node = queue.popleft()
        if not takers[node]:
            return _followed(before, node)
        for taker in takers[node]:
            if taker not in before:
                before[taker] = node
                queue.append(taker)
    return [name]


def _followed(before: dict[str, str], output: str) -> list[str]:
    way = [output]
    while before[way[-1]]:
        way.append(before[way[-1]])
    return way
