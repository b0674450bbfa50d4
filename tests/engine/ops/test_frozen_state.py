from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from job.engine.graph import Graph
from job.records import Format
from job.requests import SourceRequest
from tests.engine.models import converted, graph_of, outputs, ref, v1


def frozen(folder: Path, build: object) -> SourceRequest:
    """Write a graph as a freezer of variables alone leaves it: what writes to them stays."""
    graph_def = graph_of(build)  # type: ignore[arg-type]
    graph = Graph(graph_def)
    for node in graph.of_type("VariableV2"):
        initial = next(one for one in graph.of_type("Assign") if one.input[0] == node.name)
        value = graph.nodes[graph.inputs(initial.name)[1].node].attr["value"].tensor
        node.op = "Const"
        node.attr["value"].tensor.CopyFrom(value)
        for name in ("shape", "container", "shared_name"):
            del node.attr[name]
        graph_def.node.remove(initial)
    (folder / "frozen.pb").write_bytes(graph_def.SerializeToString())
    return SourceRequest(format=Format.GRAPH_DEF, directory=str(folder), entry="frozen.pb")


def counting() -> None:
    """Build a model that adds what it is given to a row of its state."""
    x = v1.placeholder(tf.float32, [2], name="x")
    total = ref("total", np.array([[1, 2], [3, 4]], np.float32))
    tf.identity(v1.scatter_add(total, [1], x[None]), name="y")


def test_constant_that_is_written_becomes_state(tmp_path: Path) -> None:
    """The frozen value is where the state begins, each call changes it, and the finding says so."""
    model = converted(frozen(tmp_path, counting), tmp_path)
    first, second = (model.answer({"x:0": np.ones(2, np.float32)})["y:0"] for _ in range(2))
    np.testing.assert_array_equal(first, [[1, 2], [4, 5]])
    np.testing.assert_array_equal(second, [[1, 2], [5, 6]])
    (said,) = (one for one in model.source.findings if one.code == "state_on_constant")
    assert "total" in said.cause
    assert "every call changes them" in said.cause


def test_write_behind_a_write_follows_it(tmp_path: Path) -> None:
    """What takes an assignment's reference writes after it: a graph that assigns first answers alike every time."""

    def build() -> None:
        x = v1.placeholder(tf.float32, [2], name="x")
        state = ref("state", np.zeros([2, 2], np.float32))
        begun = v1.assign(state, np.ones([2, 2], np.float32))
        tf.identity(v1.scatter_nd_add(begun, [[1]], x[None]), name="y")

    model = converted(frozen(tmp_path, build), tmp_path)
    for _ in range(2):
        np.testing.assert_array_equal(model.answer({"x:0": np.full(2, 5, np.float32)})["y:0"], [[1, 1], [6, 6]])


def test_constant_stays_where_nothing_needed_writes(tmp_path: Path) -> None:
    """A batch norm's left-over updates off the way to the output leave its statistics constants."""

    def build() -> None:
        x = v1.placeholder(tf.float32, [None, 2], name="x")
        mean = ref("moving_mean", np.array([1, 2], np.float32))
        tf.identity(x - mean, name="y")
        v1.assign_sub(mean, tf.reduce_mean(x, 0), name="moving_update")

    model = converted(frozen(tmp_path, build), tmp_path)
    assert model.source.variables == ()
    assert model.source.graph.nodes["moving_mean"].op == "Const"
    assert [one.code for one in model.source.findings if one.code == "state_on_constant"] == []


def test_resource_is_thawed_too(tmp_path: Path) -> None:
    """A freezer makes a resource variable's reads identities: they read again what is written."""
    graph_def = graph_of(lambda: tf.identity(v1.placeholder(tf.float32, [2], name="x"), name="step"))
    state = graph_def.node.add(name="state", op="Const")
    state.attr["dtype"].type = tf.float32.as_datatype_enum
    state.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(np.array([1, 2], np.float32)))
    write = graph_def.node.add(name="write", op="AssignAddVariableOp", input=["state", "step"])
    write.attr["dtype"].type = tf.float32.as_datatype_enum
    read = graph_def.node.add(name="y", op="Identity", input=["state", "^write"])
    read.attr["T"].type = tf.float32.as_datatype_enum
    (tmp_path / "frozen.pb").write_bytes(graph_def.SerializeToString())
    request = SourceRequest(
        format=Format.GRAPH_DEF, directory=str(tmp_path), entry="frozen.pb", options=outputs(y="y:0")
    )
    model = converted(request, tmp_path)
    for wanted in ([2, 3], [3, 4]):
        np.testing.assert_array_equal(model.answer({"x:0": np.ones(2, np.float32)})["y:0"], wanted)


@pytest.mark.parametrize("shape", [(3,), (2, 2)])
def test_constants_alone_are_answered(tmp_path: Path, shape: tuple[int, ...]) -> None:
    """A graph without inputs gives what nobody consumes."""
    request = frozen(tmp_path, lambda: tf.constant(np.full(shape, 7, np.float32), name="only"))
    np.testing.assert_array_equal(converted(request, tmp_path).answer({})["only:0"], np.full(shape, 7))
