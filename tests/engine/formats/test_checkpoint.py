from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from google.protobuf import text_format

from job.engine.assembling import read_source
from job.engine.formats import checkpoint
from job.errors import BadInput, Incomplete
from job.records import Format
from job.requests import SourceRequest
from tests.architectures import originals
from tests.engine import models

X = np.array([[1.0, -2.0]], np.float32)
W = np.array([[2.0], [3.0]], np.float32)


def saved(folder: Path, *, text: bool, version: int = tf.compat.v1.train.SaverDef.V2) -> SourceRequest:
    """Save weights with the graph beside them as a GraphDef in place of a MetaGraph."""
    with models.v1_graph() as graph:
        x = tf.compat.v1.placeholder(tf.float32, [None, 2], name="x")
        tf.matmul(x, models.ref("w", W), name="y")
        request = models.save_checkpoint(graph, folder, write_version=version)
    (folder / "model.ckpt.meta").unlink()
    proto = graph.as_graph_def()
    if text:
        (folder / "graph.pbtxt").write_text(text_format.MessageToString(proto))
    else:
        (folder / "inference_graph.pb").write_bytes(proto.SerializeToString())
    return replace(request, format=Format.CHECKPOINT)


@pytest.mark.parametrize("version", [tf.compat.v1.train.SaverDef.V1, tf.compat.v1.train.SaverDef.V2])
@pytest.mark.parametrize("text", [False, True])
def test_weights_find_their_graph_beside_them(tmp_path: Path, version: int, *, text: bool) -> None:
    """The model answers as the graph with these weights does, and its variable is one that can be trained."""
    converted = models.converted(saved(tmp_path / "m", text=text, version=version), tmp_path)
    assert [variable.name for variable in converted.source.variables] == ["w"]
    np.testing.assert_array_equal(converted.answer({"x:0": X})["y:0"], X @ W)


def test_weights_without_a_graph_are_bad_input(tmp_path: Path) -> None:
    """A vocabulary beside them is no graph."""
    request = saved(tmp_path, text=True)
    (tmp_path / "graph.pbtxt").rename(tmp_path / "vocab.txt")
    with pytest.raises(Incomplete, match="a checkpoint without its graph, of no architecture that is known") as caught:
        read_source(request)
    assert "put its .meta, or its graph as a GraphDef" in caught.value.remedy


def test_graph_of_another_model_is_told(tmp_path: Path) -> None:
    """The variables that the weights lack are named."""
    request = saved(tmp_path, text=True)
    graph = tmp_path / "graph.pbtxt"
    graph.write_text(graph.read_text().replace('"w', '"v'))
    with pytest.raises(BadInput, match="1 of 1 variables are not in the checkpoint: v"):
        read_source(request)


def test_graph_of_another_model_does_not_hide_a_known_architecture(tmp_path: Path) -> None:
    """A GraphDef that shares no variable with the checkpoint beside it is not its graph, which its names tell."""
    request = saved(tmp_path, text=True)
    for path in tmp_path.glob("model.ckpt*"):
        path.unlink()
    originals.case("slim_v1_50").write(tmp_path)
    assert "architecture_recognised" in [one.code for one in checkpoint.read(request).findings]
