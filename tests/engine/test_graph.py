from collections.abc import Sequence

import pytest
from tensorflow.core.framework import graph_pb2

from job.engine.graph import Edge, Graph, attribute, edge_of, reference_inputs
from job.errors import BadInput
from tests.engine.models import graph_of, ref, v1


def graph_def(*nodes: tuple[str, str, Sequence[str]]) -> graph_pb2.GraphDef:
    made = graph_pb2.GraphDef()
    for name, op, inputs in nodes:
        made.node.add(name=name, op=op, input=inputs)
    return made


DIAMOND = graph_def(
    ("x", "Placeholder", []),
    ("noise", "NoOp", []),
    ("left", "Split", ["x"]),
    ("right", "Neg", ["left:1", "^noise"]),
    ("sum", "Add", ["left", "right"]),
    ("shape", "Shape", ["right"]),
)


@pytest.mark.parametrize(
    ("text", "edge"),
    [
        ("x", Edge("x", 0)),
        ("x:0", Edge("x", 0)),
        ("a/b/c:12", Edge("a/b/c", 12)),
        ("^x", Edge("x", -1)),
        ("^a/b", Edge("a/b", -1)),
    ],
)
def test_edges_are_parsed(text: str, edge: Edge) -> None:
    """A tensor's name, with or without output, and a control input each give the node that they name."""
    assert edge_of(text) == edge


def test_edge_has_a_full_name() -> None:
    """An edge names its tensor with its output, also the first."""
    assert Edge("a/b", 0).tensor == "a/b:0"


def test_inputs_are_data_and_controls_are_not() -> None:
    """Data inputs keep their order and output; control inputs are apart."""
    graph = Graph(DIAMOND)
    assert graph.inputs("right") == [Edge("left", 1)]
    assert graph.controls("right") == ["noise"]
    assert graph.inputs("sum") == [Edge("left", 0), Edge("right", 0)]


def test_consumers_say_by_which_input_and_from_which_output() -> None:
    """Each data edge that leaves a node is listed; control edges are none."""
    graph = Graph(DIAMOND)
    assert sorted(graph.consumers("left")) == [("right", 0, 1), ("sum", 0, 0)]
    assert graph.consumers("noise") == []
    assert graph.consumers("sum") == []


def test_ancestors_follow_control_inputs_and_stop_where_told() -> None:
    """All that a node needs is found, also what must only have run before; nothing behind a stop."""
    graph = Graph(DIAMOND)
    assert graph.ancestors(["sum"]) == {"x", "noise", "left", "right", "sum"}
    assert graph.ancestors(["sum"], stop={"left"}) == {"noise", "left", "right", "sum"}


def test_descendants_start_at_one_output_and_do_not_pass_opaque_ops() -> None:
    """Only readers of the given output count, and an op that hides values ends the search."""
    graph = Graph(DIAMOND)
    assert graph.descendants([Edge("left", 1)]) == {"right", "sum", "shape"}
    assert graph.descendants([Edge("left", 0)]) == {"sum"}
    assert graph.descendants([Edge("x", 0)], opaque=("Shape",)) == {"left", "right", "sum"}


def test_source_is_found_behind_identities() -> None:
    """What only hands a value on is looked through, and a cycle of such nodes ends the search."""
    graph = Graph(graph_def(("v", "VariableV2", []), ("a", "Identity", ["v"]), ("b", "RefSwitch", ["a", "p"])))
    assert graph.source_of(Edge("b", 1)) == Edge("v", 0)
    round_about = Graph(graph_def(("a", "Identity", ["b"]), ("b", "Identity", ["a"])))
    assert round_about.source_of(Edge("a", 0)).node in {"a", "b"}


def test_two_nodes_of_one_name_are_bad_input() -> None:
    """A GraphDef in which a name means two nodes is refused, and the name is said."""
    with pytest.raises(BadInput, match="'b'"):
        Graph(graph_def(("a", "NoOp", []), ("b", "NoOp", []), ("b", "Const", [])))


def test_missing_node_is_bad_input() -> None:
    """An input that no node has is said to be missing."""
    with pytest.raises(BadInput, match="'gone'"):
        Graph(graph_def(("a", "Neg", ["gone"]))).ancestors(["a"])


def test_constants_are_read_behind_identities() -> None:
    """A constant's value is found through an Identity; anything else is no constant."""
    made = graph_of(lambda: [v1.identity(v1.constant([1, 2], name="c"), name="i"), v1.placeholder("float", name="p")])
    assert Graph(made).const(Edge("i", 0)).tolist() == [1, 2]
    with pytest.raises(KeyError):
        Graph(made).const(Edge("p", 0))


def test_names_are_strings_and_numbers_are_bad_input() -> None:
    """Tensors' names are read from a constant of strings; one of numbers, as damage leaves it, is told by its name."""
    made = graph_of(
        lambda: [v1.constant(["a", "b"], name="c"), v1.constant([1, 2], name="d"), v1.placeholder("string", name="p")]
    )
    assert Graph(made).names(Edge("c", 0)) == ["a", "b"]
    with pytest.raises(BadInput, match=r"d:0 gives int32 where names are wanted"):
        Graph(made).names(Edge("d", 0))
    with pytest.raises(BadInput, match="p:0 is no constant"):
        Graph(made).names(Edge("p", 0))


def test_stripped_attributes_have_their_default() -> None:
    """An attribute that the export left out has the op's default; one that the op lacks is none."""
    node = graph_def(("v", "VariableV2", [])).node[0]
    assert attribute(node, "shared_name").s == b""
    assert attribute(node, "no such") is None
    node.attr["shared_name"].s = b"mine"
    assert attribute(node, "shared_name").s == b"mine"


def test_reference_inputs_are_those_that_an_op_changes() -> None:
    """`Assign` takes a reference first and a value second; an op that nobody knows takes none."""
    made = graph_of(lambda: v1.assign(ref("v", 1.0), 2.0, name="write"))
    assert reference_inputs(Graph(made).nodes["write"]) == {0}
    assert reference_inputs(graph_def(("x", "NoSuchOp", [])).node[0]) == set()
