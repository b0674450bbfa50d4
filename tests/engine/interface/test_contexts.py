import tensorflow as tf

from job.engine.graph import Graph
from job.engine.interface.contexts import LOOP, Context, Contexts
from tests.engine.models import graph_of, v1


def nested() -> None:
    """A condition in a condition, and one beside a loop with a condition in it."""
    p, q = v1.placeholder(tf.bool, [], name="p"), v1.placeholder(tf.bool, [], name="q")
    x = v1.placeholder(tf.float32, [], name="x")

    def outer() -> tf.Tensor:
        inner = tf.cond(q, lambda: tf.negative(x, name="deep"), lambda: x)
        return tf.identity(inner, name="behind")

    tf.identity(tf.cond(p, outer, lambda: x), name="outside")
    looped = v1.while_loop(
        lambda value: value < 9.0, lambda value: tf.cond(q, lambda: tf.add(value, 1.0, name="step"), lambda: value), [x]
    )
    tf.identity(looped, name="after")


def sides(context: Context) -> dict[str, int]:
    return {around.what: around.side for around in context}


def by_end(graph: Graph, end: str) -> str:
    return next(name for name in graph.nodes if name.endswith(end))


def test_branches_and_loops_around_a_node() -> None:
    """A node is in every branch and loop that it needs, and what lies behind their ends is in none of them."""
    graph = Graph(graph_of(nested))
    contexts = Contexts(graph)
    assert contexts.of("outside") == contexts.of("after") == contexts.of("x") == Context()
    deep, behind = (sides(contexts.of(by_end(graph, end))) for end in ("deep", "behind"))
    assert list(deep.values()) == [1, 1]
    assert list(behind.values()) == [1]
    assert behind.items() <= deep.items()
    assert sorted(sides(contexts.of(by_end(graph, "step"))).values()) == [LOOP, 1]


def test_other_branch_is_told_apart() -> None:
    """The side where a predicate is false is another one."""

    def build() -> None:
        x = v1.placeholder(tf.float32, [], name="x")
        tf.cond(x > 0, lambda: tf.negative(x, name="yes"), lambda: tf.exp(x, name="no"))

    graph = Graph(graph_of(build))
    contexts = Contexts(graph)
    ((what, side),) = contexts.of(by_end(graph, "no"))
    assert (what, side) == ("Greater:0", 0)
    assert contexts.of(by_end(graph, "yes")) == {(what, 1)}
