"""Where each variable's value is, found through the saver's own restore nodes, and how it is read."""

import re
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import tensorflow as tf
from google.protobuf import message
from numpy.typing import NDArray
from tensorflow.core.framework.variable_pb2 import VariableDef
from tensorflow.core.protobuf import meta_graph_pb2

from job.engine.graph import Edge, Graph, attribute, edge_of
from job.errors import BadInput, Incomplete
from job.wording import shown

VARIABLE_OPS: Final = ("VariableV2", "Variable", "VarHandleOp")
ASSIGN_OPS: Final = ("Assign", "AssignVariableOp")
RESTORE_OPS: Final = ("RestoreV2", "RestoreSlice", "Restore")
HANDED_ON: Final = ("Identity", "Reshape", "Cast", "Enter", "RefEnter", "Switch", "RefSwitch")
"""Between a restored tensor and its variable a saver puts only these."""
TRAINABLE: Final = "trainable_variables"
AVERAGES: Final = re.compile(r"moving_(mean|var\w*|avg|average)|ExponentialMovingAverage|global_step")
"""Variables that no gradient changes, by the names that TF1's layers and optimizers gave them."""


@dataclass(frozen=True, kw_only=True)
class StoredVariable:
    """A variable of the graph and the tensor (or slice of one) that holds its value.

    `slice_spec` is as in ``RestoreV2``'s ``shape_and_slices``: ``17 6 0,6:0,6``, empty for all.
    `dtype` and `shape` are the variable's own. `trainable` says whether training changed it by
    gradients: moving averages and counters are not. `value` is set where the model itself makes it.
    `is_average` says that `key` is that of the variable's moving average, and not what the saver restores into it.
    """

    name: str
    key: str
    slice_spec: str
    dtype: tf.DType
    shape: tf.TensorShape
    trainable: bool
    value: NDArray[Any] | None = field(default=None, compare=False)
    is_average: bool = False


@dataclass(frozen=True, kw_only=True)
class Elsewhere:
    """Where a variable's value is that no saver's node restores.

    `recorded` names stored tensors and slices. `assigned` are values that the model itself assigns
    after its checkpoint was restored, `initial` those that it gives to what no checkpoint holds.
    """

    recorded: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    assigned: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    initial: Mapping[str, NDArray[Any]] = field(default_factory=dict)


NOWHERE: Final = Elsewhere()


def variables_of(
    graph: Graph,
    needed: set[str],
    checkpoint: str,
    trained: frozenset[str] = frozenset(),
    elsewhere: Elsewhere = NOWHERE,
) -> tuple[StoredVariable, ...]:
    """Pair every needed variable with its stored tensor.

    The pairing is the saver's: the constants of ``RestoreV2`` that are assigned to the
    variable, so that partitioned and renamed variables come for free. Where no saver restores
    a variable, its own name is looked up, then what is recorded `elsewhere`. `trained` names the trainable
    ones; where it is empty, names tell. Raises `BadInput` naming what is stored nowhere.
    """
    wanted = [node for node in graph.of_type(*VARIABLE_OPS) if node.name in needed]
    unmade = [node for node in wanted if node.name not in elsewhere.assigned and node.name not in elsewhere.initial]
    if unmade and not checkpoint:
        names = ", ".join(node.name for node in unmade[:5])
        raise Incomplete(
            f"the graph has {len(unmade)} variables and no values for them ({names} …)",
            remedy="put the checkpoint beside it, or freeze the graph",
        )
    if not wanted:
        return ()
    restored = dict(restored_tensors(graph))
    stored = stored_shapes(checkpoint) if checkpoint else {}
    pairs = [_pair(node, restored, stored, trained, elsewhere) for node in wanted]
    reshaped = {variable for assign, variable in restore_nodes(graph) if _reshapes(graph, assign)}
    _check_stored(pairs, stored, reshaped, checkpoint)
    return tuple(pairs)


def _check_stored(
    pairs: list[StoredVariable], stored: Mapping[str, list[int]], reshaped: Collection[str], checkpoint: str
) -> None:
    """TensorFlow restores a tensor of any shape into a resource variable without a word."""
    read = [pair for pair in pairs if pair.value is None]
    missing = sorted(pair.key for pair in read if pair.key not in stored)
    here = [pair for pair in read if pair.key in stored]
    others = [one for one in here if not _has_shape(one, stored[one.key], may_differ=one.name in reshaped)]
    shapes = [
        f"{one.name} has shape {one.shape.as_list()} in the graph and {stored[one.key]} in the checkpoint"
        for one in others
    ]
    said = [f"{len(missing)} of {len(pairs)} variables are not in the checkpoint: {shown(missing)}"] if missing else []
    if shapes:
        said.append(f"{len(shapes)} of {len(pairs)} have another shape: {shown(shapes)}")
    if said:
        remedy = "the checkpoint belongs to another graph" + (", or is incomplete" if missing else "")
        raise (Incomplete if missing else BadInput)("; ".join(said), where=Path(checkpoint).name, remedy=remedy)


