"""Inputs and outputs of a graph that says nothing about them: found, ranked, and said."""

import re
from collections.abc import Iterable
from typing import Final

import tensorflow as tf

from job.engine.graph import Edge, Graph, attribute, edge_of, output_count
from job.engine.interface.losses import (
    GRADIENT_SCOPE,
    LOGISTIC_LOSS,
    VARIABLES,
    is_loss,
    is_part_of_loss,
    labels_of,
)
from job.engine.interface.switches import PLACEHOLDERS
from job.engine.shapes import dtype_of
from job.errors import BadInput
from job.wording import shown

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

UPDATE_OPS: Final = re.compile(r"^Assign|^Scatter|Apply")

NO_RESULT: Final = re.compile(
    r"Summary|^Assert$|^NoOp$|^Print|^Save|^Restore|^Queue|^Const$|^Assign|^Scatter(?!Nd$|NdNonAliasing)|Apply|^Variable|^VarHandle|^VarIsInit|^LoopCond$"
    r"|^IsVariableInitialized|^InitializeTable|^LookupTable(Import|Export|Size|Insert)|^Placeholder$|^Placeholder(V2|WithDefault)$|^Enqueue"
)
"""Ops whose result nobody asks a model for."""

SAVER_SCOPE: Final = re.compile(r"(^|/)save(_\d+)?/")
UPDATE_SCOPE: Final = re.compile(r"(^|/)update_[^/]+/")
"""Where optimizers put what applies their gradients."""

GUARD_SCOPE: Final = re.compile(r"(^|/)AssertGuard(_\d+)?/")

SHAPE_OPS: Final = ("Shape", "ShapeN", "Size", "Rank", "ZerosLike", "OnesLike")
"""What they return does not depend on their input's values."""

FLOW: Final = re.compile(
    r"^(Exit|RefExit|Switch|TensorArray(?!Gather|Concat|Read|Pack)\w*) |/(switch_[tf]|pred_id)$",
)
"""Loose ends of loops and conditions; what is read from an array is none."""

RESULT_NAME: Final = re.compile(
    r"(logits?|prob(s|abilit\w*)?|predict\w*|softmax|sigmoid|output\w*|detection\w*|scores?|class\w*|embedding\w*|out)",
    re.IGNORECASE,
)

UPKEEP: Final = re.compile(
    r"^(ReadVariableOp|Switch|RefSwitch|Merge|RefMerge) |/(read|switch_[tf])$|regulari[sz]er|loss|report_uninitialized",
    re.IGNORECASE,
)
"""What hangs on variables alone and is no result, as op and name: a variable's own reader, a penalty on weights."""


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
    starts = starts_of(graph, switches)
    labels = labels_of(graph, starts)
    of_labels = graph.descendants(labels, opaque=SHAPE_OPS)
    reached = _reached(graph, starts - labels)
    found = _in_order(graph, (reached - of_labels) or reached)
    sinks = [name for name in found if _is_sink(graph, name, of_labels if starts else None)]
    results = _likeliest(graph, _computed(graph, sinks)) or (
        _read_after(graph, starts) if starts else _left_over(graph)
    )
    if not results:
        graph.ancestors(graph.nodes)  # which raises where a node's input is missing: the likelier reason
        last = found[::-1] or [*graph.nodes][::-1]
        raise BadInput(
            "no output can be found: nothing that depends on an input is left over",
            where=f"{len(graph.nodes)} nodes",
            remedy=f"name them under `outputs` in the manifest; the last ones computed are {shown(last, 5)}",
        )
    chosen = sorted((_uncast(graph, name, of_labels) for name in _without_metrics(graph, results)), key=_rank)
    tensors = dict.fromkeys(tensor for name in chosen for tensor in (*_all_of(graph, name), *_behind(graph, name)))
    return [tensor for tensor in tensors if _holds_values(graph, tensor)] or list(tensors)


