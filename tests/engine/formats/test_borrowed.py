import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from job.engine.assembling import read_source
from job.errors import BadInput, Incomplete
from job.records import Finding, Format
from job.requests import SourceRequest
from tests.engine import models
from tests.engine.models import v1

X = np.array([[1.0, -2.0]], np.float32)
W = np.array([[2.0], [3.0]], np.float32)
BIAS = np.array([0.5], np.float32)


def dense() -> None:
    """Build ``y = x @ w + bias``."""
    x = v1.placeholder(tf.float32, [None, 2], name="x")
    tf.add(tf.matmul(x, models.ref("w", W)), models.ref("bias", BIAS), name="y")


def weights(**values: Any) -> Callable[[], None]:
    """Return a builder of variables alone, which is all that a bare checkpoint is of."""

    def build() -> None:
        for name, value in values.items():
            models.ref(name, value)

    return build


def saved(folder: Path, build: Callable[[], None], **how: Any) -> Path:
    """Save a model as ``model.ckpt`` and return its directory."""
    with models.v1_graph() as graph:
        build()
        models.save_checkpoint(graph, folder, **how)
    return folder


def step(folder: Path, lender: Callable[[], None], own: Callable[[], None], **how: Any) -> SourceRequest:
    """Return the request for a second step, which has `own` weights and beside it the first step's `lender` graph."""
    first, second = saved(folder / "1", lender, **how), saved(folder / "2", own, **how)
    source = folder / "source"
    source.mkdir()
    shutil.copy(first / "model.ckpt.meta", source / "model.ckpt-1.meta")
    for path in second.glob("model.ckpt*"):
        if path.suffix != ".meta":
            shutil.copy(path, source / path.name.replace("model.ckpt", "model.ckpt-2"))
    return SourceRequest(format=Format.CHECKPOINT, directory=str(source), entry="model.ckpt-2")


def told(findings: tuple[Finding, ...]) -> str:
    """Return what was said of the graph."""
    (finding,) = (one for one in findings if one.code == "graph_of_another")
    return finding.cause


def test_a_copy_has_the_graph_of_its_weights(tmp_path: Path) -> None:
    """Another name in another directory, the same index: the model answers, and the file is named."""
    whole = saved(tmp_path / "source" / "whole", dense)
    bare = tmp_path / "source" / "bare"
    bare.mkdir()
    for path in whole.glob("model.ckpt.*"):
        if path.suffix != ".meta":
            shutil.copy(path, bare / path.name.replace("model", "weights"))
    request = SourceRequest(format=Format.CHECKPOINT, directory=str(tmp_path / "source"), entry="bare/weights.ckpt")
    made = models.converted(request, tmp_path)
    np.testing.assert_array_equal(made.answer({"x:0": X})["y:0"], X @ W + BIAS)
    said = told(made.source.findings)
    assert "that of whole/model.ckpt.meta was taken" in said
    assert "has the same index" in said


@pytest.mark.parametrize("version", [v1.train.SaverDef.V1, v1.train.SaverDef.V2])
def test_another_step_has_the_graph(tmp_path: Path, version: int) -> None:
    """The answers are those of the step's own weights, of either format."""
    request = step(tmp_path, dense, weights(w=10 * W, bias=BIAS), write_version=version)
    made = models.converted(request, tmp_path)
    np.testing.assert_array_equal(made.answer({"x:0": X})["y:0"], X @ (10 * W) + BIAS)
    said = told(made.source.findings)
    assert "that of model.ckpt-1.meta was taken: it restores the same 2 names and shapes" in said


@pytest.mark.parametrize(
    ("own", "differences"),
    [
        (weights(v=W, bias=BIAS), "1 missing: w; 1 that it has not: v"),
        (weights(w=W, bias=BIAS, more=W), "1 that it has not: more"),
        (weights(w=np.ones((3, 1), np.float32), bias=BIAS), r"of another shape: w \[3,1\], not \[2,1\]"),
    ],
)
def test_the_graph_of_another_model_is_refused(tmp_path: Path, own: Callable[[], None], differences: str) -> None:
    """What differs is named, and the ways to give the right graph."""
    with pytest.raises(Incomplete, match=differences) as caught:
        read_source(step(tmp_path, dense, own))
    assert "that of model.ckpt-1.meta is another model's" in caught.value.what
    assert "--graph" in caught.value.remedy


def test_malformed_graph_of_another_is_bad_input(tmp_path: Path) -> None:
    """It is the file's fault, and no bug of ours."""
    request = step(tmp_path, dense, weights(w=W, bias=BIAS))
    path = Path(request.directory, "model.ckpt-1.meta")
    proto = v1.MetaGraphDef.FromString(path.read_bytes())
    for node in proto.graph_def.node:
        if node.op == "RestoreV2":
            del node.input[:]
    path.write_bytes(proto.SerializeToString())
    with pytest.raises(BadInput, match="the graph is malformed"):
        read_source(request)


def test_an_index_that_is_another_proves_nothing(tmp_path: Path) -> None:
    """Discovery sees the first bytes of large ones; where the rest differs names and shapes have to agree."""
    request = step(tmp_path, dense, weights(w=10 * W, bias=BIAS))
    shutil.copy(tmp_path / "1" / "model.ckpt.index", Path(request.directory, "model.ckpt-1.index"))
    assert "it restores the same 2 names and shapes" in told(read_source(request).findings)


def test_partitions_tables_and_counters_agree(tmp_path: Path) -> None:
    """Slices of a partitioned variable are one tensor, and what is restored into no variable counts as well."""

    def build() -> None:
        with v1.variable_scope("", partitioner=v1.fixed_size_partitioner(2)):
            weight = v1.get_variable("w", initializer=tf.constant(W), use_resource=False)
        v1.train.get_or_create_global_step()
        tf.lookup.experimental.MutableHashTable(tf.int64, tf.int64, -1, name="counts")
        x = v1.placeholder(tf.float32, [None, 2], name="x")
        tf.matmul(x, tf.convert_to_tensor(weight), name="y")

    made = models.converted(step(tmp_path, build, build), tmp_path)
    np.testing.assert_array_equal(made.answer({"x:0": X})["y:0"], X @ W)
    assert "the same 4 names and shapes" in told(made.source.findings)  # w, global_step, the table's keys and values


def test_a_graph_without_a_saver_is_told_by_its_variables(tmp_path: Path) -> None:
    """``export_meta_graph`` of a graph that nobody saved has none."""
    request = step(tmp_path, dense, weights(w=10 * W, bias=BIAS))
    with models.v1_graph():
        dense()
        v1.train.export_meta_graph(f"{request.directory}/model.ckpt-1.meta")
    source = read_source(request)
    assert "the same 2 names and shapes" in told(source.findings)
    assert [variable.name for variable in source.variables] == ["w", "bias"]


def test_a_graph_beside_it_comes_first(tmp_path: Path) -> None:
    """The GraphDef that a user put there is asked, and no other's MetaGraph."""
    request = step(tmp_path, dense, weights(w=10 * W, bias=BIAS))
    graph = models.graph_of(dense)
    Path(request.directory, "graph.pb").write_bytes(graph.SerializeToString())
    assert [one for one in read_source(request).findings if one.code == "graph_of_another"] == []
    Path(request.directory, "other.pbtxt").write_text("node { }")
    with pytest.raises(BadInput, match=r"the graphs beside it differ: graph\.pb, other\.pbtxt"):
        read_source(request)
