from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from google.protobuf import text_format
from tensorflow.core.framework import graph_pb2
from tensorflow.core.protobuf import fingerprint_pb2, saved_model_pb2

from job.engine.assembling import read_source
from job.engine.exporting import export, rehearse_export
from job.engine.lift import lift
from job.engine.target.conforming import conform_graphs
from job.errors import Refused
from job.records import TargetTf
from tests.engine.models import Saver, ref, v1


def graph(*nodes: str) -> graph_pb2.GraphDef:
    """Return a GraphDef of nodes in text form."""
    return text_format.Parse("".join(f"node {{ {node} }}" for node in nodes), graph_pb2.GraphDef())


def names(nodes: Iterable[Any]) -> dict[str, list[str]]:
    return {node.name: list(node.input) for node in nodes}


def test_advice_goes_with_all_that_refers_to_it() -> None:
    """In a graph and in its functions, an op that only advises is gone, and who waited for it waits for its inputs."""
    body = """
        signature { name: "save" control_output: "advice" control_output: "read" }
        node_def { name: "before" op: "NoOp" }
        node_def { name: "advice" op: "DisableCopyOnRead" input: "handle" input: "^before" }
        node_def { name: "read" op: "ReadVariableOp" input: "handle" input: "^advice" }
        control_ret { key: "advice" value: "advice" }
        control_ret { key: "read" value: "read" }
    """
    graph_def = graph(
        'name: "v" op: "VarHandleOp"',
        'name: "off" op: "DisableCopyOnRead" input: "v:0"',
        'name: "after" op: "NoOp" input: "^off"',
    )
    text_format.Parse(body, graph_def.library.function.add())
    conform_graphs([graph_def], "2.9")
    function = graph_def.library.function[0]
    assert names(graph_def.node) == {"v": [], "after": ["^v"]}
    assert names(function.node_def) == {"before": [], "read": ["handle", "^handle", "^before"]}
    assert list(function.signature.control_output) == ["read"]
    assert dict(function.control_ret) == {"read": "read"}


def test_advice_stays_for_who_knows_it() -> None:
    """Nothing is taken from a model that its TensorFlow knows all of."""
    graph_def = graph(
        'name: "off" op: "DisableCopyOnRead"', 'name: "m" op: "MatMul" attr { key: "grad_a" value { b: true } }'
    )
    before = graph_pb2.GraphDef.FromString(graph_def.SerializeToString())
    conform_graphs([graph_def], "2.16")
    assert graph_def == before


def test_new_attribute_that_says_what_was_always_so_goes() -> None:
    """A new attribute is dropped where it has its default, and refused, with what and since when, where it has not."""
    attribute = 'name: "m" op: "MatMul" attr {{ key: "grad_a" value {{ b: {} }} }}'
    usual, other = graph(attribute.format("false")), graph(attribute.format("true"))
    conform_graphs([usual], "2.15")
    assert not usual.node[0].attr
    with pytest.raises(Refused, match=r"TensorFlow 2\.15 .* grad_a of MatMul \(first in 2\.16\)") as caught:
        conform_graphs([other], "2.15")
    assert "node m" in caught.value.where
    assert "--target-tf 2.16" in caught.value.remedy


@pytest.mark.parametrize(
    ("node", "what", "first"),
    [
        ('name: "a" op: "AddV2" attr { key: "T" value { type: DT_UINT16 } }', "AddV2 with T=uint16", "2.5"),
        ('name: "j" op: "StringJoin" attr { key: "N" value { i: 0 } }', "StringJoin with N=0", "2.13"),
        ('name: "r" op: "RiscAbs"', "the op RiscAbs", "2.5"),
        ('name: "s" op: "ResourceScatterNdAdd"', "a function with ResourceScatterNdAdd", "2.12"),
    ],
)
def test_what_the_target_does_not_know_is_refused_by_name(node: str, what: str, first: str) -> None:
    """An op, a dtype and a number that came later are named, each with the version that was the first to have it."""
    with pytest.raises(Refused) as caught:
        conform_graphs([graph(node)], "2.4")
    assert f"{what} (first in {first})" in caught.value.what
    conform_graphs([graph(node)], first)


def test_graph_for_later_readers_is_refused() -> None:
    """A graph says itself which version it wants to be read by; 2.4 is one of 561."""
    graph_def = graph('name: "n" op: "NoOp"')
    graph_def.versions.min_consumer = 562
    with pytest.raises(Refused, match=r"562 and later, TensorFlow 2\.4 reads up to 561"):
        conform_graphs([graph_def], "2.4")
    conform_graphs([graph_def], "2.5")


