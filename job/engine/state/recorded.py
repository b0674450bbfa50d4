"""What is recorded of where values are: in a MetaGraph's collections, and in an object-based checkpoint."""

from collections.abc import Iterable
from pathlib import Path
from typing import Final

import tensorflow as tf
from google.protobuf import message
from tensorflow.core.framework.variable_pb2 import VariableDef
from tensorflow.core.protobuf.trackable_object_graph_pb2 import TrackableObjectGraph

from job.engine.graph import edge_of
from job.engine.state.checkpoint import read_tensor, stored_shapes
from job.errors import BadInput

COLLECTIONS: Final = ("variables", "trainable_variables", "local_variables", "model_variables")
OBJECTS: Final = "_CHECKPOINTABLE_OBJECT_GRAPH"


def recorded_slices(known: Iterable[VariableDef]) -> dict[str, tuple[str, str]]:
    """Return, by variable, the stored tensor and the slice of it, as ``RestoreV2`` takes them."""
    return {
        edge_of(variable.variable_name).node: (variable.save_slice_info_def.full_name, _slice(variable))
        for variable in known
        if variable.HasField("save_slice_info_def")
    }


def recorded_objects(checkpoint: str) -> dict[str, tuple[str, str]]:
    """Return, by variable, the stored tensor that an object-based checkpoint has for it; empty for another one."""
    if not checkpoint or OBJECTS not in stored_shapes(checkpoint):
        return {}
    return {name: (key, "") for key, name in object_names(checkpoint) if name}


def object_names(checkpoint: str) -> list[tuple[str, str]]:
    """Return what an object-based checkpoint records: each stored tensor, and what its variable was called.

    Raises `BadInput` where that is damaged.
    """
    try:
        graph = TrackableObjectGraph.FromString(read_tensor(checkpoint, OBJECTS, tf.string).item())
    except message.DecodeError as error:
        what = f"the checkpoint's record of its objects, {OBJECTS}, is damaged: {error}"
        raise BadInput(what, where=Path(checkpoint).name, remedy="copy the checkpoint again") from error
    return [(value.checkpoint_key, value.full_name) for node in graph.nodes for value in node.attributes]


def _slice(variable: VariableDef) -> str:
    info = variable.save_slice_info_def
    spans = ":".join(f"{start},{size}" for start, size in zip(info.var_offset, info.var_shape, strict=True))
    return f"{' '.join(map(str, info.full_shape))} {spans}"
