"""The artifacts that must convert and then answer as TensorFlow 1 did."""

from __future__ import annotations  # Python 3.7 runs this

import zlib
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow.compat.v1 as tf  # noqa: TID253 - graphs are built here

from tests.goldens.artifacts import freeze, save_checkpoint, save_model, signature, started, write_built
from tests.goldens.recording import Call, Case


def drawn(seed: str, *shape: int, low: float = -1.0, high: float = 1.0) -> Any:
    """Return uniform random values; the same for the same `seed`, whatever else was drawn."""
    return np.random.default_rng(zlib.crc32(seed.encode())).uniform(low, high, shape).astype(np.float32)


def images(size: int) -> Any:
    """Return four images of `size` x `size`, values in [0, 1): random squares four pixels wide, which pack well."""
    return drawn("images", 4, size // 4, size // 4, 3, low=0).repeat(4, axis=1).repeat(4, axis=2)


IMAGES = images(16)
VECTORS = drawn("vectors", 4, 6)
CNN_CALL = Call({"images": IMAGES}, ("logits", "probabilities"))
CNN_SERVED = Call({"images": IMAGES}, ("logits", "probabilities"), "serving_default", "serving_default")


def variable(name: str, *shape: int, use_resource: bool = False, low: float = -1.0, high: float = 1.0) -> Any:
    """Return a variable of random values."""
    values = tf.constant(drawn(name, *shape, low=low, high=high))
    return tf.get_variable(name, initializer=values, use_resource=use_resource)


def small_cnn(*, use_resource: bool = False, training: bool = False) -> None:
    """Build convolution, batch norm and a dense layer from ``images`` to ``logits`` and ``probabilities``."""
    inputs = tf.placeholder(tf.float32, [None, 16, 16, 3], name="images")
    with tf.variable_scope("net"):
        kernel = variable("conv/kernel", 3, 3, 3, 8, use_resource=use_resource)
        features = tf.nn.conv2d(inputs, kernel, [1, 2, 2, 1], "SAME")
        gamma = variable("bn/gamma", 8, use_resource=use_resource, low=0.5)
        beta = variable("bn/beta", 8, use_resource=use_resource)
        mean = variable("bn/moving_mean", 8, use_resource=use_resource)
        variance = variable("bn/moving_variance", 8, use_resource=use_resource, low=0.5, high=1.5)
        statistics = () if training else (mean, variance)
        features = tf.nn.relu(tf.nn.fused_batch_norm(features, gamma, beta, *statistics, is_training=training)[0])
        kernel = variable("dense/kernel", 8, 5, use_resource=use_resource)
        bias = variable("dense/bias", 5, use_resource=use_resource)
        logits = tf.matmul(tf.reduce_mean(features, [1, 2]), kernel) + bias
    tf.nn.softmax(tf.identity(logits, name="logits"), name="probabilities")


def cnn_signatures() -> dict[str, Any]:
    """Return the one signature of `small_cnn`."""
    return {"serving_default": signature(["images"], ["logits", "probabilities"])}


def ref_variables_saved_model(folder: Path) -> Case:
    """Reference variables in a SavedModel."""
    small_cnn()
    save_model(started(), folder / "saved_model", cnn_signatures())
    return Case("saved_model", "reference variables (VariableV2)", path="saved_model", calls=(CNN_SERVED,))


def resource_variables_saved_model(folder: Path) -> Case:
    """Resource variables in a SavedModel."""
    small_cnn(use_resource=True)
    save_model(started(), folder / "saved_model", cnn_signatures())
    return Case("saved_model", "resource variables (VarHandleOp)", path="saved_model", calls=(CNN_SERVED,))


def pbtxt_saved_model(folder: Path) -> Case:
    """A SavedModel as text."""
    small_cnn()
    save_model(started(), folder / "saved_model", cnn_signatures(), as_text=True)
    return Case("saved_model", "saved_model.pbtxt instead of .pb", path="saved_model", calls=(CNN_SERVED,))


def ref_variables_checkpoint(folder: Path) -> Case:
    """Reference variables in a checkpoint with its graph."""
    small_cnn()
    prefix = save_checkpoint(started(), folder)
    return Case("ckpt_meta", "reference variables (VariableV2)", prefix=prefix, calls=(CNN_CALL,))


def resource_variables_checkpoint(folder: Path) -> Case:
    """Resource variables in a checkpoint with its graph."""
    small_cnn(use_resource=True)
    prefix = save_checkpoint(started(), folder)
    return Case("ckpt_meta", "resource variables (VarHandleOp)", prefix=prefix, calls=(CNN_CALL,))


def sharded_checkpoint(folder: Path) -> Case:
    """Variables on two devices, one of them in two slices, each device's in a data file of its own."""
    ids = tf.placeholder(tf.int64, [None], name="ids")
    with tf.device("/cpu:0"):
        values, two = tf.constant(drawn("embedding", 10, 6)), tf.fixed_size_partitioner(2)
        slices = tf.get_variable("embedding", initializer=values, partitioner=two, use_resource=False)
    with tf.device("/cpu:1"):
        kernel = variable("kernel", 6, 5)
    tf.matmul(tf.nn.embedding_lookup(slices, ids, partition_strategy="div"), kernel, name="logits")
    prefix = save_checkpoint(started(), folder, step=1000, sharded=True)
    notes = "Saver(sharded=True), variables on cpu:0 and cpu:1, a partitioned one among them"
    return Case("ckpt_meta", notes, prefix=prefix, calls=(Call({"ids": np.array([0, 4, 5, 9])}, ("logits",)),))


def keep_prob_checkpoint(folder: Path) -> Case:
    """Dropout whose rate must be fed."""
    inputs, keep = tf.placeholder(tf.float32, [None, 6], name="x"), tf.placeholder(tf.float32, name="keep_prob")
    hidden = tf.nn.relu(tf.matmul(inputs, variable("hidden/kernel", 6, 32)))
    tf.matmul(tf.nn.dropout(hidden, keep_prob=keep), variable("logits/kernel", 32, 5), name="logits")
    prefix = save_checkpoint(started(), folder)
    call = Call({"x": VECTORS, "keep_prob": np.float32(1)}, ("logits",))
    return Case("ckpt_meta", "keep_prob is a placeholder without a default or shape", prefix=prefix, calls=(call,))


def multi_signature_saved_model(folder: Path) -> Case:
    """Three MetaGraphs that share variables; the served ones have two signatures."""
    small_cnn(training=True)
    session = started()
    builder = tf.saved_model.Builder(str(folder / "saved_model"))
    builder.add_meta_graph_and_variables(session, ["train"], cnn_signatures(), strip_default_attrs=True)
    for tags in (["serve"], ["serve", "gpu"]):
        with tf.Graph().as_default():
            small_cnn()
            tf.math.top_k(tf.get_default_graph().get_tensor_by_name("probabilities:0"), 2, name="top")
            top = signature(["images"], ["top"], images="in/the images", top="best 2")
            builder.add_meta_graph(tags, {**cnn_signatures(), "top classes": top}, strip_default_attrs=True)
    write_built(builder, folder / "saved_model/saved_model.pb")
    best = Call({"in/the images": IMAGES}, ("best 2",), "top classes", "top classes")
    trained = Call(CNN_SERVED.feeds, CNN_SERVED.fetches, "training", "serving_default", ("train",))
    on_gpu = Call(CNN_SERVED.feeds, CNN_SERVED.fetches, "serve and gpu", "serving_default", ("serve", "gpu"))
    notes = "tags {train}, {serve} and {serve, gpu}; argument names that are no identifiers"
    return Case("saved_model", notes, path="saved_model", calls=(CNN_SERVED, best, on_gpu, trained))


def recurrence(*, use_resource: bool = False) -> None:
    """Build a recurrent layer by a v1 loop whose body holds its variables, over the steps that ``x`` has."""
    inputs = tf.placeholder(tf.float32, [None, None, 6], name="x")
    steps = tf.transpose(inputs, [1, 0, 2])
    count = tf.shape(steps)[0]
    kernel, recurrent = variable("kernel", 6, 4), variable("recurrent", 4, 4, use_resource=use_resource)

    def body(step: Any, state: Any, outputs: Any) -> Any:
        state = tf.tanh(tf.matmul(steps[step], kernel) + tf.matmul(state, recurrent))
        return step + 1, state, outputs.write(step, state)

    start = tf.zeros([tf.shape(inputs)[0], 4])
    outputs = tf.TensorArray(tf.float32, size=0, dynamic_size=True)
    _, last, outputs = tf.while_loop(lambda step, *_: step < count, body, (0, start, outputs))
    tf.identity(last, name="last")
    tf.transpose(outputs.stack(), [1, 0, 2], name="outputs")


LOOP_CALLS = (
    Call({"x": drawn("long", 4, 7, 6)}, ("last", "outputs"), "seven steps"),
    Call({"x": drawn("short", 2, 3, 6)}, ("last", "outputs"), "three steps"),
)


def while_loop_frozen(folder: Path) -> Case:
    """A v1 loop over constants."""
    recurrence()
    freeze(started(), folder / "frozen.pb", ["last", "outputs"])
    notes = "while_loop (Enter, Exit, NextIteration) with a growing TensorArray"
    return Case("frozen_pb", notes, file="frozen.pb", calls=LOOP_CALLS)


def while_loop_checkpoint(folder: Path) -> Case:
    """A v1 loop over variables."""
    recurrence(use_resource=True)
    prefix = save_checkpoint(started(), folder)
    notes = "while_loop whose body reads a reference and a resource variable"
    return Case("ckpt_meta", notes, prefix=prefix, calls=LOOP_CALLS)


def branches(*, use_resource: bool = False) -> None:
    """Build a v1 cond on a fed flag, and in it one on the data, with variables in the branches."""
    inputs, flag = tf.placeholder(tf.float32, [None, 6], name="x"), tf.placeholder(tf.bool, [], name="flag")
    kernel, bias = variable("kernel", 6, 4), variable("bias", 4, use_resource=use_resource)

    def shifted() -> Any:
        projected = tf.matmul(inputs, kernel)
        return tf.cond(tf.reduce_sum(projected) > 0, lambda: projected + bias, lambda: projected - bias)

    tf.identity(tf.cond(flag, shifted, lambda: tf.nn.relu(tf.matmul(inputs, kernel))), name="y")


COND_CALLS = tuple(
    Call({"x": sign * VECTORS, "flag": np.bool_(flag)}, ("y",), f"flag {flag}, sign {sign}")
    for flag, sign in ((True, 1), (True, -1), (False, 1))
)


def cond_frozen(folder: Path) -> Case:
    """V1 branches over constants."""
    branches()
    freeze(started(), folder / "frozen.pb", ["y"])
    return Case("frozen_pb", "nested cond (Switch, Merge)", file="frozen.pb", calls=COND_CALLS)


def cond_checkpoint(folder: Path) -> Case:
    """V1 branches over variables."""
    branches(use_resource=True)
    prefix = save_checkpoint(started(), folder)
    notes = "nested cond whose branches read a reference and a resource variable"
    return Case("ckpt_meta", notes, prefix=prefix, calls=COND_CALLS)


WORDS = "the\nquick\nbrown\nfüchsin\n跳ぶ\n"
TEXTS = np.array([word.encode() for word in ("quick", "跳ぶ", "unheard-of", "the")])


def vocabulary_saved_model(folder: Path) -> Case:
    """Words to rows of an embedding and classes to their names, by tables from two asset files."""
    Path("words.txt").write_text(WORDS, encoding="utf-8")
    Path("labels.txt").write_text("cat\ndog\ncow\n", encoding="utf-8")
    words = tf.placeholder(tf.string, [None], name="words")
    lines = tf.lookup.TextFileInitializer(
        "words.txt", tf.string, tf.lookup.TextFileIndex.WHOLE_LINE, tf.int64, tf.lookup.TextFileIndex.LINE_NUMBER
    )
    ids = tf.identity(tf.lookup.StaticVocabularyTable(lines, num_oov_buckets=2).lookup(words), name="ids")
    numbers = tf.lookup.TextFileInitializer(
        "labels.txt", tf.int64, tf.lookup.TextFileIndex.LINE_NUMBER, tf.string, tf.lookup.TextFileIndex.WHOLE_LINE
    )
    logits = tf.identity(tf.gather(variable("embedding", 7, 3), ids), name="logits")
    tf.identity(tf.lookup.StaticHashTable(numbers, "?").lookup(tf.argmax(logits, axis=1)), name="label")
    outputs = ("ids", "logits", "label")
    save_model(started(), folder / "saved_model", {"serving_default": signature(["words"], list(outputs))})
    notes = "HashTableV2 from vocabulary assets, with out-of-vocabulary buckets; string to index and index to string"
    call = Call({"words": TEXTS}, outputs, "serving_default", "serving_default")
    return Case("saved_model", notes, path="saved_model", calls=(call,))


def v1_table_saved_model(folder: Path) -> Case:
    """The table op of the first releases, whose handle is a reference to a string."""
    Path("words.txt").write_text(WORDS, encoding="utf-8")
    words, asset = tf.placeholder(tf.string, [None], name="words"), tf.constant("words.txt", name="asset")
    tf.add_to_collection(tf.GraphKeys.ASSET_FILEPATHS, asset)
    table = tf.raw_ops.HashTable(key_dtype=tf.string, value_dtype=tf.int64, shared_name="words")
    filled = tf.raw_ops.InitializeTableFromTextFile(table_handle=table, filename=asset, key_index=-2, value_index=-1)
    tf.add_to_collection(tf.GraphKeys.TABLE_INITIALIZERS, filled)
    unknown = tf.constant(-1, tf.int64)
    tf.identity(tf.raw_ops.LookupTableFind(table_handle=table, keys=words, default_value=unknown), name="ids")
    save_model(started(), folder / "saved_model", {"serving_default": signature(["words"], ["ids"])})
    call = Call({"words": TEXTS}, ("ids",), "serving_default", "serving_default")
    notes = "HashTable, InitializeTableFromTextFile and LookupTableFind of the first version; no variables"
    return Case("saved_model", notes, path="saved_model", calls=(call,))
