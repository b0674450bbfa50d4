"""The faithful SavedModel, as variants are made of it: each signature's function, arguments and definition."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from job.engine.variants.base import NotApplicable


@dataclass(frozen=True, kw_only=True)
class Served:
    """One signature: its function, the legal names of its arguments in that one's order, and what clients know of it.

    `definition` is its ``SignatureDef``.
    """

    key: str
    function: Any
    arguments: Mapping[str, tf.TensorSpec]
    outputs: Mapping[str, tf.TensorSpec]
    definition: Any


@dataclass(frozen=True, kw_only=True)
class Faithful:
    """The SavedModel, loaded; `called` is the key of the signature that the model itself answers to.

    `called_with` are its arguments in the order in which Python's callers give them.
    """

    loaded: Any
    signatures: tuple[Served, ...]
    called: str
    called_with: tuple[str, ...]


def load_faithful(directory: str) -> Faithful:
    """Load what the conversion has written; raises `NotApplicable` where it does not tell what it answers to."""
    loaded = tf.saved_model.load(directory)
    meta_graph = saved_model_pb2.SavedModel.FromString(Path(directory, "saved_model.pb").read_bytes()).meta_graphs[0]
    # TensorFlow adds a signature of its own, which is for loading.
    signatures = [_served(loaded, key, meta_graph.signature_def[key]) for key in sorted(loaded.signatures)]
    return Faithful(
        loaded=loaded,
        signatures=tuple(signatures),
        called=_called(loaded),
        called_with=tuple(loaded.__call__.function_type.parameters),
    )


def _called(loaded: Any) -> str:
    """Return the key of the signature whose very function the model itself is: others may take the same arguments."""
    called: list[str] = [key for key, function in loaded.functions.items() if function is loaded.__call__]
    if len(called) != 1:
        raise NotApplicable("it does not tell which of its signatures it answers to when it is called itself")
    return called[0]


def _served(loaded: Any, key: str, definition: Any) -> Served:
    """TensorFlow keeps a signature's inputs and outputs in the order of their names."""
    function = loaded.signatures[key]
    _, arguments = function.structured_input_signature
    return Served(
        key=key,
        function=function,
        arguments={name: arguments[name] for name in sorted(arguments)},
        outputs={name: function.structured_outputs[name] for name in sorted(function.structured_outputs)},
        definition=definition,
    )
