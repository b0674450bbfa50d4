"""Batch norm put into inference mode: its moving statistics take the place of the batch's.

Done on the source graph, so that baseline and candidate are both of it: parity then proves the
lift, and the rewrite itself is proven against TF1's own inference graphs (tests).
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Final

import tensorflow as tf

from job.engine.graph import Edge, Graph, NodeDef
from job.engine.health.batch_norm import BatchNorm
from job.engine.health.moving_statistics import UPDATE_OPS, MovingStatistics, pair
from job.engine.health.path import Path
from job.errors import BadInput

SCOPE: Final = "tf1lift_batch_norm"
"""Of the nodes that are added; a name that no model has."""


def to_inference(path: Path, norms: Sequence[BatchNorm], stored: Mapping[str, Sequence[int]]) -> Graph:
    """Return the graph with these batch norms in inference mode; the path's own nodes are changed in place.

    Raises `BadInput` naming those whose moving statistics are not there, or not beyond doubt.
    """
    graph, pairs = path.graph, pair(path, norms, stored)
    variables = sorted({name for one in pairs.values() for name in (one.mean, one.variance)})
    _stop_updating(path, variables)
    path = path.again()
    reads = {name: _read(graph, name, stored, number) for number, name in enumerate(variables)}
    left = [norm.node for norm in norms if norm.node not in pairs or not _change(path, norm, pairs[norm.node], reads)]
    if left:
        raise BadInput(
            f"{len(left)} of {len(norms)} batch norms cannot be put into inference mode: their moving statistics are "
            f"not in the artifact, or it cannot be told which they are (first {left[0]})",
            remedy="convert it as saved, or export it again with training=False and the moving statistics",
        )
    graph.graph_def.node.extend(node for nodes in reads.values() for node in nodes)
    changed = Graph(graph.graph_def)
    changed.recorded_shapes = graph.recorded_shapes
    return changed


def _stop_updating(path: Path, variables: Collection[str]) -> None:
    """Let no node of the path wait for an update of these variables: TF1 makes none in inference mode."""
    graph = path.graph
    targets = ((node.name, graph.source_of(graph.inputs(node.name)[0]).node) for node in graph.of_type(*UPDATE_OPS))
    updates = {f"^{update}" for update, variable in targets if variable in variables}
    for name in path.nodes:
        node = graph.nodes[name]
        kept = [text for text in node.input if text not in updates]
        if len(kept) < len(node.input):
            del node.input[:]
            node.input.extend(kept)


def _change(path: Path, norm: BatchNorm, found: MovingStatistics, reads: Mapping[str, Sequence[NodeDef]]) -> bool:
    """Put one batch norm into inference mode; return whether that was possible without changing anything else."""
    moving = [reads[name][-1] for name in (found.mean, found.variance)]
    if norm.is_fused:
        return _change_fused(path, norm, *moving)
    places = [_places(path, statistic, norm.inside) for statistic in (norm.mean, norm.variance)]
    if not all(places) or _dtype(path.graph.nodes[norm.mean.node]) != _dtype(moving[0]):
        return False
    for edges, read in zip(places, moving, strict=True):
        for edge in edges:
            _rewire(path, edge, read, norm.inside)
    return True


def _change_fused(path: Path, norm: BatchNorm, mean: NodeDef, variance: NodeDef) -> bool:
    """Only the updates may use the batch's statistics; the path does not make them any more."""
    node = path.graph.nodes[norm.node]
    used = any(path.consumers(Edge(norm.node, number)) for number in range(1, 6))
    if used or _dtype(node) != _dtype(mean):
        return False
    node.attr["is_training"].b = False
    node.input[3], node.input[4] = mean.name, variance.name
    return True


def _dtype(node: NodeDef) -> int:
    """Return the type of a node's statistics; that of fused batch norm in half precision is its own attribute."""
    return next(int(node.attr[name].type) for name in ("U", "T", "dtype") if name in node.attr)


def _places(path: Path, statistic: Edge, inside: frozenset[str]) -> list[Edge]:
    """Return the tensors in whose place the moving statistic goes, none where that is not clear.

    ``tf.nn.moments`` keeps the reduced dimensions until it has both moments, then squeezes them away.
    """
    users = [who for who in path.consumers(statistic) if who not in inside]
    squeezed = [who for who in users if path.graph.nodes[who].op in ("Squeeze", "Reshape")]
    if not squeezed:
        return [statistic]
    return [Edge(who, 0) for who in squeezed] if len(squeezed) == len(users) else []


def _rewire(path: Path, edge: Edge, read: NodeDef, inside: frozenset[str]) -> None:
    for who, index, output in path.graph.consumers(edge.node):
        if output == edge.output and who in path.nodes and who not in inside:
            path.graph.nodes[who].input[index] = read.name


def _read(graph: Graph, name: str, stored: Mapping[str, Sequence[int]], number: int) -> list[NodeDef]:
    """Return the nodes that read a moving statistic, with the variable itself where the graph no longer has it."""
    if name in graph.nodes:
        variable = graph.nodes[name]
        made = list[NodeDef]()
    else:
        variable = NodeDef(name=f"{SCOPE}/variable_{number}", op="VarHandleOp")
        variable.attr["shared_name"].s = name.encode()
        variable.attr["dtype"].type = tf.float32.as_datatype_enum
        variable.attr["shape"].shape.CopyFrom(tf.TensorShape(stored[name]).as_proto())
        made = [variable]
    is_resource = variable.op == "VarHandleOp"
    read = NodeDef(name=f"{SCOPE}/read_{number}", op="ReadVariableOp" if is_resource else "Identity")
    read.input.append(variable.name)
    read.attr["dtype" if is_resource else "T"].type = variable.attr["dtype"].type
    return [*made, read]