def find_unasked(graph: Graph, switches: Iterable[str]) -> list[str]:
    """Return the ends that depend on variables and on no input, such as a counter's: no guess takes them for results.

    None in a graph that trains, where they are its optimizer's and its metrics'.
    """
    starts = starts_of(graph, switches)
    if not starts or trains(graph):
        return []
    state = graph.descendants(Edge(node.name, 0) for node in graph.of_type(*VARIABLES))
    alone = _in_order(graph, state - graph.descendants(starts))
    return [f"{name}:0" for name in alone if _is_sink(graph, name, None) and not UPKEEP.search(_told(graph, name))]


def key_of(tensor: str, taken: Iterable[str], *, numbered: bool = False) -> str:
    """Return a legal and unused argument name for a tensor: the last part of its node's name.

    The number of a node's output follows, of its first one only where it is to be `numbered`.
    """
    edge = edge_of(tensor)
    base = re.sub(r"\W", "_", edge.node.rsplit("/", 1)[-1]) or "tensor"
    base = f"{base}_{edge.output}" if edge.output or numbered else base
    base = f"x_{base}" if base[0].isdigit() else base
    used, key, count = set(taken), base, 1
    while key in used:
        key, count = f"{base}_{count}", count + 1
    return key


def _reached(graph: Graph, starts: set[Edge]) -> set[str]:
    """Return what depends on the inputs, or only on their shapes and is called a result; all where there are none."""
    if not starts:
        return set(graph.nodes)
    by_name = {name for name in graph.descendants(starts) if RESULT_NAME.search(_last(name))}
    return graph.descendants(starts, opaque=SHAPE_OPS) | {name for name in by_name if not graph.consumers(name)}


def _in_order(graph: Graph, names: set[str]) -> list[str]:
    return [node.name for node in graph.graph_def.node if node.name in names]


def _likeliest(graph: Graph, sinks: list[str]) -> list[str]:
    """Drop loose ends of control flow, and batch norms whose result nothing takes, unless there is nothing else."""
    others = [name for name in sinks if not FLOW.search(_told(graph, name))] or sinks
    return [name for name in others if not graph.nodes[name].op.startswith("FusedBatchNorm")] or others


def _read_after(graph: Graph, starts: set[Edge]) -> list[str]:
    """Return the ends that read a state after an input was written to it: no data leads there, but an order."""
    given = {edge.node for edge in starts}
    return [name for name in graph.nodes if _is_sink(graph, name, None) and given & graph.ancestors([name])]


def _computed(graph: Graph, sinks: list[str]) -> list[str]:
    """Drop what only hands an input on, such as a batch's labels, unless there is nothing else."""
    ends = (*PLACEHOLDERS, *PIPELINE_ENDS)
    return [name for name in sinks if graph.nodes[graph.source_of(Edge(name, 0)).node].op not in ends] or sinks


def _uncast(graph: Graph, name: str, of_labels: set[str]) -> str:
    """Return what a metric casts before it compares it with labels, in place of the cast."""
    users = [who for who, _, _ in graph.consumers(name)]
    is_metric = graph.nodes[name].op == "Cast" and bool(users) and all(who in of_labels for who in users)
    return graph.inputs(name)[0].node if is_metric else name


def _left_over(graph: Graph) -> list[str]:
    """Return what a graph without inputs and any other result ends in: variables that it writes, else constants."""
    ends = [node.name for node in graph.graph_def.node if not graph.consumers(node.name) and not _is_inner(node.name)]
    written = [name for name in ends if graph.nodes[name].op.startswith(("Scatter", "Assign"))]
    return written or [name for name in ends if graph.nodes[name].op == "Const"]


def _without_metrics(graph: Graph, results: list[str]) -> list[str]:
    """Drop, in a graph that trains, what is not called a result and needs more inputs than those that are."""
    named = [name for name in results if _rank(name)[0] == 0]
    if not named or not trains(graph):
        return results
    allowed = _entries(graph, named)
    return [name for name in results if _entries(graph, [name]) <= allowed]


