"""Make the TF2 model: real variables, tracked tables, and one function for every signature."""

import inspect
import itertools
import keyword
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, TypeAlias

import numpy as np
import tensorflow as tf
from tensorflow.core.framework import graph_pb2
from tensorflow.core.function.polymorphism import function_type
from tensorflow.python.ops import handle_data_util, resource_variable_ops

from job.engine.folding import fold_conditions
from job.engine.graph import NodeDef
from job.engine.health.path import path_of
from job.engine.health.weights import check_constants
from job.engine.ops.deprecated import renew
from job.engine.reaching import reached_library
from job.engine.rewrites import to_resources
from job.engine.shapes import import_tensors
from job.engine.source_graph import SourceGraph
from job.engine.state.checkpoint import StoredVariable, read_value
from job.engine.state.table_resources import LiftedTable
from job.engine.weightless import weightless, weights_of
from job.engine.withheld import Withheld
from job.errors import Refused
from job.memory_cap import check_room
from job.records import Signature

Weights = Mapping[str, NodeDef]
"""The constants that are a frozen graph's weights, by name."""

Resource: TypeAlias = tf.Variable | LiftedTable
"""What a function reaches through a handle, and neither computes nor is given."""

FROZEN_COPIES: Final = 12
"""So often, at least, TensorFlow holds a constant while it traces and runs its function."""

WRITTEN_COPIES: Final = 5
"""So often, beside its graph, where a stand-in is traced and saved: 3 to 5 times were seen, of one signature's."""

AT_ONCE: Final = 2**20
"""How many numbers are judged at a time."""


class LiftedModel(tf.Module):  # type: ignore[misc]
    """A TF1 model as TF2 objects: `variables` can be trained and saved, tables fill themselves.

    `functions` maps signature keys to concrete functions; the default signature is also `__call__`. `weights` come into
    a function when all that is rewritten is done: every copy of a frozen graph is one of its weights. Without them, or
    with stand-ins for those that are `withheld`, the model can be looked at and written, and not run.
    """

    def __init__(
        self, source: SourceGraph, state: Mapping[str, tf.Variable], weights: Weights, *, is_to_run: bool
    ) -> None:
        super().__init__()
        self.withheld, self._is_to_run = Withheld("convert"), is_to_run
        light = replace(source, graph=source.graph.of(weightless(source.graph.graph_def)))
        self.state = dict(state)
        self.tables = {table.name: LiftedTable(source, table) for table in source.tables}
        for table in self.tables.values():
            table.fill()
        self.functions = {
            signature.key: self._function(light, signature, weights).get_concrete_function()
            for signature in source.signatures
        }
        # A function that is not concrete would be traced again when it is saved, and be there twice.
        self.__call__ = self.functions.get("serving_default", next(iter(self.functions.values())))

    def _function(
        self, source: SourceGraph, signature: Signature, weights: Weights
    ) -> tf.types.experimental.GenericFunction:
        graph_def, handles = _with_resources(source, signature)
        held = [self.state[name] if name in self.state else self.tables[name] for name in handles]
        lacking = [weights[node.name] for node in graph_def.node if node.name in weights]
        weights = {node.name: node if self._is_to_run else self.withheld.stand_in(node) for node in lacking}
        body = _imported(source, signature, graph_def, dict(zip(handles.values(), held, strict=True)), weights)
        return _callable(signature, body, held)


def lift(source: SourceGraph, *, allow_nonfinite: bool, is_to_run: bool = False) -> LiftedModel:
    """Return the TF2 model of a source graph; one that `is_to_run` here, not only to be written, is a larger one.

    Raises `BadInput` where a value cannot be read, a table cannot be filled or the graph cannot be
    imported, `Refused` for weights that are NaN or infinite, and `Poison` where the variables do not fit.
    """
    weights = weights_of(source.graph.graph_def)
    _check_room(source, weights, FROZEN_COPIES if is_to_run else WRITTEN_COPIES)
    state = {
        stored.name: _variable(stored, value) for stored, value in _values(source, allow_nonfinite=allow_nonfinite)
    }
    return LiftedModel(source, state, weights, is_to_run=is_to_run)


def _check_room(source: SourceGraph, weights: Weights, copies: int) -> None:
    needed_bytes = source.summary().variables_bytes + copies * sum(node.ByteSize() for node in weights.values())
    frozen = f" and {len(weights)} frozen weights, with TensorFlow's copies of these," if weights else ""
    check_room("convert", needed_bytes, f"its {len(source.variables)} variables{frozen} take")


def rehearse(source: SourceGraph, *, allow_nonfinite: bool) -> LiftedModel:
    """Do what `lift` does and raise what it raises, without holding the weights: each is read and let go.

    The model that it returns has neither values in its variables nor large constants: it can be
    looked at, and not run.
    """
    state = {
        stored.name: _valueless(stored, value) for stored, value in _values(source, allow_nonfinite=allow_nonfinite)
    }
    return LiftedModel(source, state, {}, is_to_run=False)


def _values(source: SourceGraph, *, allow_nonfinite: bool) -> Iterator[tuple[StoredVariable, tf.Tensor]]:
    """Yield every variable with its value; raises `Refused` after the last one if some are NaN or infinite.

    A value is a tensor, whose memory becomes the variable's own: an array would be copied. Frozen weights are judged
    first, in their graph.
    """
    if not allow_nonfinite:
        check_constants(path_of(source.graph, source.signatures, source.switches))
    bad = list[str]()
    for stored in source.variables:
        value = read_value(source.checkpoint, stored)
        if not allow_nonfinite and value.dtype.is_floating and not _is_finite(np.asarray(value)):
            bad.append(stored.name)
        yield stored, value
    if bad:
        raise Refused(
            f"{len(bad)} of {len(source.variables)} variables hold NaN or infinity: {', '.join(bad[:10])}",
            remedy="the training diverged; --allow-nonfinite converts it all the same",
        )


