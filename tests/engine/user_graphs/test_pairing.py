import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from google.protobuf import text_format

from job.engine.assembling import read_source
from job.errors import BadInput, Incomplete, UsageError
from job.parity import compare
from job.records import ArtifactOptions, Finding, Format
from job.requests import SourceRequest
from tests.engine import models

SHARED = Path(__file__).parent.parent.parent.parent.parent / "shared" / "goldens"
X = np.array([[1.0, -2.0]], np.float32)
W = np.array([[2.0], [3.0]], np.float32)
B = np.array([0.5], np.float32)

v1 = tf.compat.v1


def model(scope: str = "", *, units: int = 1, more: str = "", weight: str = "w") -> None:
    """Build ``y = x w + b`` below a scope; `more` names a variable that the output does not need."""
    x = v1.placeholder(tf.float32, [None, 2], name="x")
    with v1.variable_scope(scope or v1.get_variable_scope()):
        product = tf.matmul(x, models.ref(weight, np.repeat(W, units, axis=1)))
        tf.identity(product + models.ref("b", np.repeat(B, units)), name="y")
        if more:
            models.ref(more, [1.0])


def bare(folder: Path, **how: Any) -> SourceRequest:
    """Save a checkpoint of the model alone."""
    with models.v1_graph() as graph:
        model(**how)
        request = models.save_checkpoint(graph, folder)
    (folder / "model.ckpt.meta").unlink()
    return replace(request, format=Format.CHECKPOINT)


def graph_def(path: Path, **how: Any) -> Path:
    """Write the model's graph as a GraphDef, which has no saver."""
    proto = models.graph_of(lambda: model(**how))
    if path.suffix == ".pbtxt":
        path.write_text(text_format.MessageToString(proto))
    else:
        path.write_bytes(proto.SerializeToString())
    return path


def meta_graph(path: Path, **how: Any) -> Path:
    """Write the model's MetaGraph, with a saver and no checkpoint."""
    with models.v1_graph():
        model(**how)
        v1.train.Saver()
        v1.train.export_meta_graph(str(path))
    return path


def given(request: SourceRequest, graph: Path, rules: str = "") -> SourceRequest:
    """Give a graph to a checkpoint."""
    path = graph.parent / "rules.yaml"
    path.write_text(rules)
    options = ArtifactOptions(graph=str(graph), rules=str(path) if rules else "")
    return replace(request, options=options)


def answer(request: SourceRequest, folder: Path) -> Any:
    converted = models.converted(request, folder)
    return converted.answer({"x:0": X})["y:0"]


def found(request: SourceRequest) -> dict[str, Finding]:
    return {finding.code: finding for finding in read_source(request).findings}


@pytest.mark.parametrize("write", [graph_def, meta_graph])
@pytest.mark.parametrize("name", ["graph.pb", "graph.pbtxt", "other.meta"])
def test_checkpoint_answers_by_the_graph_that_is_given(tmp_path: Path, write: Any, name: str) -> None:
    """What the file holds is told by its content, and the report says which was taken."""
    request = given(bare(tmp_path / "m"), write(tmp_path / name))
    np.testing.assert_array_equal(answer(request, tmp_path), X @ W + B)
    assert found(request)["graph_given"].cause == f"the graph is that of {name}, as was asked for"


def test_given_graph_comes_before_the_one_beside(tmp_path: Path) -> None:
    """The user knows better than what happens to lie there."""
    request = bare(tmp_path / "m")
    graph_def(tmp_path / "m" / "graph.pb", units=3)
    assert answer(given(request, graph_def(tmp_path / "right.pb")), tmp_path).shape == (1, 1)


def test_signatures_of_a_given_meta_graph_count(tmp_path: Path) -> None:
    """A MetaGraph brings what its owner called inputs and outputs."""
    path = meta_graph(tmp_path / "other.meta")
    proto = v1.MetaGraphDef.FromString(path.read_bytes())
    info = proto.signature_def["said"]
    info.inputs["features"].name, info.outputs["score"].name = "x:0", "y:0"
    path.write_bytes(proto.SerializeToString())
    (signature,) = read_source(given(bare(tmp_path / "m"), path)).signatures
    assert (signature.key, signature.inputs[0].key, signature.outputs[0].key) == ("said", "features", "score")


