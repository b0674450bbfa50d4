"""What training left in a graph and inference does without."""

import re
from collections import Counter
from collections.abc import Iterator
from typing import Final

from job.engine.graph import Graph
from job.engine.health.subject import Subject
from job.records import Finding

OPTIMIZERS: Final = re.compile(r"^(Resource)?(Sparse)?Apply[A-Z]")
SUMMARIES: Final = re.compile(r"Summary(V\d)?$")
GRADIENTS: Final = re.compile(r"(^|/)gradients(_\d+)?/")


def training_graph(subject: Subject) -> Iterator[Finding]:
    """Say that this is the graph that trained the model, and how much of it went."""
    counts = Counter(
        kind
        for node in subject.path.graph.graph_def.node
        if (kind := _kind(node.op, node.name)) and node.name not in subject.needed
    )
    if counts["optimizer"] or counts["gradient"]:
        said = ", ".join(f"{count} {kind} nodes" for kind, count in sorted(counts.items()))
        total = len(subject.path.graph.nodes)
        yield Finding(
            code="training_graph",
            cause=f"this is the graph that trained the model: {said} are left out, as is all else that the signatures "
            f"do not need ({len(subject.needed)} of {total} nodes are kept)",
        )


def trains(graph: Graph) -> bool:
    """Whether a graph can train the model: an export for serving cannot."""
    return any(OPTIMIZERS.search(node.op) for node in graph.graph_def.node)


def _kind(op: str, name: str) -> str:
    if "Apply" in op and OPTIMIZERS.search(op):
        return "optimizer"
    if "gradients" in name and GRADIENTS.search(name):
        return "gradient"
    return "summary" if "Summary" in op and SUMMARIES.search(op) else ""
