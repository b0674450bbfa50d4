"""Write a lifted model as a TF2 SavedModel that keeps what TensorFlow's writer would change."""

from collections.abc import Callable, MutableMapping
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2
from tensorflow.python.saved_model import fingerprinting_utils

from job.engine.lift import LiftedModel, argument_names
from job.engine.ops.published import check_published
from job.engine.source_graph import SourceGraph
from job.engine.target.conforming import conform, conform_graphs
from job.engine.withheld import Withheld
from job.errors import Internal
from job.records import Signature, TargetTf

Definitions: TypeAlias = "MutableMapping[str, tf.compat.v1.saved_model.SignatureDef]"
"""What clients know of a SavedModel's signatures, by their keys."""


class Servable(Protocol):
    """A trackable model whose `functions` are to be its signatures, by their keys, and what these lack of it."""

    functions: dict[str, Any]
    withheld: Withheld


def export(
    model: LiftedModel, source: SourceGraph, directory: str, *, scratch: str, target_tf: TargetTf = "running"
) -> None:
    """Write the SavedModel, its signatures under their original keys and methods.

    TensorFlow makes input keys legal Python names and calls every method ``predict``;
    servers' clients use the original ones, so they are put back. In Python both work.

    Raises `Refused` for what TensorFlow `target_tf` does not know, before anything is written; for a denied op that
    is in the result all the same; and `Internal`
    where the result still names a file below `scratch`, the source's directory: it would pass its
    parity here, where that file exists, and fail everywhere else.
    """
    rehearse_export(model, target_tf)

    def restore(definitions: Definitions) -> None:
        for signature in source.signatures:
            _restore_names(definitions[signature.key], signature)

    save(model, directory, restore, scratch=scratch, target_tf=target_tf)


def save(
    model: Servable,
    directory: str,
    restore: Callable[[Definitions], None],
    *,
    scratch: str,
    target_tf: TargetTf,
) -> None:
    """Write a model's functions as signatures, on which `restore` has the last word.

    Raises as `export`, and as `Withheld.put_into`.
    """
    # The gradient functions of a TF1 graph's library cannot be saved; those of its ops need no saving.
    options = tf.saved_model.SaveOptions(experimental_custom_gradients=False)
    tf.saved_model.save(model, directory, signatures=dict(model.functions), options=options)
    path = Path(directory, "saved_model.pb")
    data = _finished(path.read_bytes(), model.withheld, restore, target_tf)
    if scratch.encode() in data:
        raise Internal("the SavedModel names a file of this machine", where=scratch, remedy="please report it")
    path.write_bytes(data)
    del data  # which may be large, and TensorFlow reads it again
    fingerprinting_utils.write_fingerprint(directory)  # the one that is there is of what TensorFlow wrote


def _finished(written: bytes, withheld: Withheld, restore: Callable[[Definitions], None], target_tf: TargetTf) -> bytes:
    """Return a SavedModel that TensorFlow wrote as it is to be published."""
    saved_model = saved_model_pb2.SavedModel.FromString(written)
    restore(saved_model.meta_graphs[0].signature_def)
    if target_tf != "running":
        conform(saved_model, target_tf)
    check_published(saved_model)
    withheld.put_into(saved_model)
    data: bytes = saved_model.SerializeToString(deterministic=True)
    return data


def rehearse_export(model: LiftedModel, target_tf: TargetTf) -> None:
    """Raise what `export` would raise for TensorFlow `target_tf`, and write nothing."""
    if target_tf != "running":
        conform_graphs((function.graph.as_graph_def() for function in model.functions.values()), target_tf)


def _restore_names(definition: "tf.compat.v1.saved_model.SignatureDef", signature: Signature) -> None:
    definition.method_name = signature.method
    infos = {name: type(info).FromString(info.SerializeToString()) for name, info in definition.inputs.items()}
    for name in infos:
        del definition.inputs[name]
    for spec, name in zip(signature.inputs, argument_names(signature), strict=True):
        definition.inputs[spec.key].CopyFrom(infos[name])
