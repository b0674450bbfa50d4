"""Artifacts whose state is not where one looks for it first."""

from __future__ import annotations  # Python 3.7 runs this

from pathlib import Path

import numpy as np
import tensorflow.compat.v1 as tf  # noqa: TID253 - graphs are built here
from tensorflow.contrib import lookup  # noqa: TID253 - as before

from tests.goldens.artifacts import save_checkpoint, save_model, signature, started, write
from tests.goldens.cases import VECTORS, drawn, variable
from tests.goldens.recording import Call, Case

DENSE_CALL = Call({"x": VECTORS}, ("y",))


def start_values_saved_model(folder: Path) -> Case:
    """An init op that assigns over the checkpoint, and one that a local variable needs."""
    inputs = tf.placeholder(tf.float32, [None, 6], name="x")
    stored = variable("stored", 6)
    local = tf.get_local_variable("local", initializer=tf.constant(drawn("local", 6)), use_resource=False)
    tf.add(inputs * stored, local, name="y")
    session = started()
    session.run(tf.local_variables_initializer())
    start = tf.group(tf.assign(stored, drawn("at start", 6)), tf.local_variables_initializer())
    save_model(session, folder / "saved_model", {"serving_default": signature(["x"], ["y"])}, main_op=start)
    notes = "main_op assigns another value to a stored variable, and initialises a local one that no checkpoint holds"
    call = Call({"x": VECTORS}, ("y",), "serving_default", "serving_default")
    return Case("saved_model", notes, path="saved_model", calls=(call,))


def swapped_names_checkpoint(folder: Path) -> Case:
    """A saver that stores each of two variables under the other's name."""
    inputs = tf.placeholder(tf.float32, [None, 6], name="x")
    first, second = variable("first", 6, 6), variable("second", 6, 6)
    tf.matmul(tf.nn.relu(tf.matmul(inputs, first)), second, name="y")
    prefix = save_checkpoint(started(), folder, names={"first": second, "second": first})
    return Case("ckpt_meta", "the saver's names and the variables' are crossed", prefix=prefix, calls=(DENSE_CALL,))


def first_version_sharded_checkpoint(folder: Path) -> Case:
    """Two shards of the first checkpoint format."""
    inputs = tf.placeholder(tf.float32, [None, 6], name="x")
    with tf.device("/cpu:0"):
        kernel = tf.get_variable(
            "kernel", initializer=tf.constant(drawn("kernel", 6, 5)), partitioner=tf.fixed_size_partitioner(2, axis=1)
        )
    with tf.device("/cpu:1"):
        bias = variable("bias", 5)
    tf.add(tf.matmul(inputs, kernel), bias, name="y")
    prefix = save_checkpoint(started(), folder, step=100, sharded=True, write_version=tf.train.SaverDef.V1)
    notes = "Saver(write_version=V1, sharded=True), a variable partitioned by columns among them"
    return Case("ckpt_meta", notes, prefix=prefix, calls=(DENSE_CALL,))


def object_checkpoint(folder: Path) -> Case:
    """Values stored by the way to them, and a MetaGraph without a saver."""
    inputs = tf.placeholder(tf.float32, [None, 6], name="x")
    layer = tf.keras.layers.Dense(5, name="dense")
    tf.identity(layer(inputs), name="y")
    session = tf.Session()
    session.run(tf.global_variables_initializer())
    session.run([held.assign(drawn(held.op.name, *held.shape.as_list())) for held in layer.weights])
    tf.train.Checkpoint(net=layer).write(str(folder / "model.ckpt"), session=session)
    write(tf.train.export_meta_graph(), folder / "model.ckpt.meta")
    return Case("ckpt_meta", "tf.train.Checkpoint with an exported MetaGraph", prefix="model.ckpt", calls=(DENSE_CALL,))


def mutable_tables_checkpoint(folder: Path) -> Case:
    """Contents of mutable tables in a checkpoint."""
    keys = tf.placeholder(tf.int64, [None], name="keys")
    vectors = lookup.MutableHashTable(tf.int64, tf.float32, [0.0, 0.0], name="vectors")
    dense = lookup.MutableDenseHashTable(
        tf.int64, tf.int64, default_value=-1, empty_key=-7, deleted_key=-8, name="dense", initial_num_buckets=8
    )
    tf.multiply(vectors.lookup(keys), variable("scale", 2), name="vector")
    tf.identity(dense.lookup(keys), name="number")
    session = started()
    three = np.array([1, 2, 3])
    session.run([vectors.insert(three, drawn("vectors", 3, 2)), dense.insert(three, three * 10)])
    prefix = save_checkpoint(session, folder)
    call = Call({"keys": np.array([3, 1, 9])}, ("vector", "number"))
    return Case("ckpt_meta", "MutableHashTable and MutableDenseHashTable", prefix=prefix, calls=(call,))


def first_version_truncated_checkpoint(folder: Path) -> Case:
    """A checkpoint file of the first format, cut."""
    inputs = tf.placeholder(tf.float32, [None, 6], name="x")
    tf.matmul(inputs, variable("kernel", 6, 40), name="y")
    prefix = save_checkpoint(started(), folder, write_version=tf.train.SaverDef.V1)
    path = folder / prefix
    path.write_bytes(path.read_bytes()[:-100])
    return Case("ckpt_meta", "the last 100 bytes of the file are missing", "error", prefix=prefix)
