import pytest
from tensorflow.core.framework import node_def_pb2

from job.engine.scanning.names import check_names
from job.errors import BadInput


@pytest.mark.parametrize("name", ["x", "a/b_1.c", "while/Merge>out", "0", ".hidden", "a\\b-c"])
def test_names_that_tensorflow_writes_pass(name: str) -> None:
    """Scopes, numbers and what converters put into names are no damage."""
    check_names(node_def_pb2.NodeDef(name=name, input=["x", "x:1", "^y", "call:output:0"]), "the graph", "f.pb")


@pytest.mark.parametrize("name", ["", " ", "\u2028", "^x", "x:0", "_x", "x y", "x\n"])
def test_names_that_tensorflow_refuses_are_damage(name: str) -> None:
    """Python's importer would end with an exception of its own, which nobody has translated."""
    with pytest.raises(BadInput, match="is no name for a node of the graph"):
        check_names(node_def_pb2.NodeDef(name=name), "the graph", "f.pb")


@pytest.mark.parametrize("edge", ["", "x:9223372036854775807", f"x:{'9' * 5000}", "x:y:4294967296"])
def test_edges_to_nowhere_are_damage(edge: str) -> None:
    """TensorFlow's shape inference crashes on an output's number that no int32 holds."""
    with pytest.raises(BadInput, match=r"takes .*, which there is not"):
        check_names(node_def_pb2.NodeDef(name="n", input=[edge]), "the function f", "f.pb")
