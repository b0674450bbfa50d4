"""Dtypes and shapes of a graph's tensors, by TensorFlow's own shape inference."""

from collections.abc import Iterable, Mapping
from typing import Final

import tensorflow as tf

from job.engine.graph import Edge, Graph, NodeDef, attribute, edge_of
from job.engine.policy import check_ops
from job.engine.pruning import cut_at, needed_by, prune
from job.errors import BadInput
from job.records import Shape, TensorSpec

Specs = tuple[TensorSpec, ...]

DTYPE_LISTS: Final = ("component_types", "output_types", "dtypes", "Tdense")
"""Attributes that give the dtypes of an op with several outputs."""

SCALAR_SHAPES_SINCE: Final = 22
"""Until then a `Placeholder` could not tell a scalar from an unknown shape (tensorflow/core/public/version.h)."""


def specs_of(
    graph: Graph, inputs: Mapping[str, str], outputs: Mapping[str, str], bound: Mapping[str, object]
) -> tuple[Specs, Specs]:
    """Return the specs of a signature's inputs and outputs.

    Imports what the outputs need, cut at the inputs. Raises as `check_ops`, and `BadInput`
    where TensorFlow cannot import the graph, with its reason.
    """
    cut = cut_at(inputs.values(), bound)
    check_ops(graph, needed_by(graph, cut, outputs.values()) - {edge.node for edge in cut})
    with tf.Graph().as_default():
        fed = {edge.tensor: _placeholder(graph, edge) for edge in sorted(cut)}
        found = import_tensors(
            prune(graph, cut, outputs.values()), fed, [edge_of(name).tensor for name in outputs.values()]
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
    """Return the dtype of a tensor, from its node's op definition."""
    node = graph.nodes[edge.node]
    for name in DTYPE_LISTS:
        if name in node.attr and node.attr[name].list.type:
            return tf.as_dtype(node.attr[name].list.type[edge.output])
    single = next(
        (attribute(node, name) for name in ("dtype", "T", "DstT", "out_type") if attribute(node, name) is not None),
        None,
    )
    if single is None:
        raise BadInput(f"the dtype of {edge.tensor} cannot be told", remedy="cut the graph elsewhere")
    return tf.as_dtype(single.type).base_dtype


def shape_of(graph: Graph, edge: Edge) -> tf.TensorShape:
    """Return the shape that the export recorded for a tensor, or an unknown one."""
    node = graph.nodes[edge.node]
    recorded = graph.recorded_shapes.get(edge.node)
    lists = [recorded, *(node.attr[name].list.shape for name in ("output_shapes", "shapes") if name in node.attr)]
    for shapes in lists:
        if shapes is not None and len(shapes) > edge.output:
            return tf.TensorShape(shapes[edge.output])
    shape = attribute(node, "shape") if node.op.startswith("Placeholder") else None
    if shape is None or (_means_unknown(graph, node) and not shape.shape.dim):
        return tf.TensorShape(None)
    return tf.TensorShape(shape.shape)


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