def test_everything_that_is_missing_is_told_at_once() -> None:
    """One error names all that a model needs, and the version that would do."""
    with pytest.raises(Refused) as caught:
        conform_graphs(
            [graph('name: "r" op: "RiscAbs"', 'name: "j" op: "StringJoin" attr { key: "N" value { i: 0 } }')], "2.4"
        )
    assert "RiscAbs" in caught.value.what
    assert "StringJoin" in caught.value.what
    assert "--target-tf 2.13" in caught.value.remedy


def network() -> None:
    x = v1.placeholder(tf.float32, [None, 2], name="x")
    tf.matmul(x, ref("w", np.ones([2, 3], "f")), name="y")


def newer() -> None:
    x = v1.placeholder(tf.uint16, [None], name="x")
    tf.raw_ops.AddV2(x=x, y=x, name="y")


def exported(saved: Saver, folder: Path, target_tf: TargetTf) -> saved_model_pb2.SavedModel:
    request = saved(network)
    source = read_source(request)
    export(lift(source, allow_nonfinite=False), source, str(folder), scratch=request.directory, target_tf=target_tf)
    return saved_model_pb2.SavedModel.FromString((folder / "saved_model.pb").read_bytes())


def ops(saved_model: saved_model_pb2.SavedModel) -> set[str]:
    graph_def = saved_model.meta_graphs[0].graph_def
    return {
        node.op for nodes in (graph_def.node, *(one.node_def for one in graph_def.library.function)) for node in nodes
    }


def test_published_model_is_the_target_s(saved: Saver, tmp_path: Path) -> None:
    """For an older TensorFlow the op is gone from functions and op list; the model loads, and saves again."""
    plain, made = exported(saved, tmp_path / "plain", "running"), exported(saved, tmp_path / "made", "2.4")
    assert ops(plain) - ops(made) == {"DisableCopyOnRead"}
    assert "DisableCopyOnRead" not in {op.name for op in made.meta_graphs[0].meta_info_def.stripped_op_list.op}
    assert made.meta_graphs[0].graph_def.versions.min_consumer <= 561  # what 2.4 reads
    loaded = tf.saved_model.load(str(tmp_path / "made"))
    tf.saved_model.save(loaded, str(tmp_path / "again"), signatures=loaded.signatures)
    again = tf.saved_model.load(str(tmp_path / "again"))
    np.testing.assert_array_equal(again.signatures["serving_default"](x=np.ones([1, 2], "f"))["y"], [[2.0, 2.0, 2.0]])


def test_fingerprint_is_of_the_bytes_that_are_published(saved: Saver, tmp_path: Path) -> None:
    """The checksum beside a model is its own, so that two models for two TensorFlows have two."""
    checksums = set()
    for target in ("running", "2.4"):
        exported(saved, tmp_path / target, target)
        data = (tmp_path / target / "fingerprint.pb").read_bytes()
        checksums.add(fingerprint_pb2.FingerprintDef.FromString(data).saved_model_checksum)
    assert len(checksums) == 2


def test_refusal_is_foreseen_and_nothing_is_written(saved: Saver, tmp_path: Path) -> None:
    """A model that the target cannot hold is refused alike by a rehearsal and by the export, which leaves no model."""
    request = saved(newer)
    source = read_source(request)
    model = lift(source, allow_nonfinite=False)
    with pytest.raises(Refused, match="AddV2 with T=uint16") as foreseen:
        rehearse_export(model, "2.4")
    with pytest.raises(Refused) as caught:
        export(model, source, str(tmp_path / "out"), scratch=request.directory, target_tf="2.4")
    assert caught.value.what == foreseen.value.what
    assert not (tmp_path / "out").exists()


def test_a_step_reaches_every_variable(saved: Saver, tmp_path: Path) -> None:
    """A converted model can be fine-tuned: each trainable variable has a gradient; a step along them lowers a loss."""
    exported(saved, tmp_path / "out", "2.4")
    loaded = tf.saved_model.load(str(tmp_path / "out"))
    function = loaded.signatures["serving_default"]
    x = tf.constant([[1.0, 2.0]])
    with tf.GradientTape() as tape:
        before = tf.reduce_sum(function(x=x)["y"] ** 2)
    gradients = tape.gradient(before, function.trainable_variables)
    assert len(gradients) == 1
    for variable, gradient in zip(function.trainable_variables, gradients, strict=True):
        variable.assign_sub(0.01 * gradient)
    assert tf.reduce_sum(function(x=x)["y"] ** 2) < before