def argument_names(signature: Signature) -> list[str]:
    """Return legal and unique Python names for a signature's inputs, as TensorFlow makes them; `class_` for `class`.

    So for `self`, which a `tf.function` takes for an object.
    """
    names = list[str]()
    for spec in signature.inputs:
        plain = "".join(one if one.isascii() else "_" for one in spec.key)  # TensorFlow saves no other letters
        name = function_type.sanitize_arg_name(plain or "_")
        name = f"{name}_" if keyword.iskeyword(name) or name == "self" else name
        numbered = (f"{name}_{number}" for number in itertools.count(1))
        names.append(next(one for one in itertools.chain([name], numbered) if one not in names))
    return names


def _with_resources(source: SourceGraph, signature: Signature) -> tuple[graph_pb2.GraphDef, dict[str, str]]:
    """Return what a signature computes, with resources for its state, and the tensors of their handles by name."""
    switches = {name: value.item() for name, value in source.switches_of(signature).items()}
    decided = fold_conditions(source.pruned(signature), switches, (spec.tensor for spec in signature.outputs))
    graph_def, handles = to_resources(renew(decided))
    graph_def.library.CopyFrom(reached_library(graph_def.node, graph_def.library))  # a folded branch needs no more
    return graph_def, handles


def _callable(
    signature: Signature, body: Callable[..., list[tf.Tensor]], held: Sequence[Resource]
) -> tf.types.experimental.GenericFunction:
    """Return a function of the inputs alone, by their names, which hands the body the handles of what it holds."""
    specs = [
        tf.TensorSpec(spec.shape, spec.dtype, name=name)
        for spec, name in zip(signature.inputs, argument_names(signature), strict=True)
    ]
    resources = [tf.TensorSpec([], tf.resource)] * len(held)

    def call(*arguments: tf.Tensor) -> dict[str, tf.Tensor]:
        # The inner wrap_function keeps v1 loops as they are: without it they save and do not load.
        wrapped = tf.compat.v1.wrap_function(body, [*specs, *resources])
        for one in held:
            if isinstance(one, tf.Variable):
                resource_variable_ops.variable_accessed(one)
        outputs = wrapped(*arguments, *(_handle(one) for one in held))
        return {spec.key: tensor for spec, tensor in zip(signature.outputs, outputs, strict=True)}

    parameters = [inspect.Parameter(spec.name, inspect.Parameter.POSITIONAL_OR_KEYWORD) for spec in specs]
    call.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return tf.function(call, input_signature=specs, autograph=False)


def _imported(
    source: SourceGraph,
    signature: Signature,
    graph_def: graph_pb2.GraphDef,
    held: Mapping[str, Resource],
    weights: Weights,
) -> Callable[..., list[tf.Tensor]]:
    """Return a function of inputs and handles that imports the graph, with its weights, and returns the outputs."""
    rest = graph_pb2.GraphDef(versions=graph_def.versions, library=graph_def.library)
    rest.node.extend(_awaiting_no(weights, node) for node in graph_def.node if node.name not in weights)

    def body(*arguments: tf.Tensor) -> list[tf.Tensor]:
        names = [spec.tensor for spec in signature.inputs] + list(held)
        for one, handle in zip(held.values(), arguments[len(signature.inputs) :], strict=True):
            if isinstance(one, tf.Variable):
                handle_data_util.copy_handle_data(one.handle, handle)
        fed = {f"{node.name}:0": _alone(node, graph_def) for node in weights.values()}
        fed |= {name: tf.constant(value) for name, value in source.switches_of(signature).items()}
        fed |= dict(zip(names, arguments, strict=True))
        return import_tensors(rest, fed, [spec.tensor for spec in signature.outputs])

    return body


def _awaiting_no(weights: Weights, node: NodeDef) -> NodeDef:
    """Return a node that does not wait for weights, which are not imported with it; they are always there."""
    if not any(text.startswith("^") and text[1:] in weights for text in node.input):
        return node
    free = NodeDef()
    free.CopyFrom(node)
    free.input[:] = [text for text in node.input if not (text.startswith("^") and text[1:] in weights)]
    return free


def _alone(node: NodeDef, graph_def: graph_pb2.GraphDef) -> tf.Tensor:
    """Import one constant of a graph: all at once would be another copy of them."""
    (constant,) = import_tensors(graph_pb2.GraphDef(node=[node], versions=graph_def.versions), {}, [f"{node.name}:0"])
    return constant


def _variable(stored: StoredVariable, value: tf.Tensor) -> tf.Variable:
    return tf.Variable(value, dtype=stored.dtype, name=stored.name, trainable=stored.trainable)


def _valueless(stored: StoredVariable, value: tf.Tensor) -> tf.Variable:
    return resource_variable_ops.UninitializedVariable(
        dtype=stored.dtype, shape=value.shape, name=stored.name, trainable=stored.trainable
    )


def _handle(one: Resource) -> tf.Tensor:
    return one.handle if isinstance(one, tf.Variable) else one.resource_handle


def _is_finite(value: np.ndarray[Any, Any]) -> bool:
    """Look at some numbers at a time: what NumPy makes of them takes memory, too."""
    parts = np.array_split(value.reshape(-1), value.size // AT_ONCE + 1)
    return all(bool(np.isfinite(part.astype(np.float32, copy=False)).all()) for part in parts)
