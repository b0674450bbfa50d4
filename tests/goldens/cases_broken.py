"""The artifacts that must not be published: each is refused, or ends as an error, and says why."""

from __future__ import annotations  # Python 3.7 runs this

from pathlib import Path

import tensorflow.compat.v1 as tf  # noqa: TID253 - graphs are built here

from tests.goldens.artifacts import freeze, save_checkpoint, save_model, started, write
from tests.goldens.cases import cnn_signatures, small_cnn
from tests.goldens.recording import Case, read_graph

HTML = "<!DOCTYPE html>\n<html><head><title>404 Not Found</title></head><body>Not Found</body></html>\n"
POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:{}\nsize 102400012\n".format("0123456789abcdef" * 4)


def _frozen_cnn(folder: Path) -> Path:
    small_cnn()
    freeze(started(), folder / "frozen.pb", ["logits"])
    return folder / "frozen.pb"


def py_func_frozen(folder: Path) -> Case:
    """A node whose Python body is not in the file."""
    inputs = tf.placeholder(tf.float32, [None, 6], name="x")
    tf.identity(tf.py_func(lambda x: x * 2, [inputs], tf.float32), name="y")
    write(tf.get_default_graph().as_graph_def(), folder / "frozen.pb")
    return Case("frozen_pb", "PyFunc", "refuse", file="frozen.pb")


def custom_op_frozen(folder: Path) -> Case:
    """An op that no TensorFlow has."""
    graph = read_graph(_frozen_cnn(folder))
    for node in graph.node:
        node.op = "AcmeFusedRelu" if node.op == "Relu" else node.op
    write(graph, folder / "frozen.pb")
    return Case("frozen_pb", "Relu renamed to AcmeFusedRelu, an unregistered op", "refuse", file="frozen.pb")


def truncated_frozen(folder: Path) -> Case:
    """A download that was cut off."""
    path = _frozen_cnn(folder)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) * 3 // 5])
    return Case("frozen_pb", "cut at 60 %", "error", file="frozen.pb")


def html_frozen(folder: Path) -> Case:
    """A web server's answer in place of the model."""
    (folder / "frozen.pb").write_text(HTML)
    return Case("frozen_pb", "an HTML error page named .pb", "error", file="frozen.pb")


def git_lfs_pointer_frozen(folder: Path) -> Case:
    """What a clone without Git LFS leaves."""
    (folder / "frozen.pb").write_text(POINTER)
    return Case("frozen_pb", "a Git LFS pointer", "error", file="frozen.pb")


def missing_data_saved_model(folder: Path) -> Case:
    """A SavedModel whose variables were not copied whole."""
    small_cnn()
    save_model(started(), folder / "saved_model", cnn_signatures())
    (folder / "saved_model/variables/variables.data-00000-of-00001").unlink()
    return Case("saved_model", "variables.index without its data", "error", path="saved_model")


def missing_data_checkpoint(folder: Path) -> Case:
    """A checkpoint that was not copied whole."""
    small_cnn()
    prefix = save_checkpoint(started(), folder)
    (folder / (prefix + ".data-00000-of-00001")).unlink()
    return Case("ckpt_meta", "graph and index without the data", "error", prefix=prefix)
