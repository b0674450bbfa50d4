"""Inputs and outputs of a graph that says nothing about them: found, ranked, and said."""

import re
from collections.abc import Iterable
from typing import Final

import tensorflow as tf

from job.engine.graph import Edge, Graph, attribute, edge_of, output_count
from job.engine.switches import PLACEHOLDERS
from job.errors import BadInput

PIPELINE_ENDS: Final = (
    *(
        "QueueDequeue",
        "QueueDequeueV2",
        "QueueDequeueMany",
        "QueueDequeueManyV2",
        "QueueDequeueUpTo",
        "QueueDequeueUpToV2",
    ),
    *("IteratorGetNext", "IteratorGetNextSync", "Unstage", "ReaderRead", "ReaderReadV2"),
)
"""Where an input pipeline hands its batch to the model: cut here, their outputs become inputs."""

LOSS_OPS: Final = (
    "SoftmaxCrossEntropyWithLogits",
    "SparseSoftmaxCrossEntropyWithLogits",
    "CTCLoss",
    "InTopK",
    "InTopKV2",
)
"""Take predictions and labels; the labels are always input 1."""

NO_RESULT: Final = re.compile(
    r"Summary|^Assert$|^NoOp$|^Print|^Save|^Restore|^Merge$|^Queue|^Const$|^Assign|^Scatter(?!Nd$|NdNonAliasing)|Apply|^Variable|^VarHandle|^VarIsInit|^LoopCond$"
    r"|^IsVariableInitialized|^InitializeTable|^LookupTable(Import|Export|Size|Insert)|^Placeholder$|^Placeholder(V2|WithDefault)$|^Enqueue"
)
"""Ops whose result nobody asks a model for."""

SAVER_SCOPE: Final = re.compile(r"(^|/)save(_\d+)?/")
GRADIENT_SCOPE: Final = re.compile(r"(^|/)gradients(_\d+)?/")
SHAPE_OPS: Final = ("Shape", "ShapeN", "Size", "Rank", "ZerosLike", "OnesLike")
"""What they return does not depend on their input's values."""

FLOW: Final = re.compile(r"^(Exit|RefExit|Switch|TensorArray\w*) |/(switch_[tf]|pred_id)$")
"""Loose ends of loops and conditions."""

LABEL_NAME: Final = re.compile(r"(^|[_/])(labels?|targets?|y_|y_true|ground_?truth|gt\w*)(_\d+)?$", re.IGNORECASE)
RESULT_NAME: Final = re.compile(
    r"(logits?|prob(s|abilit\w*)?|predict\w*|softmax|sigmoid|output\w*|detection\w*|scores?|class\w*|embedding\w*|out)",
    re.IGNORECASE,
)


def pipeline_inputs(graph: Graph, needed: set[str]) -> list[str]:
    """Return the tensors at which input pipelines are cut: those that something needs."""
    ends = [node.name for node in graph.of_type(*PIPELINE_ENDS) if node.name in needed]
    used = {Edge(end, output) for end in ends for who, _, output in graph.consumers(end) if who in needed}
    return [edge.tensor for edge in sorted(used)]


def find_outputs(graph: Graph, switches: Iterable[str]) -> list[str]:
    """Return the tensors that look like the model's results, best first.

    A result depends on an input, is no part of training, and nothing but losses, gradients and
    summaries consumes it. Where labels are fed, whatever depends on them is not a result. Behind
    a softmax or an arg-max its input counts as a result too: probabilities saturate and hide
    errors (design §7). Raises `BadInput` with candidates where nothing is left.
    """
    starts = _starts(graph, set(switches))
    labels = _labels(graph, starts)
    of_labels = graph.descendants(labels, opaque=SHAPE_OPS)
    reached = graph.descendants(starts - labels, opaque=SHAPE_OPS) if starts else set(graph.nodes)
    reached |= {
        name
        for name in graph.descendants(starts - labels)
        if RESULT_NAME.search(_last(name)) and not graph.consumers(name)
    }
    results = (reached - of_labels) or reached
    sinks = [
        node.name for node in graph.graph_def.node if node.name in results and _is_sink(graph, node.name, of_labels)
    ]
    sinks = [name for name in sinks if not FLOW.search(f"{graph.nodes[name].op} {name}")] or sinks
    chosen = sorted(sinks, key=_rank)
    if not chosen:
        raise BadInput(
            "no output can be found: nothing that depends on an input is left over",
            where=f"{len(graph.nodes)} nodes",
            remedy="name them under `outputs` in the manifest",
        )
    return list(dict.fromkeys(tensor for name in chosen for tensor in (*_all_of(graph, name), *_behind(graph, name))))


