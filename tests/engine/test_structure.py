from collections.abc import Callable

import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from job.engine.graph import GraphDef
from job.engine.structure import blaming
from job.errors import BadInput
from tests.engine.models import graph_of, v1
from tests.jobs import GOLDENS


def whole() -> GraphDef:
    """Return ``y = x + weight``."""

    def build() -> None:
        tf.add(v1.placeholder(tf.float32, [2], name="x"), tf.constant([1.0, 2.0], name="weight"), name="y")

    return graph_of(build)


def _node(graph_def: GraphDef, name: str) -> tf.compat.v1.NodeDef:
    return next(node for node in graph_def.node if node.name == name)


def _cut_bytes(graph_def: GraphDef) -> None:
    _node(graph_def, "weight").attr["value"].tensor.tensor_content = b"12345"


def _no_type(graph_def: GraphDef) -> None:
    _node(graph_def, "x").attr["dtype"].type = 0


FAULTS: dict[str, Callable[[GraphDef], object]] = {
    "takes nowhere:0, which there is not": lambda graph: _node(graph, "y").input.__setitem__(0, "nowhere"),
    "takes x:7, which there is not": lambda graph: _node(graph, "y").input.__setitem__(0, "x:7"),
    "has 1 inputs, and its op AddV2 takes 2": lambda graph: _node(graph, "y").input.pop(),
    "attribute T is missing": lambda graph: _node(graph, "y").attr.pop("T"),
    "attribute dtype is no type": _no_type,
    "attribute _odd has no value": lambda graph: _node(graph, "y").attr["_odd"].SetInParent(),
    "attribute T is no type": lambda graph: _node(graph, "y").attr["T"].shape.SetInParent(),
    "attribute value holds other bytes than it says": _cut_bytes,
}


@pytest.mark.parametrize("said", FAULTS)
def test_malformed_graph_answers_for_what_went_wrong(said: str) -> None:
    """What TensorFlow would refuse in a graph is named instead of the exception that it led to."""
    graph_def = whole()
    FAULTS[said](graph_def)
    with pytest.raises(BadInput, match=said), blaming(graph_def):
        raise IndexError


def test_error_with_a_sound_graph_is_a_bug() -> None:
    """An exception that the graph cannot answer for stays what it is."""
    with pytest.raises(IndexError), blaming(whole()):
        raise IndexError


def test_malformed_part_is_no_matter_where_nothing_goes_wrong() -> None:
    """A graph is not searched for faults without a reason: its unneeded part may be of another release."""
    graph_def = whole()
    _no_type(graph_def)
    with blaming(graph_def):
        assert graph_def.node


def test_functions_that_cannot_be_loaded_are_blamed() -> None:
    """Nobody looks into a function before it is loaded: what it takes and there is not is the file's fault."""
    library = (GOLDENS / "functions_saved_model" / "saved_model" / "saved_model.pb").read_bytes()
    graph_def = saved_model_pb2.SavedModel.FromString(library).meta_graphs[0].graph_def
    with pytest.raises(KeyError), blaming(graph_def):
        raise KeyError
    body = next(function for function in graph_def.library.function if any(node.input for node in function.node_def))
    next(node for node in body.node_def if node.input).input[0] = "nobody:output:0"
    with pytest.raises(BadInput, match="its functions cannot be loaded"), blaming(graph_def):
        raise KeyError
