"""Write a lifted model as a TF2 SavedModel that keeps what TensorFlow's writer would change."""

from pathlib import Path

import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from job.engine.lift import LiftedModel, argument_names
from job.engine.source_graph import SourceGraph
from job.errors import Internal
from job.records import Signature


def export(model: LiftedModel, source: SourceGraph, directory: str, *, scratch: str) -> None:
    """Write the SavedModel, its signatures under their original keys and methods.

    TensorFlow makes input keys legal Python names and calls every method ``predict``;
    servers' clients use the original ones, so they are put back. In Python both work.

    Raises `Internal` where the result still names a file below `scratch`, the source's directory:
    it would pass its parity here, where that file exists, and fail everywhere else.
    """
    # The gradient functions of a TF1 graph's library cannot be saved; those of its ops need no saving.
    options = tf.saved_model.SaveOptions(experimental_custom_gradients=False)
    tf.saved_model.save(model, directory, signatures=dict(model.functions), options=options)
    path = Path(directory, "saved_model.pb")
    saved_model = saved_model_pb2.SavedModel.FromString(path.read_bytes())
    definitions = saved_model.meta_graphs[0].signature_def
    for signature in source.signatures:
        _restore_names(definitions[signature.key], signature)
    data = saved_model.SerializeToString(deterministic=True)
    path.write_bytes(data)
    if scratch.encode() in data:
        raise Internal("the SavedModel names a file of this machine", where=scratch, remedy="please report it")


def _restore_names(definition: "tf.compat.v1.saved_model.SignatureDef", signature: Signature) -> None:
    definition.method_name = signature.method
    infos = {name: type(info).FromString(info.SerializeToString()) for name, info in definition.inputs.items()}
    for name in infos:
        del definition.inputs[name]
    for spec, name in zip(signature.inputs, argument_names(signature), strict=True):
        definition.inputs[spec.key].CopyFrom(infos[name])
