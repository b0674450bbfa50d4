from pathlib import Path

import pytest
import tensorflow as tf
from tensorflow.core.framework import graph_pb2
from tensorflow.core.protobuf import saved_model_pb2

from job.engine.ops.policy import why_denied
from job.engine.ops.published import check_published
from job.errors import Refused
from job.records import Format
from job.requests import SourceRequest
from tests.engine.models import Saver, converted, graph_of, v1
from tests.jobs import GOLDENS


def stray() -> graph_pb2.GraphDef:
    """Return a model whose library has a function that reads a file, and whose graph has a node that does."""

    def build() -> None:
        tf.nn.relu(v1.placeholder(tf.float32, [None, 2], name="x"), name="y")
        tf.io.read_file("secret", name="unneeded")

    @tf.function(input_signature=[tf.TensorSpec([], tf.string)])  # type: ignore[untyped-decorator]
    def reads(name: tf.Tensor) -> tf.Tensor:
        return tf.io.read_file(name)

    graph_def = graph_of(build)
    graph_def.library.function.add().CopyFrom(reads.get_concrete_function().function_def)
    return graph_def


def published(folder: Path) -> saved_model_pb2.SavedModel:
    """Return what was written."""
    return saved_model_pb2.SavedModel.FromString((folder / "saved_model.pb").read_bytes())


def denied(model: saved_model_pb2.SavedModel) -> set[str]:
    """Return the denied ops anywhere in a model."""
    graph_def = model.meta_graphs[0].graph_def
    nodes = [*graph_def.node, *(node for function in graph_def.library.function for node in function.node_def)]
    return {node.op for node in nodes if why_denied(node)}


def test_what_no_output_needs_is_not_written(tmp_path: Path) -> None:
    """Neither the graph nor the library of the published model holds what nothing runs."""
    (tmp_path / "m.pb").write_bytes(stray().SerializeToString())
    model = converted(SourceRequest(format=Format.GRAPH_DEF, directory=str(tmp_path), entry="m.pb"), tmp_path)
    assert denied(published(model.directory)) == {"SaveV2", "MergeV2Checkpoints", "RestoreV2"}
    (said,) = [one.cause for one in model.source.findings if one.code == "host_ops_left_out"]
    assert "ReadFile (unneeded, " in said


@pytest.fixture(scope="module")
def with_vocabulary(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A published model with variables and tables that are filled from files."""
    (entry,) = (GOLDENS / "vocabulary_saved_model").rglob("saved_model.pb")
    request = SourceRequest(format=Format.SAVED_MODEL, directory=str(entry.parent), entry="")
    model = converted(request, tmp_path_factory.mktemp("vocabulary"))
    return (model.directory / "saved_model.pb").read_bytes()


def test_writers_own_ops_pass_where_they_belong(with_vocabulary: bytes) -> None:
    """TensorFlow's saver, and the initialisers of tables, do what nothing else may."""
    model = saved_model_pb2.SavedModel.FromString(with_vocabulary)
    check_published(model)
    assert "InitializeTableFromTextFileV2" in denied(model)


@pytest.mark.parametrize("op", ["ReadFile", "SaveV2", "InitializeTableFromTextFileV2", "PyFunc"])
def test_denied_op_anywhere_else_is_not_published(with_vocabulary: bytes, op: str) -> None:
    """In a signature's function, in one that nothing calls and in the graph itself: each stops the publication."""
    model = saved_model_pb2.SavedModel.FromString(with_vocabulary)
    graph_def = model.meta_graphs[0].graph_def
    serving = next(one for one in graph_def.library.function if "signature_wrapper" in one.signature.name)
    lone = graph_def.library.function.add()
    lone.signature.name = "lone"
    for nodes in (graph_def.node, serving.node_def, lone.node_def):
        node = nodes.add(name="evil", op=op)
        with pytest.raises(Refused, match=f"op {op} .node evil."):
            check_published(model)
        nodes.remove(node)
    check_published(model)


def test_function_that_saves_may_do_nothing_else(saved: Saver, tmp_path: Path) -> None:
    """The saver's functions may save and restore; a file that they read otherwise is none of their business."""
    model = converted(saved(lambda: tf.identity(v1.placeholder(tf.float32, [2], name="x"), name="y")), tmp_path)
    written = published(model.directory)
    saver = next(
        one for one in written.meta_graphs[0].graph_def.library.function if "traced_save" in one.signature.name
    )
    check_published(written)
    saver.node_def.add(name="evil", op="WriteFile")
    with pytest.raises(Refused, match="WriteFile"):
        check_published(written)
