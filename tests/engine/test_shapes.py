import pytest
import tensorflow as tf

from job.engine.assembling import normalised
from job.engine.graph import Edge, Graph
from job.engine.shapes import dtype_of, import_tensors, plain_shape, shape_of, specs_of
from job.errors import BadInput
from job.records import TensorSpec
from tests.engine.models import graph_of, v1


def build() -> None:
    x = v1.placeholder(tf.float32, [None, 6], name="x")
    v1.placeholder(tf.int32, name="unknown")
    values, _ = tf.math.top_k(x, 2, name="top")
    tf.cast(tf.reshape(values, [-1], name="flat"), tf.float16, name="half")
    queue = tf.queue.FIFOQueue(8, [tf.float32, tf.int64], [[4], []], name="queue")
    queue.dequeue_many(2, name="batch")


GRAPH = normalised(graph_of(build))


@pytest.mark.parametrize(
    ("tensor", "dtype"),
    [
        (Edge("x", 0), tf.float32),
        (Edge("top", 0), tf.float32),
        (Edge("half", 0), tf.float16),
        (Edge("batch", 0), tf.float32),
        (Edge("batch", 1), tf.int64),
        (Edge("unknown", 0), tf.int32),
    ],
)
def test_dtype_is_told_from_attributes(tensor: Edge, dtype: tf.DType) -> None:
    """An op's own attributes tell the dtype of each output, also of a pipeline's end."""
    assert dtype_of(GRAPH, tensor) == dtype


def test_shape_is_the_recorded_one() -> None:
    """A recorded shape is taken for each output; unknown stays unknown."""
    assert plain_shape(shape_of(GRAPH, Edge("batch", 0))) == (2, 4)
    assert plain_shape(shape_of(GRAPH, Edge("batch", 1))) == (2,)
    assert plain_shape(shape_of(GRAPH, Edge("unknown", 0))) is None
    assert plain_shape(shape_of(GRAPH, Edge("queue", 0))) in {None, ()}


@pytest.mark.parametrize(("producer", "shape"), [(0, None), (15, None), (21, None), (22, ()), (27, ())])
def test_shape_without_dimensions_is_what_tensorflow_takes_it_for(producer: int, shape: object) -> None:
    """Old graphs write an unknown shape as they write a scalar's; TensorFlow's own import is the judge."""
    graph_def = v1.GraphDef()
    graph_def.versions.producer = producer
    node = graph_def.node.add(name="x", op="Placeholder")
    node.attr["dtype"].type = tf.float32.as_datatype_enum
    node.attr["shape"].shape.SetInParent()
    with tf.Graph().as_default():
        (imported,) = import_tensors(graph_def, {}, ["x:0"])
    assert plain_shape(imported.shape) == shape
    assert plain_shape(shape_of(Graph(graph_def), Edge("x", 0))) == shape


def test_specs_come_from_shape_inference() -> None:
    """Inputs keep their free dimensions, outputs get theirs from the inputs through the graph."""
    inputs, outputs = specs_of(GRAPH, {"x": "x"}, {"best": "top", "where": "top:1", "half": "half:0"}, {})
    assert inputs == (TensorSpec(key="x", tensor="x:0", dtype="float32", shape=(None, 6)),)
    assert [(spec.key, spec.tensor, spec.dtype, spec.shape) for spec in outputs] == [
        ("best", "top:0", "float32", (None, 2)),
        ("where", "top:1", "int32", (None, 2)),
        ("half", "half:0", "float16", (None,)),
    ]


def test_graph_is_cut_in_its_middle() -> None:
    """An input may be any tensor; its dtype and shape are the recorded ones, and what is behind it is gone."""
    inputs, outputs = specs_of(GRAPH, {"flat": "flat:0"}, {"half": "half:0"}, {})
    assert (inputs[0].dtype, inputs[0].shape) == ("float32", (None,))
    assert outputs[0].shape == (None,)


def test_output_may_be_an_input() -> None:
    """A signature that hands an input on gets the tensor that is fed."""
    with tf.Graph().as_default():
        fed = v1.placeholder(tf.float32, [3], name="mine")
        (found,) = import_tensors(v1.GraphDef(), {"x:0": fed}, ["x:0"])
    assert found is fed


def test_queue_tells_the_shapes_of_what_leaves_it() -> None:
    """A frozen graph records no shapes: the queue's own count, and how many leave it at once is unknown."""

    def queued() -> None:
        queue = tf.queue.FIFOQueue(8, [tf.float32, tf.int64], [[4], []])
        queue.dequeue_many(2, name="batch")
        queue.dequeue(name="one")

    graph = Graph(graph_of(queued))
    told = [plain_shape(shape_of(graph, Edge(node, output))) for node in ("batch", "one") for output in (0, 1)]
    assert told == [(None, 4), (None,), (4,), ()]


def test_recorded_shapes_that_contradict_the_graph_are_forgotten() -> None:
    """What an export wrote down of an input may be wrong; then the graph's own shapes count."""
    graph = Graph(graph_of(build))
    graph.recorded_shapes["x"] = [tf.TensorShape([]).as_proto()]
    (fed,), (values,) = specs_of(graph, {"x": "x:0"}, {"values": "top:0"}, {})
    assert (fed.shape, values.shape) == ((None, 6), (None, 2))


def test_graph_that_does_not_import_is_bad_input() -> None:
    """TensorFlow's reason is given in one line."""
    graph_def = v1.GraphDef()
    graph_def.node.add(name="y", op="MatMul", input=["gone"])
    with tf.Graph().as_default(), pytest.raises(BadInput, match="TensorFlow cannot import the graph: ") as caught:
        import_tensors(graph_def, {}, ["y:0"])
    assert "\n" not in str(caught.value)


def test_untellable_dtype_is_bad_input() -> None:
    """An op without any attribute that tells its dtype cannot be cut at."""
    graph = Graph(graph_of(lambda: v1.constant(1, name="c") + 1))
    graph.nodes["c"].op = "NoOp"
    del graph.nodes["c"].attr["dtype"]
    with pytest.raises(BadInput, match="dtype of c:0"):
        dtype_of(graph, Edge("c", 0))
