"""Make the TF2 model: real variables, tracked tables, and one function for every signature."""

import inspect
import itertools
import keyword
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.core.framework import graph_pb2
from tensorflow.core.function.polymorphism import function_type
from tensorflow.python.ops import handle_data_util, resource_variable_ops

from job.engine.checkpoint import StoredVariable, read_values
from job.engine.folding import fold_conditions
from job.engine.graph import edge_of
from job.engine.rewrites import to_resources
from job.engine.shapes import dtype_of, import_tensors
from job.engine.source_graph import SourceGraph
from job.engine.table_resources import LiftedTable
from job.errors import Refused
from job.records import Signature


class LiftedModel(tf.Module):  # type: ignore[misc]
    """A TF1 model as TF2 objects: `variables` can be trained and saved, tables fill themselves.

    `functions` maps signature keys to concrete functions; the default signature is also `__call__`.
    """

    def __init__(self, source: SourceGraph, values: Mapping[str, np.ndarray[Any, Any]]) -> None:
        super().__init__()
        self.state = {stored.name: _variable(stored, values[stored.name]) for stored in source.variables}
        self.tables = {table.name: LiftedTable(source, table) for table in source.tables}
        functions = {signature.key: self._function(source, signature) for signature in source.signatures}
        self.functions = {key: function.get_concrete_function() for key, function in functions.items()}
        self.__call__ = functions.get("serving_default", next(iter(functions.values())))

    def _function(self, source: SourceGraph, signature: Signature) -> tf.types.experimental.GenericFunction:
        outputs = (spec.tensor for spec in signature.outputs)
        graph_def, handles = to_resources(fold_conditions(source.pruned(signature), source.switches, outputs))
        held = [self.state[name] if name in self.state else self.tables[name] for name in handles]
        body = _imported(source, signature, graph_def, dict(zip(handles.values(), held, strict=True)))
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


def lift(source: SourceGraph, *, allow_nonfinite: bool) -> LiftedModel:
    """Return the TF2 model of a source graph.

    Raises `BadInput` where a value cannot be read, `Refused` for weights that are NaN or infinite.
    """
    values = dict(
        zip((stored.name for stored in source.variables), read_values(source.checkpoint, source.variables), strict=True)
    )
    if not allow_nonfinite:
        _check_finite(values)
    return LiftedModel(source, values)


def argument_names(signature: Signature) -> list[str]:
    """Return legal and unique Python names for a signature's inputs, as TensorFlow makes them; `class_` for `class`."""
    names = list[str]()
    for spec in signature.inputs:
        name = function_type.sanitize_arg_name(spec.key)
        name = f"{name}_" if keyword.iskeyword(name) else name
        numbered = (f"{name}_{number}" for number in itertools.count(1))
        names.append(next(one for one in itertools.chain([name], numbered) if one not in names))
    return names


def _imported(
    source: SourceGraph,
    signature: Signature,
    graph_def: graph_pb2.GraphDef,
    held: Mapping[str, tf.Variable | LiftedTable],
) -> Callable[..., list[tf.Tensor]]:
    """Return a function of inputs and handles that imports the graph and returns the outputs."""

    def body(*arguments: tf.Tensor) -> list[tf.Tensor]:
        names = [spec.tensor for spec in signature.inputs] + list(held)
        for one, handle in zip(held.values(), arguments[len(signature.inputs) :], strict=True):
            if isinstance(one, tf.Variable):
                handle_data_util.copy_handle_data(one.handle, handle)
        switches = {
            name: tf.constant(value, dtype_of(source.graph, edge_of(name))) for name, value in source.switches.items()
        }
        return import_tensors(
            graph_def, switches | dict(zip(names, arguments, strict=True)), [spec.tensor for spec in signature.outputs]
        )

    return body


def _variable(stored: StoredVariable, value: np.ndarray[Any, Any]) -> tf.Variable:
    return tf.Variable(value, dtype=stored.dtype, name=stored.name, trainable=stored.trainable)


def _handle(one: Any) -> tf.Tensor:
    return one.handle if isinstance(one, tf.Variable) else one.resource_handle


def _check_finite(values: Mapping[str, np.ndarray[Any, Any]]) -> None:
    bad = [
        name for name, value in values.items() if _is_float(value) and not np.isfinite(value.astype(np.float32)).all()
    ]
    if bad:
        raise Refused(
            f"{len(bad)} of {len(values)} variables hold NaN or infinity: {', '.join(bad[:10])}",
            remedy="the training diverged; --allow-nonfinite converts it all the same",
        )


def _is_float(value: np.ndarray[Any, Any]) -> bool:
    return tf.as_dtype(value.dtype).is_floating if value.dtype.kind in "fV" else False
