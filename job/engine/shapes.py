"""Dtypes and shapes of a graph's tensors, by TensorFlow's own shape inference."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

import numpy as np
import tensorflow as tf
from tensorflow.python.framework import op_def_registry

from job.engine.graph import Edge, Graph, NodeDef, attribute, edge_of
from job.engine.ops.policy import check_ops
from job.engine.pruning import cut_at, needed_by, prune
from job.engine.weightless import weightless
from job.errors import BadInput
from job.records import Shape, TensorSpec

Specs = tuple[TensorSpec, ...]

SCALAR_SHAPES_SINCE: Final = 22
"""Until then a `Placeholder` could not tell a scalar from an unknown shape (tensorflow/core/public/version.h)."""


def specs_of(
    graph: Graph, inputs: Mapping[str, str], outputs: Mapping[str, str], bound: Mapping[str, object]
) -> tuple[Specs, Specs]:
    """Return the specs of a signature's inputs and outputs.

    Imports what the outputs need, cut at the inputs. Raises as `check_ops`, and `BadInput`
    where TensorFlow cannot import the graph, with its reason. Recorded shapes with which it cannot are forgotten.
    """
    try:
        return _specs_of(graph, inputs, outputs, bound)
    except BadInput:
        if not graph.recorded_shapes:
            raise
        graph.recorded_shapes.clear()
        return _specs_of(graph, inputs, outputs, bound)


def _specs_of(
    graph: Graph, inputs: Mapping[str, str], outputs: Mapping[str, str], bound: Mapping[str, object]
) -> tuple[Specs, Specs]:
    cut = cut_at(inputs.values(), bound)
    check_ops(graph, needed_by(graph, cut, outputs.values()) - {edge.node for edge in cut})
    with tf.Graph().as_default():
        fed = {edge.tensor: _placeholder(graph, edge) for edge in sorted(cut)}
        found = import_tensors(
            weightless(prune(graph, cut, outputs.values())), fed, [edge_of(name).tensor for name in outputs.values()]
        )
        return (
            tuple(_spec(key, name, fed[edge_of(name).tensor]) for key, name in inputs.items()),
            tuple(_spec(key, name, tensor) for (key, name), tensor in zip(outputs.items(), found, strict=True)),
        )


def import_tensors(
    graph_def: tf.compat.v1.GraphDef, fed: Mapping[str, tf.Tensor], outputs: Iterable[str]
) -> list[tf.Tensor]:
    """Import into the current graph, with `fed` in place of tensors, and return `outputs`.

    An output may itself be fed. Raises `BadInput` with TensorFlow's reason.
    """
    outputs = list(outputs)
    used = {text.removesuffix(":0") for node in graph_def.node for text in node.input}
    input_map = {name: tensor for name, tensor in fed.items() if name.removesuffix(":0") in used}
    wanted = [name for name in outputs if name not in fed]
    try:
        found = tf.import_graph_def(graph_def, input_map=input_map, return_elements=wanted, name="")
    except (ValueError, KeyError, tf.errors.OpError) as error:
        raise BadInput(
            f"TensorFlow cannot import the graph: {str(error).splitlines()[0][:300]}",
            remedy="the graph is damaged, or needs ops of another release",
        ) from error
    by_name = dict(zip(wanted, found, strict=True))
    return [fed.get(name, by_name.get(name)) for name in outputs]


def _placeholder(graph: Graph, edge: Edge) -> tf.Tensor:
    dtype, shape = dtype_of(graph, edge), shape_of(graph, edge)
    return tf.compat.v1.placeholder(dtype, shape, name=f"fed/{edge.node}_{edge.output}".replace("^", ""))


def dtype_of(graph: Graph, edge: Edge) -> tf.DType:
    """Return the dtype of a tensor, from its node's op definition, or its consumers' where the op is not registered.

    Raises `BadInput` where neither tells.
    """
    node = graph.nodes[edge.node]
    definition = op_def_registry.get(node.op)
    if definition is None:
        return _dtype_taken(graph, edge)
    dtypes = [dtype for arg in definition.output_arg for dtype in _dtypes(node, arg)]
    if not 0 <= edge.output < len(dtypes):
        raise BadInput(f"the dtype of {edge.tensor} cannot be told", remedy="cut the graph elsewhere")
    return tf.as_dtype(dtypes[edge.output]).base_dtype


def _dtype_taken(graph: Graph, edge: Edge) -> tf.DType:
    """Return the dtype as which a tensor is consumed, where a graph begins behind an op that TensorFlow lacks."""
    for consumer, index, output in graph.consumers(edge.node):
        node = graph.nodes[consumer]
        definition = op_def_registry.get(node.op)
        if output == edge.output and definition is not None:
            dtypes = [dtype for arg in definition.input_arg for dtype in _dtypes(node, arg)]
            return tf.as_dtype(dtypes[index]).base_dtype
    raise BadInput(f"the dtype of {edge.tensor} cannot be told", remedy="cut the graph elsewhere")


def _dtypes(node: NodeDef, arg: Any) -> list[int]:
    """Return the dtype of each tensor that one argument stands for."""
    if arg.type_list_attr:
        return list(attribute(node, arg.type_list_attr).list.type)
    single = arg.type or attribute(node, arg.type_attr).type
    return [single] * (int(attribute(node, arg.number_attr).i) if arg.number_attr else 1)


def shape_of(graph: Graph, edge: Edge) -> tf.TensorShape:
    """Return the shape that the export recorded for a tensor, or an unknown one."""
    node = graph.nodes[edge.node]
    recorded = graph.recorded_shapes.get(edge.node)
    lists = [recorded, *(node.attr[name].list.shape for name in ("output_shapes", "shapes") if name in node.attr)]
    for shapes in lists:
        if shapes is not None and len(shapes) > edge.output:
            return tf.TensorShape(shapes[edge.output])
    if node.op.startswith("QueueDequeue"):
        return _queued_shape(graph, edge)
    shape = attribute(node, "shape") if node.op.startswith("Placeholder") else None
    if shape is None or (_means_unknown(graph, node) and not shape.shape.dim):
        return tf.TensorShape(None)
    return tf.TensorShape(shape.shape)


def _queued_shape(graph: Graph, edge: Edge) -> tf.TensorShape:
    """Return the shape of what leaves a queue, which the queue itself tells; how many leave it at once is not told."""
    node = graph.nodes[edge.node]
    told = attribute(graph.nodes[graph.source_of(graph.inputs(edge.node)[0]).node], "shapes")
    if told is None or edge.output >= len(told.list.shape):
        return tf.TensorShape(None)
    shape = tf.TensorShape(told.list.shape[edge.output])
    return shape if node.op in ("QueueDequeue", "QueueDequeueV2") else tf.TensorShape([None]).concatenate(shape)


def filled(graph: Graph, switches: Mapping[str, bool | float]) -> dict[str, np.ndarray[Any, Any]]:
    """Return the values of switches as arrays of their tensors' dtypes and shapes; scalars where no shape is told."""
    found = dict[str, np.ndarray[Any, Any]]()
    for name, value in switches.items():
        shape = shape_of(graph, edge_of(name))
        dtype = dtype_of(graph, edge_of(name)).as_numpy_dtype
        found[name] = np.full(shape.as_list() if shape.is_fully_defined() else [], value, dtype)
    return found


def _means_unknown(graph: Graph, node: NodeDef) -> bool:
    """Whether a shape without dimensions is one that was not told.

    A GraphDef without versions (0) is old to TensorFlow's own import, which the baseline goes
    through, and an unknown rank is the weaker claim: a scalar can still be fed.
    """
    return node.op == "Placeholder" and int(graph.graph_def.versions.producer) < SCALAR_SHAPES_SINCE


def _spec(key: str, name: str, tensor: tf.Tensor) -> TensorSpec:
    return TensorSpec(
        key=key, tensor=edge_of(name).tensor, dtype=tensor.dtype.base_dtype.name, shape=plain_shape(tensor.shape)
    )


def plain_shape(shape: tf.TensorShape) -> Shape:
    """Return a shape as plain numbers; `None` for unknown rank or dimension."""
    return None if shape.rank is None else tuple(shape.as_list())
