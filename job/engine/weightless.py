"""A graph without the weights that it holds as constants, for whoever asks for shapes and types alone."""

from typing import Final

import tensorflow as tf
from tensorflow.core.framework import graph_pb2

from job.engine.graph import NodeDef

WEIGHT_BYTES: Final = 1 << 16
"""Constants of floats from this size on are weights: no shape or decision depends on their values."""


def weightless(graph_def: graph_pb2.GraphDef) -> graph_pb2.GraphDef:
    """Return a copy with placeholders of the same type and shape for large constants of floats."""
    light = graph_pb2.GraphDef(versions=graph_def.versions, library=graph_def.library)
    light.node.extend(hollow(node) if is_weight(node) else node for node in graph_def.node)
    return light


def weights_of(graph_def: graph_pb2.GraphDef) -> dict[str, NodeDef]:
    """Return the nodes, by name, in whose place `weightless` puts placeholders."""
    return {node.name: node for node in graph_def.node if is_weight(node)}


def is_weight(node: NodeDef) -> bool:
    """Tell whether a node holds weights; what waits for another one is part of a branch or a loop, and is left."""
    if node.op != "Const" or node.input or not tf.as_dtype(node.attr["dtype"].type).is_floating:
        return False
    return bool(node.attr["value"].tensor.ByteSize() >= WEIGHT_BYTES)


def hollow(node: NodeDef) -> NodeDef:
    """Return the placeholder for a constant."""
    placeholder = NodeDef(name=node.name, op="Placeholder", device=node.device)
    placeholder.attr["dtype"].type = node.attr["dtype"].type
    placeholder.attr["shape"].shape.CopyFrom(node.attr["value"].tensor.tensor_shape)
    return placeholder
