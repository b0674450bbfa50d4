"""A Keras model as the graph that TensorFlow 1 would have run: learning phase 0, on the CPU, without a session."""

import warnings
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Final

import numpy as np
import tensorflow as tf
import tf_keras
from numpy.typing import NDArray
from tensorflow.core.framework.variable_pb2 import VariableDef
from tensorflow.core.protobuf import meta_graph_pb2
from tf_keras.src import backend
from tf_keras.src.layers import serialization

from job.engine.formats.base import predict_signature
from job.engine.keras import weights
from job.engine.keras.hdf5 import StoredModel
from job.engine.keras.layers import OBJECTS
from job.engine.state.checkpoint import TRAINABLE
from job.errors import BadInput, Refused
from job.wording import size

Array = NDArray[Any]
Json = dict[str, Any]

BUILD_ERRORS: Final = (
    *(ValueError, TypeError, KeyError, IndexError, AttributeError, NotImplementedError, RecursionError, AssertionError),
)
"""What Keras raises for a configuration that it cannot build."""

MOST_STATE_BYTES: Final = 2**30
"""What stateful layers may remember: nothing in the file bears out that size, and zeros of it are written."""


class KerasGraph:
    """A model's graph, its variables' values, and which of its tensors go in and come out.

    `pairs` are the model's weights with their values.

    Raises `BadInput` where the configuration cannot be built or the weights are not its own, `Refused` for states
    of an absurd size.
    """

    def __init__(self, config: Json, stored: StoredModel, where: str) -> None:
        self.graph = tf.Graph()
        with _as_tensorflow_1(self.graph):
            self.model = _built(config, where)
            self.outputs = self._results()
            self.pairs = weights.paired(self.model, stored)
            self._states = list(_states(self.model))
        _check_states(self._states, where)

    @property
    def keeps_state(self) -> bool:
        """Whether a call begins where the last one ended (``stateful=True``)."""
        return bool(self._states)

    def values(self) -> dict[str, Array]:
        """Return every variable's value by the name of its node; what a stateful layer remembers is zero at first."""
        held = {weight.op.name: _cast(array, weight) for weight, array in self.pairs}
        states = {state.op.name: np.zeros(state.shape, state.dtype.as_numpy_dtype) for state in self._states}
        return held | states

    def meta_graph(self, producer: str) -> meta_graph_pb2.MetaGraphDef:
        """Return the graph with ``serving_default``, its arguments named after the model's layers."""
        meta_graph = meta_graph_pb2.MetaGraphDef(graph_def=self.graph.as_graph_def())
        meta_graph.meta_info_def.tensorflow_version = producer
        inputs = dict(zip(numbered(self.model.input_names), self.model.inputs, strict=True))
        outputs = dict(zip(numbered(self.model.output_names), self.outputs, strict=True))
        meta_graph.signature_def["serving_default"].CopyFrom(predict_signature(inputs, outputs))
        trainable = [VariableDef(variable_name=f"{one.op.name}:0") for one in self.model.trainable_weights]
        meta_graph.collection_def[TRAINABLE].bytes_list.value.extend(one.SerializeToString() for one in trainable)
        return meta_graph

    def _results(self) -> list[tf.Tensor]:
        """Return the outputs; those of a stateful model are there once the states have moved on."""
        updates = self.model.state_updates
        if not updates:
            return list(self.model.outputs)
        with tf.control_dependencies(updates):
            return [tf.identity(output, name=f"{output.op.name}/stepped") for output in self.model.outputs]


@contextmanager
def _as_tensorflow_1(graph: tf.Graph) -> Iterator[None]:
    """Build layers into a graph, which Keras warns of; on the CPU, since it looks for a GPU to choose ops by."""
    with ExitStack() as stack:
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")
        stack.enter_context(graph.as_default())
        stack.enter_context(tf.device("/CPU:0"))
        stack.enter_context(tf_keras.utils.custom_object_scope(OBJECTS))
        yield


def _built(config: Json, where: str) -> Any:
    try:
        with backend.deprecated_internal_learning_phase_scope(0):
            model = serialization.deserialize(config, use_legacy_format=True)
    except BUILD_ERRORS as error:
        line = next(iter(str(error).splitlines()), type(error).__name__)[:240]
        raise BadInput(
            f"Keras cannot build the model that the file describes: {line}",
            where=where,
            remedy="load it where it was made and export a SavedModel from there",
        ) from error
    if not getattr(model, "inputs", None):
        raise BadInput(
            "the model does not say the shape of its input",
            where=where,
            remedy="give its first layer an input_shape, load the weights, and save it again",
        )
    return model


def _states(model: Any) -> Iterator[Any]:
    """Yield the variables in which stateful layers remember."""
    for layer in model._flatten_layers():  # noqa: SLF001 - `submodules` stumbles over TensorFlow 2's own loops
        if getattr(layer, "stateful", False) and hasattr(layer, "states"):
            yield from (state for state in tf.nest.flatten(layer.states) if isinstance(state, tf.Variable))


def _check_states(states: Iterable[Any], where: str) -> None:
    claimed = sum(state.shape.num_elements() * state.dtype.size for state in states)
    if claimed > MOST_STATE_BYTES:
        raise Refused(
            f"the states of its layers would take {size(claimed)}, by what the configuration says alone",
            where=where,
            remedy=f"save the model with a smaller batch; {size(MOST_STATE_BYTES)} are taken",
        )


def _cast(array: Array, weight: Any) -> Array:
    return array.astype(weight.dtype.base_dtype.as_numpy_dtype, copy=False)


def numbered(names: list[str]) -> Iterator[str]:
    """Number the names that come more than once: those of a layer that is called twice."""
    counts = dict.fromkeys(names, 0)
    for name in names:
        yield f"{name}_{counts[name]}" if counts[name] else name
        counts[name] += 1
