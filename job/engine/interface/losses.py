"""Where a graph trains: what is compared with labels, and which inputs these are."""

import re
from collections.abc import Iterable
from typing import Final

from job.engine.graph import Edge, Graph, edge_of

LOSS_OPS: Final = (
    "SoftmaxCrossEntropyWithLogits",
    "SparseSoftmaxCrossEntropyWithLogits",
    "CTCLoss",
    "InTopK",
    "InTopKV2",
)
"""Take predictions and labels; the labels are always input 1."""

LOGISTIC_LOSS: Final = re.compile(r"(^|/)logistic_loss(_\d+)?(/|$)")
"""Where ``sigmoid_cross_entropy_with_logits`` computes, which has no op of its own; ``mul`` takes logits and labels."""

GRADIENT_SCOPE: Final = re.compile(r"(^|/)gradients(_\d+)?/")

VARIABLES: Final = ("Variable", "VariableV2", "VarHandleOp")

LABEL_NAME: Final = re.compile(r"(^|[_/])(labels?|targets?|y_|y_true|ground_?truth|gt\w*)(_\d+)?$", re.IGNORECASE)


def labels_of(graph: Graph, starts: set[Edge]) -> set[Edge]:
    """Return the inputs that carry labels: named so, or fed to a loss as its labels and not as its logits."""
    labels = {edge for edge in starts if LABEL_NAME.search(edge.node)}
    for start in starts - labels:
        reached = graph.descendants([start])
        fed = [_sides(graph, name, start, reached) for name in _losses(graph)]
        if any(label and not logits for logits, label in fed):
            labels.add(start)
    return labels if starts - labels else set()


def _losses(graph: Graph) -> list[str]:
    """Return the nodes that take predictions and labels."""
    products = [node.name for node in graph.of_type("Mul") if LOGISTIC_LOSS.search(node.name)]
    return [*(node.name for node in graph.of_type(*LOSS_OPS)), *(name for name in products if name.endswith("/mul"))]


def _sides(graph: Graph, loss: str, start: Edge, reached: set[str]) -> tuple[bool, bool]:
    """Return whether `start` reaches a loss's predictions, and whether it reaches its labels."""
    edges = graph.inputs(loss)[:2]
    hits = [edge == start or (edge.node in reached and edge.node != start.node) for edge in edges]
    return hits[0], hits[-1] and len(hits) > 1


def is_loss(graph: Graph, name: str) -> bool:
    """Whether a node takes predictions and labels, or is a step of a loss that does."""
    return graph.nodes[name].op in LOSS_OPS or bool(LOGISTIC_LOSS.search(name))


def is_part_of_loss(graph: Graph, name: str) -> bool:
    """``tf.nn.softmax_cross_entropy_with_logits`` flattens the logits before its op."""
    users = [who for who, _, _ in graph.consumers(name) if not GRADIENT_SCOPE.search(who)]
    flattens = graph.nodes[name].op == "Reshape" and bool(users)
    return flattens and all(graph.nodes[who].op in LOSS_OPS for who in users)


def find_compared(graph: Graph, losses: Iterable[str], starts: set[Edge]) -> list[str]:
    """Return what losses of differences compare with their targets: it depends on variables, and they do not.

    For graphs whose every result is a loss: ``reduce_mean(square(prediction - target))``.
    """
    variables = [Edge(node.name, 0) for node in graph.of_type(*VARIABLES)]
    learnt, given = graph.descendants(variables), graph.descendants(starts) | {edge.node for edge in starts}
    behind = graph.ancestors([edge_of(name).node for name in losses], stop={edge.node for edge in starts})
    found = list[Edge]()
    for node in graph.of_type("Sub", "SquaredDifference"):
        sides = sorted(graph.inputs(node.name)[:2], key=lambda edge: edge.node in learnt)
        told = [edge.node in learnt for edge in sides] == [False, True] and all(edge.node in given for edge in sides)
        if node.name in behind and told:
            found.append(sides[1])
    inner = {edge for edge in found for other in found if edge != other and edge.node in graph.ancestors([other.node])}
    return list(dict.fromkeys(edge.tensor for edge in found if edge not in inner))
