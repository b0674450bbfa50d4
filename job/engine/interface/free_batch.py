"""A batch dimension that the export fixed: freed where the user asks for it, and said where not.

Exports for servers often take batches of 64 or 128 only. What holds the size are the inputs' shapes
and the targets of reshapes; whether a model then gives every example the answer that it gave in the
fixed batch is for the verification to prove.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

import tensorflow as tf
from tensorflow.core.framework import graph_pb2
from tensorflow.python.framework import tensor_util

from job.engine.graph import Graph, edge_of
from job.engine.pruning import cut_at, needed_by, prune
from job.engine.shapes import filled, import_tensors, plain_shape
from job.errors import BadInput
from job.records import Finding, Shape, Signature, TensorSpec
from job.requests import SourceRequest

FREE_BATCH: Final = "free_batch"
"""How a request says that freeing was tried and not proven."""

UNPROVEN: Final = "its answers at other sizes could not be proven"

TARGET: Final = "tf1lift_free_batch"
"""What the new targets' names end with."""

Targets = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True, kw_only=True)
class Freed:
    """A signature as it was exported, and the new target of every reshape that held its batch size."""

    exported: Signature
    targets: Targets


def free_batches(
    graph: Graph, signatures: tuple[Signature, ...], bound: Mapping[str, bool | float], request: SourceRequest
) -> tuple[tuple[Signature, ...], dict[str, Freed], tuple[Finding, ...]]:
    """Return the signatures with free batches, what was changed for that by key, and what is to be said.

    Nothing is freed without the user's wish, nor what was freed once and could not be proven.
    """
    wanted, failed = request.options.free_batch, FREE_BATCH in request.unproven
    found, freed, findings = list[Signature](), dict[str, Freed](), list[Finding]()
    for signature in signatures:
        found.append(signature)
        size = batch_size(signature)
        if not size:
            continue
        if not wanted or failed:
            findings.append(_not_freed(signature, size, UNPROVEN) if failed else _fixed(signature, size))
            continue
        try:
            targets = _targets(graph, signature, bound)
            found[-1] = _free(graph, signature, bound, targets)
        except BadInput as error:
            findings.append(_not_freed(signature, size, error.what))
        else:
            freed[signature.key] = Freed(exported=signature, targets=targets)
            findings.append(_said(signature, size, targets))
    return tuple(found), freed, tuple(findings)


def batch_size(signature: Signature) -> int:
    """Return the number with which the shapes of all inputs and outputs begin; 0 where there is none.

    Vectors are no batches, and strings may be parsed in ways that know the size.
    """
    shapes = [spec.shape for spec in (*signature.inputs, *signature.outputs)]
    sizes = {shape[0] if shape else None for shape in shapes}
    plain = all(spec.dtype != "string" and len(spec.shape or ()) > 1 for spec in signature.inputs)
    size = sizes.pop() if len(sizes) == 1 else None
    return (size or 0) if plain and signature.inputs else 0


def with_targets(graph_def: graph_pb2.GraphDef, targets: Targets) -> graph_pb2.GraphDef:
    """Give reshapes new targets, in place."""
    for node in [node for node in graph_def.node if node.name in targets]:
        target = graph_def.node.add(name=f"{node.name}/{TARGET}", op="Const")
        target.attr["dtype"].type = tf.int32.as_datatype_enum
        target.attr["value"].tensor.CopyFrom(tensor_util.make_tensor_proto(targets[node.name], tf.int32))
        node.input[1] = target.name
        node.attr["Tshape"].type = tf.int32.as_datatype_enum
    return graph_def


def _targets(graph: Graph, signature: Signature, bound: Mapping[str, bool | float]) -> Targets:
    """Return targets that leave the batch open, for reshapes of data to constant shapes that begin with it."""
    size, cut = batch_size(signature), cut_at((spec.tensor for spec in signature.inputs), bound)
    outputs = [spec.tensor for spec in signature.outputs]
    data = graph.descendants(edge_of(spec.tensor) for spec in signature.inputs)
    reshapes = [
        node.name
        for node in graph.of_type("Reshape")
        if node.name in needed_by(graph, cut, outputs) & data and _is_constant(graph, node.name)
    ]
    shapes = _inferred(graph, signature, bound, prune(graph, cut, outputs), [f"{name}:0" for name in reshapes])
    return {
        name: (-1, *(int(rest) for rest in shape[1:]))  # type: ignore[arg-type]  # all of them are known
        for name, shape in zip(reshapes, shapes, strict=True)
        if shape and None not in shape and shape[0] and shape[0] % size == 0
    }


def _free(graph: Graph, signature: Signature, bound: Mapping[str, bool | float], targets: Targets) -> Signature:
    """Return the signature with a free batch; raises `BadInput` where the graph's shapes contradict it."""
    free = replace(signature, inputs=tuple(replace(spec, shape=_open(spec)) for spec in signature.inputs))
    outputs = [spec.tensor for spec in signature.outputs]
    pruned = prune(graph, cut_at((spec.tensor for spec in signature.inputs), bound), outputs)
    shapes = _inferred(graph, free, bound, with_targets(pruned, targets), outputs)
    for spec, shape in zip(signature.outputs, shapes, strict=True):
        if shape is not None and shape[:1] != (None,):
            raise BadInput(f"{spec.tensor} keeps its shape {list(shape)}", remedy="export the model again")
    specs = (replace(spec, shape=_open(spec)) for spec in signature.outputs)
    return replace(free, outputs=tuple(specs))


def _inferred(
    graph: Graph,
    signature: Signature,
    bound: Mapping[str, bool | float],
    graph_def: graph_pb2.GraphDef,
    tensors: list[str],
) -> list[Shape]:
    """Return tensors' shapes when the signature's inputs have those that it says."""
    with tf.Graph().as_default():
        fed = {name: tf.constant(value) for name, value in filled(graph, bound).items()}
        fed |= {
            spec.tensor: tf.compat.v1.placeholder(spec.dtype, spec.shape, name=f"fed/{number}")
            for number, spec in enumerate(signature.inputs)
        }
        return [plain_shape(tensor.shape) for tensor in import_tensors(graph_def, fed, tensors)]


def _is_constant(graph: Graph, reshape: str) -> bool:
    return bool(graph.nodes[graph.source_of(graph.inputs(reshape)[1]).node].op == "Const")


def _open(spec: TensorSpec) -> Shape:
    return (None, *(spec.shape or ())[1:])


def _said(signature: Signature, size: int, targets: Targets) -> Finding:
    return Finding(
        code="batch_freed",
        cause=f"signature {signature.key} was exported for batches of {size} and takes any now; "
        f"{len(targets)} reshapes were changed, and examples are compared one by one at other sizes",
        remedy="leave out --free-batch to keep the size",
    )


def _fixed(signature: Signature, size: int) -> Finding:
    return Finding(
        code="batch_fixed",
        cause=f"signature {signature.key} takes batches of {size} only",
        remedy="--free-batch frees it where that can be proven",
    )


def _not_freed(signature: Signature, size: int, reason: str) -> Finding:
    return Finding(
        code="batch_not_freed",
        cause=f"signature {signature.key} still takes batches of {size} only: {reason}",
        remedy="fill the last batch up to that size, or export the model again",
        severity="warning",
    )
