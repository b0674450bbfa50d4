"""What a report says of denied ops: those that run all the same, and those that were left out."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Final

from job.engine.graph import Graph, NodeDef
from job.engine.ops.allowing import ALLOWED
from job.engine.ops.classes import CLASS_OF
from job.engine.ops.policy import why_denied
from job.engine.reaching import reachable, reached_library
from job.records import Finding
from job.wording import shown

USUAL: Final = ("checkpoints", "queues")
"""Classes that every training graph has ops of: they are left out without a word."""

MOST_NODES: Final = 3


def remarks(graph: Graph, running: set[str]) -> Iterator[Finding]:
    """Yield a finding for the denied ops that were allowed and run, and one for those that run nowhere."""
    if ALLOWED:
        allowed = _by_op(node for _, node in reachable(graph, running) if node.op in ALLOWED)
        if allowed:
            yield Finding(
                code="op_allowed",
                cause=f"denied ops run, as was asked for: {_listed(allowed)}",
                remedy="load the model only where you would run a program of its author",
                severity="warning",
            )
    left_out = _by_op(node for node in _elsewhere(graph, running) if _is_told(node))
    if left_out:
        yield Finding(
            code="host_ops_left_out",
            cause=f"no output needs what this job does not run, and it is left out: {_listed(left_out)}",
        )


def _elsewhere(graph: Graph, running: set[str]) -> Iterator[NodeDef]:
    """Yield the nodes that do not run, those of functions included."""
    yield from (node for node in graph.graph_def.node if node.name not in running)
    library = graph.graph_def.library
    reached = reached_library((graph.nodes[name] for name in running), library)
    called = {function.signature.name for function in reached.function}
    for function in library.function:
        if function.signature.name not in called:
            yield from function.node_def


def _is_told(node: NodeDef) -> bool:
    return node.op in CLASS_OF and CLASS_OF[node.op].name not in USUAL and bool(why_denied(node))


def _by_op(nodes: Iterable[NodeDef]) -> dict[str, list[str]]:
    names = defaultdict[str, list[str]](list)
    for node in nodes:
        names[node.op].append(node.name)
    return dict(sorted(names.items()))


def _listed(names: dict[str, list[str]]) -> str:
    return "; ".join(f"{op} ({shown(nodes, MOST_NODES)})" for op, nodes in names.items())
