import pytest
import tensorflow as tf
from tensorflow.core.framework import graph_pb2
from tensorflow.python.framework import op_def_registry

from job.engine.graph import Graph
from job.engine.policy import CONTRIB_HINTS, HOST_OPS, PYTHON_OPS, check_ops
from job.errors import BadInput, Refused
from tests.engine.models import graph_of, v1


def test_op_names_are_those_of_tensorflow() -> None:
    """Every op that is refused is one that TensorFlow registers: a misspelt name would refuse nothing."""
    unknown = sorted(op for op in HOST_OPS | PYTHON_OPS if op_def_registry.get(op) is None)
    assert unknown == []


def reading() -> None:
    name = v1.placeholder(tf.string, [], name="name")
    tf.identity(tf.io.read_file(name, name="read"), name="y")


def test_host_op_on_the_way_is_refused() -> None:
    """An op that reads a file is refused with its name, its node and what to do."""
    graph = Graph(graph_of(reading))
    with pytest.raises(Refused, match=r"ReadFile \(node read\)") as caught:
        check_ops(graph, graph.ancestors(["y"]))
    assert "inputs" in caught.value.remedy


def test_host_op_elsewhere_is_no_matter() -> None:
    """What no output needs is not looked at."""
    check_ops(Graph(graph_of(reading)), ["name"])


def test_host_op_behind_functions_is_refused() -> None:
    """A function that a function calls is looked into."""

    def build() -> None:
        @tf.function  # type: ignore[untyped-decorator]
        def inner(name: tf.Tensor) -> tf.Tensor:
            return tf.io.read_file(name)

        @tf.function  # type: ignore[untyped-decorator]
        def outer(name: tf.Tensor) -> tf.Tensor:
            return inner(name)

        tf.identity(outer(v1.placeholder(tf.string, [], name="name")), name="y")

    graph = Graph(graph_of(build))
    with pytest.raises(Refused, match="ReadFile"):
        check_ops(graph, graph.ancestors(["y"]))


def test_python_body_is_refused_where_it_is_needed() -> None:
    """`py_func` is refused on the way to an output and passed over in a training part."""

    def build() -> None:
        x = v1.placeholder(tf.float32, [None], name="x")
        tf.identity(x, name="y")
        tf.identity(v1.py_func(lambda value: value, [x], tf.float32), name="augmented")

    graph = Graph(graph_of(build))
    check_ops(graph, graph.ancestors(["y"]))
    with pytest.raises(Refused, match="Python code that is not in the file"):
        check_ops(graph, graph.ancestors(["augmented"]))


@pytest.mark.parametrize("prefix", sorted(CONTRIB_HINTS))
def test_unregistered_op_says_where_it_was_from(prefix: str) -> None:
    """An op that this TensorFlow lacks is bad input; its nodes are counted, and contrib's ops say their package."""
    graph_def = graph_pb2.GraphDef()
    for name in ("a", "b", "c"):
        graph_def.node.add(name=name, op=f"{prefix}Nowhere")
    with pytest.raises(BadInput, match=rf"{prefix}Nowhere \(node [abc] and 2 more, from {CONTRIB_HINTS[prefix]}\)"):
        check_ops(Graph(graph_def), ["a", "b", "c"])


def test_calls_of_library_functions_are_registered() -> None:
    """A node whose op is a function of the library is no unknown op."""
    graph_def = graph_pb2.GraphDef()
    graph_def.node.add(name="call", op="my_function")
    graph_def.library.function.add().signature.name = "my_function"
    check_ops(Graph(graph_def), ["call"])