def key_of(tensor: str, taken: Iterable[str]) -> str:
    """Return a legal and unused argument name for a tensor: the last part of its node's name."""
    edge = edge_of(tensor)
    base = re.sub(r"\W", "_", edge.node.rsplit("/", 1)[-1]) or "tensor"
    base = f"{base}_{edge.output}" if edge.output else base
    base = f"x_{base}" if base[0].isdigit() else base
    used, key, count = set(taken), base, 1
    while key in used:
        key, count = f"{base}_{count}", count + 1
    return key


def _starts(graph: Graph, switches: set[str]) -> set[Edge]:
    """Return the tensors at which data comes in: placeholders and what pipelines hand over."""
    fed = {Edge(node.name, 0) for node in graph.of_type(*PLACEHOLDERS) if not _is_saver_file(graph, node.name)}
    ends = {
        Edge(node.name, output) for node in graph.of_type(*PIPELINE_ENDS) for _, _, output in graph.consumers(node.name)
    }
    return {edge for edge in fed | ends if edge.tensor not in switches}


def _is_saver_file(graph: Graph, name: str) -> bool:
    """A saver's file name is a placeholder with a default, too."""
    kinds = {graph.nodes[who].op for who, _, _ in graph.consumers(name)}
    string = tf.as_dtype(attribute(graph.nodes[name], "dtype").type) == tf.string
    return string and (
        not kinds
        or any(re.match("Save|Restore|StringJoin|ShardedFilename|MergeV2|Placeholder", kind) for kind in kinds)
    )


def _labels(graph: Graph, starts: set[Edge]) -> set[Edge]:
    """Return the inputs that carry labels: named so, or fed to a loss as its labels and not as its logits."""
    labels = {edge for edge in starts if LABEL_NAME.search(edge.node)}
    for start in starts - labels:
        reached = graph.descendants([start])
        fed = [_sides(graph, node.name, start, reached) for node in graph.of_type(*LOSS_OPS)]
        if any(label and not logits for logits, label in fed):
            labels.add(start)
    return labels if starts - labels else set()


def _sides(graph: Graph, loss: str, start: Edge, reached: set[str]) -> tuple[bool, bool]:
    """Return whether `start` reaches a loss's predictions, and whether it reaches its labels."""
    edges = graph.inputs(loss)[:2]
    hits = [edge == start or (edge.node in reached and edge.node != start.node) for edge in edges]
    return hits[0], hits[-1] and len(hits) > 1


def _is_sink(graph: Graph, name: str, of_labels: set[str]) -> bool:
    inner = GRADIENT_SCOPE.search(name) or SAVER_SCOPE.search(name)
    if inner or NO_RESULT.search(graph.nodes[name].op) or _is_part_of_loss(graph, name):
        return False
    return all(_only_taps(graph, who, of_labels) for who, _, _ in graph.consumers(name))


def _only_taps(graph: Graph, consumer: str, of_labels: set[str]) -> bool:
    op = graph.nodes[consumer].op
    return (
        op in (*LOSS_OPS, *SHAPE_OPS)
        or _is_part_of_loss(graph, consumer)
        or op.endswith(("Summary", "SummaryV2"))
        or bool(GRADIENT_SCOPE.search(consumer))
        or consumer in of_labels
    )


def _is_part_of_loss(graph: Graph, name: str) -> bool:
    """``tf.nn.softmax_cross_entropy_with_logits`` flattens the logits before its op."""
    users = [who for who, _, _ in graph.consumers(name) if not GRADIENT_SCOPE.search(who)]
    flattens = graph.nodes[name].op == "Reshape" and bool(users)
    return flattens and all(graph.nodes[who].op in LOSS_OPS for who in users)


def _all_of(graph: Graph, name: str) -> list[str]:
    """Return every output of a node; of a batch norm only the first, the others are its statistics."""
    node = graph.nodes[name]
    count = 1 if node.op.startswith("FusedBatchNorm") else output_count(node)
    return [f"{name}:{output}" for output in range(count)]


def _behind(graph: Graph, name: str) -> list[str]:
    """Return the logits behind a softmax, sigmoid or arg-max."""
    found, edge = [], Edge(name, 0)
    while graph.nodes[edge.node].op in ("Softmax", "Sigmoid", "ArgMax", "Identity", "Reshape", "Squeeze"):
        behind = graph.inputs(edge.node)[0]
        if graph.nodes[edge.node].op in ("Softmax", "Sigmoid", "ArgMax"):
            found.append(behind.tensor)
        edge = behind
    return found


def _rank(name: str) -> tuple[int, str]:
    return (0 if RESULT_NAME.search(_last(name)) else 1, name)


def _last(name: str) -> str:
    return name.rsplit("/", 1)[-1]