def restore_nodes(graph: Graph) -> Iterator[tuple[str, str]]:
    """Yield (assign node, variable node) for every assignment of a restored tensor."""
    for node in graph.of_type(*ASSIGN_OPS):
        target, value = graph.inputs(node.name)[:2]
        source = graph.source_of(value, through=HANDED_ON)
        if graph.nodes[source.node].op in RESTORE_OPS:
            yield node.name, graph.source_of(target).node


def read_values(checkpoint: str, variables: tuple[StoredVariable, ...]) -> list[NDArray[Any]]:
    """Read the values, each checked against the checksum that the checkpoint stores.

    ``RestoreV2`` is used and not a checkpoint reader: on damaged indexes it fails cleanly
    where the reader aborts the process. Raises `BadInput` naming the tensor.
    """
    unmade = [variable for variable in variables if variable.value is None]
    read = dict(_read_together(checkpoint, unmade)) if unmade else {}
    return [read[one.name] if one.name in read else _viewed(read_value(checkpoint, one)) for one in variables]


def _read_together(checkpoint: str, variables: list[StoredVariable]) -> Iterator[tuple[str, NDArray[Any]]]:
    """Yield all values, read in one go; nothing where that fails: one by one it shows which it is."""
    keys, slices = [one.key for one in variables], [one.slice_spec for one in variables]
    try:
        values = tf.raw_ops.RestoreV2(
            prefix=checkpoint, tensor_names=keys, shape_and_slices=slices, dtypes=[one.dtype for one in variables]
        )
    except (tf.errors.OpError, ValueError):
        return
    for one, value in zip(variables, values, strict=True):
        yield one.name, _viewed(_shaped(one, value))


def read_value(checkpoint: str, variable: StoredVariable) -> tf.Tensor:
    """Read one variable's value; raises as `read_values`."""
    if variable.value is not None:
        return tf.convert_to_tensor(variable.value, variable.dtype)
    return _shaped(variable, _restored(checkpoint, variable.key, variable.dtype, variable.slice_spec))


def _shaped(variable: StoredVariable, value: tf.Tensor) -> tf.Tensor:
    return tf.reshape(value, variable.shape) if variable.shape.is_fully_defined() else value


def read_tensor(checkpoint: str, key: str, dtype: tf.DType) -> NDArray[Any]:
    """Read one stored tensor; raises as `read_values`."""
    return _viewed(_restored(checkpoint, key, dtype, ""))


def _restored(checkpoint: str, key: str, dtype: tf.DType, part: str) -> tf.Tensor:
    try:
        return tf.raw_ops.RestoreV2(prefix=checkpoint, tensor_names=[key], shape_and_slices=[part], dtypes=[dtype])[0]
    except (tf.errors.OpError, ValueError) as error:
        raise _unreadable(checkpoint, key, dtype, error) from error


def _viewed(value: tf.Tensor) -> NDArray[Any]:
    """Return a tensor's own memory as an array; a scalar string, which has none, comes as bytes."""
    return np.asarray(value.numpy(), object) if value.dtype == tf.string else np.asarray(value)


def _unreadable(checkpoint: str, key: str, dtype: tf.DType, error: Exception) -> BadInput:
    stored = stored_dtypes(checkpoint).get(key, dtype)
    if stored != dtype:
        what = f"{key} is of type {dtype.name} in the graph and {stored.name} in the checkpoint"
        return BadInput(what, where=Path(checkpoint).name, remedy="the checkpoint belongs to another graph")
    what = f"the value of {key} cannot be read: {_first_line(error)}"
    remedy = "the checkpoint is damaged; copy it again from where it was made"
    return BadInput(what, where=Path(checkpoint).name, remedy=remedy)


def trained_variables(meta_graph: meta_graph_pb2.MetaGraphDef) -> frozenset[str]:
    """Return the names in a MetaGraph's collection of trainable variables, none where it has no such collection."""
    return frozenset(edge_of(one.variable_name).node for one in definitions(meta_graph, TRAINABLE))


