import tensorflow as tf

from job.engine.graph import Graph
from job.engine.ways import way_from_output
from tests.engine.models import graph_of, v1


def test_way_is_the_shortest_from_an_output() -> None:
    """It begins at an output and ends at the node, control inputs count, and what is not needed is not gone through."""

    def build() -> None:
        x = v1.placeholder(tf.float32, [], name="x")
        far = tf.identity(tf.identity(x, name="a"), name="b")
        with tf.control_dependencies([x]):
            waits = tf.constant(1.0, name="waits")
        tf.add(far, waits, name="y")
        tf.identity(x, name="unneeded")

    graph = Graph(graph_of(build))
    assert way_from_output(graph, graph.ancestors(["y"]), "x") == ["y", "waits", "x"]
    assert way_from_output(graph, graph.ancestors(["y"]), "y") == ["y"]


def test_node_in_a_ring_is_its_own_way() -> None:
    """Where every node feeds another one there is no end to begin at."""
    graph_def = tf.compat.v1.GraphDef()
    graph_def.node.add(name="a", op="Merge", input=["b"])
    graph_def.node.add(name="b", op="NextIteration", input=["a"])
    assert way_from_output(Graph(graph_def), ["a", "b"], "a") == ["a"]