def trains(graph: Graph) -> bool:
    """Whether the graph computes gradients."""
    return any(GRADIENT_SCOPE.search(name) for name in graph.nodes)


def _entries(graph: Graph, names: list[str]) -> set[Edge]:
    """Return the placeholders and the pipelines' tensors that nodes depend on."""
    ends = {node.name for node in graph.of_type(*PLACEHOLDERS, *PIPELINE_ENDS)}
    needed = graph.ancestors(names, stop=ends)
    return {Edge(end, output) for end in ends & needed for who, _, output in graph.consumers(end) if who in needed}


def starts_of(graph: Graph, switches: Iterable[str]) -> set[Edge]:
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


def _is_sink(graph: Graph, name: str, of_labels: set[str] | None) -> bool:
    """Whether nothing takes a node's result but what only watches it; without inputs (`None`), nothing at all."""
    if _is_inner(name) or NO_RESULT.search(graph.nodes[name].op) or is_part_of_loss(graph, name):
        return False
    if _is_update(graph, name) or (of_labels is not None and LOGISTIC_LOSS.search(name)):
        return False
    consumers = [who for who, _, _ in graph.consumers(name)]
    return all(of_labels is not None and _only_taps(graph, who, of_labels) for who in consumers)


def _is_update(graph: Graph, name: str) -> bool:
    """Whether a node ends a condition that may change a variable, as batch norm's updates do."""
    branches = [graph.source_of(edge, through=("Identity",)).node for edge in graph.inputs(name)]
    return graph.nodes[name].op in ("Merge", "RefMerge") and any(
        UPDATE_OPS.search(graph.nodes[one].op) for one in branches if one in graph.nodes
    )


def _is_inner(name: str) -> bool:
    return any(scope.search(name) for scope in (GRADIENT_SCOPE, SAVER_SCOPE, UPDATE_SCOPE, GUARD_SCOPE))


def _only_taps(graph: Graph, consumer: str, of_labels: set[str]) -> bool:
    op = graph.nodes[consumer].op
    return (
        op in SHAPE_OPS
        or is_loss(graph, consumer)
        or is_part_of_loss(graph, consumer)
        or op.endswith(("Summary", "SummaryV2"))
        or bool(GRADIENT_SCOPE.search(consumer))
        or consumer in of_labels
    )


def _all_of(graph: Graph, name: str) -> list[str]:
    """Return every output of a node; of a batch norm only the first, the others are its statistics.

    So of a merge, whose other one says where its value came from.
    """
    node = graph.nodes[name]
    count = 1 if node.op.startswith(("FusedBatchNorm", "Merge")) else output_count(node)
    return [f"{name}:{output}" for output in range(count)]


def _behind(graph: Graph, name: str) -> list[str]:
    """Return the logits behind a softmax, sigmoid or arg-max."""
    found, edge = [], Edge(name, 0)
    while graph.nodes[edge.node].op in ("Softmax", "Sigmoid", "ArgMax", "Identity", "Reshape", "Squeeze"):
        behind = graph.inputs(edge.node)[0]
        if graph.nodes[edge.node].op in ("Softmax", "Sigmoid", "ArgMax"):
            found += [behind.tensor] if not _is_stored(graph, behind) else []
        edge = behind
    return found


def _is_stored(graph: Graph, edge: Edge) -> bool:
    return graph.nodes[graph.source_of(edge).node].op in ("Const", "Variable", "VariableV2", "ReadVariableOp")


def _told(graph: Graph, name: str) -> str:
    return f"{graph.nodes[name].op} {name}"


def _holds_values(graph: Graph, tensor: str) -> bool:
    """Whether a tensor is more than the handle of something, which a loop hands out beside its results."""
    try:
        return dtype_of(graph, edge_of(tensor)) not in (tf.resource, tf.variant)
    except BadInput:  # of an op that is not registered
        return True


def _rank(name: str) -> tuple[int, str]:
    return (0 if RESULT_NAME.search(_last(name)) else 1, name)


def _last(name: str) -> str:
    return name.rsplit("/", 1)[-1]