def test_graph_of_another_model_is_refused_with_the_list(tmp_path: Path) -> None:
    """Every variable that the checkpoint lacks or holds in another shape is counted, and named."""
    request = bare(tmp_path / "m")
    wider = given(request, graph_def(tmp_path / "wider.pb", units=3))
    shapes = r"2 of 2 .*: w has shape \[2, 3\] in the graph and \[2, 1\] in the checkpoint, b has shape \[3\] in"
    with pytest.raises(BadInput, match=shapes):
        read_source(wider)
    with pytest.raises(Incomplete, match="1 of 2 variables are not in the checkpoint: v"):
        read_source(given(request, graph_def(tmp_path / "renamed.pb", weight="v")))


def test_variables_that_no_output_needs_may_be_missing(tmp_path: Path) -> None:
    """A graph that trains has more variables than one that answers."""
    request = given(bare(tmp_path / "m"), meta_graph(tmp_path / "train.meta", more="step"))
    np.testing.assert_array_equal(answer(request, tmp_path), X @ W + B)


def test_tensors_that_the_graph_lacks_are_said(tmp_path: Path) -> None:
    """The graph may be of a part of the model; slots and counters are no part of it."""
    with models.v1_graph() as graph:
        model(more="head")
        models.ref("global_step", 0)
        models.ref("w/Adam", W)
        request = replace(models.save_checkpoint(graph, tmp_path / "m"), format=Format.CHECKPOINT)
    finding = found(given(request, graph_def(tmp_path / "graph.pb")))["tensors_left_over"]
    assert finding.cause == "1 tensors of the checkpoint are no variables of the graph: head"
    assert finding.severity == "warning"


@pytest.mark.parametrize(("stored", "wanted"), [("net", ""), ("", "net"), ("a/net", ""), ("", "a/net")])
@pytest.mark.parametrize("write", [graph_def, meta_graph])
def test_common_prefix_is_put_right_and_said(tmp_path: Path, write: Any, stored: str, wanted: str) -> None:
    """The same model below another scope is the same model; that this was assumed is a warning."""
    request = given(bare(tmp_path / "m", scope=stored), write(tmp_path / "g.pb", scope=wanted))
    converted = models.converted(request, tmp_path)
    (said,) = converted.answer({"x:0": X}).values()
    np.testing.assert_array_equal(said, X @ W + B)
    finding = found(request)["prefix_assumed"]
    assert f"'{stored and stored + '/'}' in the checkpoint" in finding.cause
    assert f"'{wanted and wanted + '/'}' in the graph" in finding.cause


def test_prefix_is_not_guessed_where_two_fit(tmp_path: Path) -> None:
    """Generators and their averages, or two towers, have the same names below two prefixes."""
    with models.v1_graph() as graph:
        for scope in ("one", "two"):
            model(scope)
        request = replace(models.save_checkpoint(graph, tmp_path / "m"), format=Format.CHECKPOINT)
    with pytest.raises(Incomplete, match="2 of 2 variables are not in the checkpoint: b, w"):
        read_source(given(request, graph_def(tmp_path / "graph.pb")))


def test_rules_choose_where_two_fit(tmp_path: Path) -> None:
    """What a rule renames is restored under its new name; what it matched is in the report, and what matched not."""
    with models.v1_graph() as graph:
        model("one")
        with v1.variable_scope("two"):
            models.ref("w", W + 1)
            models.ref("b", B)
        request = replace(models.save_checkpoint(graph, tmp_path / "m"), format=Format.CHECKPOINT)
    rules = "- {pattern: ^two/, replace: ''}\n- {pattern: ^three/, replace: null}"
    request = given(request, graph_def(tmp_path / "graph.pb"), rules)
    np.testing.assert_array_equal(answer(request, tmp_path), X @ (W + 1) + B)
    said = found(request)
    assert said["rule_applied"].cause == "the rule '^two/' renamed 2 tensors: two/b to b, two/w to w"
    assert "'^three/' matched none" in said["rule_unused"].cause


def test_rules_choose_between_a_name_and_another(tmp_path: Path) -> None:
    """A generator's average may be what is wanted under the generator's own name."""
    with models.v1_graph() as graph:
        model("gen")
        with v1.variable_scope("gen_ema"):
            models.ref("w", W + 1)
            models.ref("b", B)
        request = replace(models.save_checkpoint(graph, tmp_path / "m"), format=Format.CHECKPOINT)
    graph_file = graph_def(tmp_path / "graph.pb", scope="gen")
    rules = "- {pattern: ^gen/, replace: null}\n- {pattern: ^gen_ema/, replace: gen/}"
    converted = models.converted(given(request, graph_file, rules), tmp_path)
    (said,) = converted.answer({"x:0": X}).values()
    np.testing.assert_array_equal(said, X @ (W + 1) + B)
    with pytest.raises(BadInput, match=r"more than one tensor: gen/b, gen/w; gen/b, gen_ema/b; .*replace: null"):
        read_source(given(request, graph_file, "- {pattern: ^gen_ema/, replace: gen/}"))


