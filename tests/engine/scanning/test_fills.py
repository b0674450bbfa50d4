import time

import pytest
from google.protobuf import text_format
from tensorflow.core.framework import graph_pb2

from job.engine.scanning.fills import check_fills
from job.engine.scanning.graphs import check_graph
from job.errors import BadInput, Refused
from tests.hostile_corpus import text
from tests.hostile_corpus.graphs import filled

GIB = 2**30


def nodes_of(described: str) -> list[object]:
    """Return the nodes of a graph written as text."""
    return list(text_format.Parse(described, graph_pb2.GraphDef()).node)


def random(*dims: int, dtype: str = "DT_FLOAT") -> str:
    """Return a random tensor whose shape comes by way of another node."""
    values = " ".join(f"int_val: {dim}" for dim in dims)
    shape = text.constant("dims", "DT_INT32", values, [len(dims)]) + text.node("same", "Identity", "dims:0")
    return shape + text.node("made", "RandomUniform", "same", dtype=f"type: {dtype}", T="type: DT_INT32")


@pytest.mark.parametrize(
    "described", [filled(GIB + 1), filled(2**15, 2**16), random(2**16, 2**15), random(2**29 + 1, dtype="DT_DOUBLE")]
)
def test_tensor_that_takes_all_memory_is_refused(described: str) -> None:
    """What an op would make whole is known before it runs, where its shape is a constant."""
    with pytest.raises(Refused, match=r"the output of node (fill|made) \(op \w+\) takes \d{10} bytes: its shape is \["):
        check_fills(nodes_of(described), "graph.pb")


@pytest.mark.parametrize("described", [filled(2**40, 2**40), filled(2**62, 4), filled(3, -1)])
def test_shape_that_cannot_be_is_bad_input(described: str) -> None:
    """Sizes that overflow or are negative are told by the node that has them."""
    with pytest.raises(BadInput, match="the output of node fill"):
        check_fills(nodes_of(described), "graph.pb")


def test_many_shapes_behind_one_chain_take_no_time() -> None:
    """Each would follow the chain to its end: the product of their numbers, where time should be their sum."""
    chain = "".join(text.node(f"n{at + 1}", "Identity", f"n{at}") for at in range(5000))
    made = "".join(text.node(f"made{at}", "RandomUniform", "n5000", dtype=text.FLOAT) for at in range(5000))
    nodes = nodes_of(chain + made)
    start = time.process_time()
    check_fills(nodes)
    assert time.process_time() - start < 3


def test_what_models_make_passes() -> None:
    """Up to 4 GiB, of nothing, and of a shape that only a run will tell."""
    check_fills(nodes_of(filled(2**30)))
    check_fills(nodes_of(filled(0, 2**60)))
    check_fills(nodes_of(text.INPUT + text.node("made", "RandomUniform", "x", dtype=text.FLOAT)))
    ring = (
        text.node("a", "Identity", "b")
        + text.node("b", "Identity", "a")
        + text.node("c", "RandomUniform", "a", dtype=text.FLOAT)
    )
    check_fills(nodes_of(ring))


def test_first_values_of_what_is_restored_may_be_large() -> None:
    """In the graph they are judged by what the answers need, and in functions all at once."""
    check_graph(text_format.Parse(filled(2**40), graph_pb2.GraphDef()), "")
    body = text.function("f", filled(2**40).replace("dims", "d"), "fill:output:0")
    with pytest.raises(Refused, match="node fill"):
        check_graph(text_format.Parse(text.library(body), graph_pb2.GraphDef()), "")
