from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from job.engine.assembling import read_source
from job.engine.graph import Edge, Graph
from job.engine.runners import Baseline
from job.engine.session_graph import _way
from job.records import Format
from job.requests import SourceRequest
from tests.engine.models import Saver, ref, v1, v1_graph

X = np.array([[1.0, 2.0]], np.float32)


def scaled() -> None:
    """Multiply by a variable."""
    x = v1.placeholder(tf.float32, [None, 2], name="x")
    tf.multiply(x, ref("scale", [3.0, 4.0]), name="y")


def edited(request: SourceRequest, edit: Callable[[Any], None]) -> SourceRequest:
    """Change the graph of a saved MetaGraph."""
    path = Path(request.directory, f"{request.entry}.meta")
    meta_graph = v1.MetaGraphDef.FromString(path.read_bytes())
    edit(meta_graph.graph_def)
    path.write_bytes(meta_graph.SerializeToString())
    return request


@pytest.mark.parametrize("op", ["Assign", "RestoreV2"])
def test_restoring_runs_nothing_else(saved: Saver, tmp_path: Path, op: str) -> None:
    """A control input of the saver's nodes is not followed: what it names neither runs nor is it in the session."""
    written = tmp_path / "written"

    def edit(graph_def: Any) -> None:
        with tf.Graph().as_default() as other:
            tf.io.write_file(str(written), "x", name="write_it")
        graph_def.node.extend(other.as_graph_def().node)
        for node in graph_def.node:
            if node.op == op and node.name.startswith("save/"):
                node.input.append("^write_it")

    source = read_source(edited(saved(scaled), edit))
    (answer,) = Baseline(source, "exact").run(source.signatures[0], [X])
    assert answer.tolist() == [[3.0, 8.0]]
    assert not written.exists()


def test_computed_values_of_a_saver_are_not_run(saved: Saver, tmp_path: Path) -> None:
    """Where more than pure nodes lies between checkpoint and variable, the value is read by name instead."""
    written = tmp_path / "written"

    def edit(graph_def: Any) -> None:
        with tf.Graph().as_default() as other, tf.control_dependencies([tf.io.write_file(str(written), "x")]):
            tf.constant([2], name="shape_of_it")
        graph_def.node.extend(other.as_graph_def().node)
        reshape = graph_def.node.add(name="reshape", op="Reshape")
        reshape.attr["T"].type = tf.float32.as_datatype_enum
        reshape.attr["Tshape"].type = tf.int32.as_datatype_enum
        for node in graph_def.node:
            if node.op == "Assign" and node.name.startswith("save/"):
                reshape.input.extend([node.input[1], "computed"])
                node.input[1] = "reshape"
        identity = graph_def.node.add(name="computed", op="AddV2", input=["shape_of_it", "shape_of_it"])
        identity.attr["T"].type = tf.int32.as_datatype_enum

    source = read_source(edited(saved(scaled), edit))
    (answer,) = Baseline(source, "exact").run(source.signatures[0], [X])
    assert answer.tolist() == [[3.0, 8.0]]
    assert not written.exists()


@pytest.mark.parametrize("keys", [["whole", "rest"], ["rest", "whole"]])
def test_one_signature_may_compute_what_another_is_fed(tmp_path: Path, keys: list[str]) -> None:
    """A tensor at which one signature begins is computed for another one, whichever comes first."""
    with v1_graph() as graph, v1.Session() as session:
        x = v1.placeholder(tf.float32, [None, 2], name="x")
        pool = tf.multiply(x, ref("scale", [3.0, 4.0]), name="pool")
        y = tf.add(pool, ref("offset", [0.5, 0.5]), name="y")
        session.run(v1.global_variables_initializer())
        build = v1.saved_model.predict_signature_def
        signatures = {"whole": build({"x": x}, {"y": y}), "rest": build({"pool": pool}, {"y": y})}
        builder = v1.saved_model.Builder(str(tmp_path / "model"))
        builder.add_meta_graph_and_variables(session, ["serve"], {key: signatures[key] for key in keys})
        builder.save()
        assert graph is v1.get_default_graph()
    source = read_source(SourceRequest(format=Format.SAVED_MODEL, directory=str(tmp_path), entry="model"))
    baseline = Baseline(source, "exact")
    said = {signature.key: baseline.run(signature, [X])[0].tolist() for signature in source.signatures}
    assert said == {"whole": [[3.5, 8.5]], "rest": [[1.5, 2.5]]}
    assert len(baseline._open) == 1, "each session holds all variables"
    baseline.close()


@pytest.mark.parametrize("names", ["nobody", "c"])
def test_a_saver_that_names_a_node_that_is_not_there_restores_nothing(names: str) -> None:
    """A damaged saver beside the path is not run: its nodes may name what the graph does not hold."""
    graph_def = tf.compat.v1.GraphDef()
    graph_def.node.add(name="c", op="Const")
    graph_def.node.add(name="restore", op="RestoreV2", input=["c", names, "c"])
    graph_def.node.add(name="handed", op="Identity", input=["restore"])
    way = _way(Graph(graph_def), Edge("handed", 0))
    assert way == ({"handed", "restore", "c"} if names == "c" else set())
    assert _way(Graph(graph_def), Edge("nobody", 0)) == set()