def test_rules_reach_what_looks_like_training(tmp_path: Path) -> None:
    """A scope may be called as an optimizer's is; true counters and slots are not asked of the rules."""
    with models.v1_graph() as graph:
        model("Adam")
        models.ref("Adam/w/Adam", W)
        models.ref("global_step", 0)
        request = replace(models.save_checkpoint(graph, tmp_path / "m"), format=Format.CHECKPOINT)
    request = given(request, graph_def(tmp_path / "graph.pb"), "- {pattern: ^Adam/, replace: ''}")
    np.testing.assert_array_equal(answer(request, tmp_path), X @ W + B)
    assert found(request)["rule_applied"].cause.endswith("renamed 2 tensors: Adam/b to b, Adam/w to w")


def test_values_of_another_type_are_refused(tmp_path: Path) -> None:
    """The checkpoint is whole and its graph is another."""
    with models.v1_graph() as graph:
        models.ref("w", W.astype(np.float64))
        models.ref("b", B)
        request = replace(models.save_checkpoint(graph, tmp_path / "m"), format=Format.CHECKPOINT)
    said = "w is of type float32 in the graph and float64 in the checkpoint.*belongs to another graph"
    with pytest.raises(BadInput, match=said):
        models.converted(given(request, graph_def(tmp_path / "graph.pb")), tmp_path)


def test_frozen_graph_takes_no_checkpoint(tmp_path: Path) -> None:
    """Its weights are in it: the values of the checkpoint would silently not count."""
    frozen = tmp_path / "frozen.pb"
    proto = models.graph_of(lambda: tf.identity(v1.placeholder(tf.float32, [2], name="x") * 2.0, name="y"))
    frozen.write_bytes(proto.SerializeToString())
    with pytest.raises(UsageError, match="has no variables"):
        read_source(given(bare(tmp_path / "m"), frozen))


@pytest.mark.parametrize("op", ["RestoreV2", "AssignVariableOp"])
def test_malformed_graph_is_bad_input(tmp_path: Path, op: str) -> None:
    """A node without what its op takes is the file's fault, and no bug of ours."""
    path = graph_def(tmp_path / "graph.pb")
    proto = v1.GraphDef.FromString(path.read_bytes())
    proto.node.add(name="broken", op=op)
    path.write_bytes(proto.SerializeToString())
    with pytest.raises(BadInput, match="the graph is malformed"):
        read_source(given(bare(tmp_path / "m"), path))


@pytest.mark.parametrize(
    ("content", "meaning"), [(b"\x89HDF\r\n\x1a\nmodel_weights", "Keras"), (b"<html>", "HTML"), (b"", "empty")]
)
def test_file_that_is_no_graph_is_refused(tmp_path: Path, content: bytes, meaning: str) -> None:
    """The message says what it is instead."""
    path = tmp_path / "graph.pb"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=meaning):
        read_source(given(bare(tmp_path / "m"), path))


@pytest.mark.parametrize("case", ["contrib_layers", "partitioned_vars", "rnn_static"])
def test_goldens_without_a_graph_match_with_their_sibling_s(tmp_path: Path, case: str) -> None:
    """Weights saved without a graph answer as TensorFlow 1.15 did, once they are given the graph of the same model."""
    folder, sibling = SHARED / f"{case}_ckpt_nometa", SHARED / f"{case}_ckpt_meta" / "model.ckpt.meta"
    if not folder.is_dir():
        pytest.skip("no goldens beside the repository")
    options = ArtifactOptions(graph=str(sibling))
    request = SourceRequest(format=Format.CHECKPOINT, directory=str(folder), entry="model.ckpt", options=options)
    converted = models.converted(request, tmp_path)
    golden, (call,) = np.load(folder / "golden.npz"), json.loads((folder / "case.json").read_text())["calls"]
    feeds = {feed["tensor"]: golden[feed["npz"]] for feed in call["feeds"].values()}
    said = converted.answer(feeds)
    for fetch in call["fetches"].values():
        assert compare(golden[fetch["npz"]], said[fetch["tensor"]], tolerance=1e-5).verdict == "passed", fetch
