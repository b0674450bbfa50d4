import numpy as np
import tensorflow as tf

from job.engine.weightless import weightless
from tests.engine.models import graph_of, v1


def build() -> None:
    """Multiply by a large matrix, by a small one, and look up large integers."""
    x = v1.placeholder(tf.float32, [None, 200], name="x")
    tf.matmul(x, tf.constant(np.ones((200, 100), np.float32), name="large"), name="y")
    tf.constant(np.ones((2, 2), np.float32), name="small")
    tf.constant(np.arange(20_000), name="integers")


def test_only_weights_lose_their_values() -> None:
    """Large constants of floats become placeholders of their type and shape; what may decide a shape stays."""
    light = weightless(graph_of(build))
    ops = {node.name: node.op for node in light.node}
    assert (ops["large"], ops["small"], ops["integers"]) == ("Placeholder", "Const", "Const")
    with tf.Graph().as_default() as graph:
        tf.import_graph_def(light, name="")
    assert graph.get_tensor_by_name("large:0").shape == [200, 100]
    assert graph.get_tensor_by_name("y:0").shape.as_list() == [None, 100]


def test_original_is_left_as_it_is() -> None:
    """The graph that is converted keeps its weights."""
    graph_def = graph_of(build)
    before = graph_def.SerializeToString(deterministic=True)
    weightless(graph_def)
    assert graph_def.SerializeToString(deterministic=True) == before