def definitions(meta_graph: meta_graph_pb2.MetaGraphDef, *collections: str) -> list[VariableDef]:
    """Return what a MetaGraph's collections say of its variables; raises `BadInput` where that cannot be read."""
    held = [name for name in collections if name in meta_graph.collection_def]
    packed = [one for name in held for one in meta_graph.collection_def[name].bytes_list.value]
    try:
        return [VariableDef.FromString(one) for one in packed]
    except message.DecodeError as error:
        what = f"the collection {' or '.join(held)} of the MetaGraph cannot be read"
        raise BadInput(what, remedy="the file is damaged; copy it again from where it was made") from error


def _is_trainable(name: str, dtype: tf.DType, trained: frozenset[str]) -> bool:
    is_told = name in trained if trained else not AVERAGES.search(name)
    return bool(dtype.is_floating and is_told)


def _pair(
    node: Any,
    restored: dict[str, tuple[str, str]],
    stored: dict[str, list[int]],
    trained: frozenset[str],
    elsewhere: Elsewhere,
) -> StoredVariable:
    shared = attribute(node, "shared_name").s.decode()
    named = next((name for name in (node.name, shared) if name in stored), node.name)
    recorded = elsewhere.recorded.get(node.name, elsewhere.recorded.get(shared, (named, "")))
    key, slice_spec = restored.get(node.name, (named, "") if named in stored else recorded)
    dtype = tf.as_dtype(node.attr["dtype"].type)
    initial = None if key in stored else elsewhere.initial.get(node.name)
    return StoredVariable(
        name=node.name,
        key=key,
        slice_spec=slice_spec,
        dtype=dtype,
        shape=tf.TensorShape(attribute(node, "shape").shape),
        trainable=_is_trainable(node.name, dtype, trained),
        value=elsewhere.assigned.get(node.name, initial),
    )


def restored_tensors(graph: Graph) -> Iterator[tuple[str, tuple[str, str]]]:
    """Yield (variable, (stored tensor, slice)) for every variable that the saver restores."""
    for assign, variable in restore_nodes(graph):
        source = graph.source_of(graph.inputs(assign)[1], through=HANDED_ON)
        yield variable, _restore_constants(graph, source)


def _restore_constants(graph: Graph, source: Edge) -> tuple[str, str]:
    inputs = graph.inputs(source.node)
    names = graph.names(inputs[1])
    slices = graph.names(inputs[2]) if len(inputs) > 2 else [""] * len(names)
    return names[source.output], slices[source.output]


def stored_shapes(checkpoint: str) -> dict[str, list[int]]:
    """Return every stored tensor's shape; raises `BadInput` where the index cannot be read."""
    with _told(checkpoint):
        shapes: dict[str, list[int]] = tf.compat.v1.train.NewCheckpointReader(checkpoint).get_variable_to_shape_map()
    if not shapes:
        raise BadInput(
            "the checkpoint holds no tensors",
            where=Path(checkpoint).name,
            remedy="copy it again from where it was made",
        )
    return shapes


def stored_dtypes(checkpoint: str) -> dict[str, tf.DType]:
    """Return every stored tensor's type; raises `BadInput` where the index cannot be read."""
    with _told(checkpoint):
        dtypes: dict[str, tf.DType] = tf.compat.v1.train.NewCheckpointReader(checkpoint).get_variable_to_dtype_map()
    return dtypes


@contextmanager
def _told(checkpoint: str) -> Iterator[None]:
    """Translate what the reader of a checkpoint's index raises."""
    try:
        yield
    except (tf.errors.OpError, ValueError, RuntimeError) as error:
        raise BadInput(
            f"the checkpoint cannot be opened: {_first_line(error)}",
            where=Path(checkpoint).name,
            remedy="copy its .index and all .data files again",
        ) from error


def _reshapes(graph: Graph, assign: str) -> bool:
    """Whether the saver was made with ``reshape=True``."""
    through = tuple(op for op in HANDED_ON if op != "Reshape")
    return bool(graph.nodes[graph.source_of(graph.inputs(assign)[1], through=through).node].op == "Reshape")


def _has_shape(variable: StoredVariable, stored: list[int], *, may_differ: bool) -> bool:
    if variable.slice_spec or not variable.shape.is_fully_defined():
        return True
    as_many = variable.shape.num_elements() == int(np.prod(stored))
    return variable.shape.as_list() == list(stored) or (may_differ and as_many)


def _first_line(error: Exception) -> str:
    """Return the reason without TensorFlow's ``{{function_node …}}`` and ``[Op:…]`` around it."""
    text = re.sub(r"\{\{.*?\}\} |\[Op:\w*\].*", "", str(getattr(error, "message", "") or error))
    return text.splitlines()[0][:400] if text else type(error).__name__
