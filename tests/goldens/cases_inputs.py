"""Artifacts with inputs that are more than one placeholder, and with graphs that are more than nodes."""

from __future__ import annotations  # Python 3.7 runs this

from pathlib import Path
from typing import Any

import numpy as np
import tensorflow.compat.v1 as tf  # noqa: TID253 - graphs are built here

from tests.goldens.artifacts import save_checkpoint, save_model, signature, started
from tests.goldens.cases import VECTORS, drawn, variable
from tests.goldens.recording import Call, Case


def examples_saved_model(folder: Path) -> Case:
    """Serialized tf.Examples with feature columns of the usual kinds."""
    column = tf.feature_column
    age, job = column.numeric_column("age"), column.categorical_column_with_vocabulary_list("job", ["cook", "smith"])
    ages, tags = column.bucketized_column(age, [25, 40]), column.categorical_column_with_hash_bucket("tags", 8)
    crossed = column.indicator_column(column.crossed_column([ages, "job"], 12))
    columns = [age, crossed, column.indicator_column(job), column.embedding_column(tags, 3, "sqrtn")]
    serialized = tf.placeholder(tf.string, [None], name="examples")
    features = tf.parse_example(serialized, column.make_parse_example_spec(columns))
    tf.sigmoid(tf.matmul(column.input_layer(features, columns), variable("kernel", 18, 1)), name="score")
    session = started()
    session.run([held.assign(drawn(held.op.name, *held.shape.as_list())) for held in tf.global_variables()])
    save_model(session, folder / "saved_model", {"serving_default": signature(["examples"], ["score"])})
    served = [_example(21.0, "cook", "a", "b"), _example(40.0, "nurse"), _example(63.0, "smith", "c")]
    call = Call({"examples": np.array(served, object)}, ("score",), "serving_default", "serving_default")
    notes = "ParseExample behind numeric, bucketized, hashed, vocabulary, crossed and embedded columns"
    return Case("saved_model", notes, path="saved_model", calls=(call,))


def _example(age: float, job: str, *tags: str) -> bytes:
    feature = {"age": tf.train.Feature(float_list=tf.train.FloatList(value=[age]))}
    for key, words in (("job", [job]), ("tags", tags)):
        values = [word.encode() for word in words]
        feature[key] = tf.train.Feature(bytes_list=tf.train.BytesList(value=values))
    example = tf.train.Example(features=tf.train.Features(feature=feature))
    return bytes(example.SerializeToString(deterministic=True))


def queue_checkpoint(folder: Path) -> Case:
    """A training graph fed by readers and queues, of files that are gone."""
    names = tf.train.string_input_producer(["/data/gone.csv"])
    _, line = tf.TextLineReader(skip_header_lines=1).read(names)
    *features, label = tf.decode_csv(line, [[0.0]] * 6 + [[0]])
    vectors, labels = tf.train.shuffle_batch([tf.stack(features), label], 4, 20, 10, name="batch")
    logits = tf.matmul(vectors, variable("kernel", 6, 3), name="logits")
    loss = tf.losses.sparse_softmax_cross_entropy(labels, logits)
    tf.train.AdamOptimizer().minimize(loss, tf.train.get_or_create_global_step())
    tf.metrics.accuracy(labels, tf.argmax(logits, axis=1, name="label"))
    prefix = save_checkpoint(started(), folder, step=7)
    call = Call({"batch": VECTORS}, ("logits", "label"))
    notes = "TextLineReader and shuffle_batch before the model, Adam, a loss and a metric behind it"
    return Case("ckpt_meta", notes, prefix=prefix, calls=(call,))


def iterator_checkpoint(folder: Path) -> Case:
    """Data from an iterator that a handle chooses."""
    data = tf.data.Dataset.from_tensor_slices({"x": drawn("data", 8, 6), "label": np.arange(8)}).batch(4)
    handle = tf.placeholder(tf.string, [], name="handle")
    tf.data.make_initializable_iterator(data).string_handle()
    batch = tf.data.Iterator.from_string_handle(handle, data.output_types, data.output_shapes).get_next()
    logits = tf.matmul(batch["x"], variable("kernel", 6, 3), name="logits")
    tf.losses.sparse_softmax_cross_entropy(batch["label"], logits)
    prefix = save_checkpoint(started(), folder)
    call = Call({batch["x"].name: VECTORS}, ("logits",))
    return Case("ckpt_meta", "feedable tf.data iterator; its second output is the batch", prefix=prefix, calls=(call,))


def odd_signatures_saved_model(folder: Path) -> Case:
    """Signatures that are legal and that nobody expects."""
    inputs, other = tf.placeholder(tf.float32, [None, 6], name="x"), tf.placeholder(tf.int64, [], name="unused")
    scalars = {kind: tf.placeholder(kind, [], name=kind) for kind in ("uint8", "bool", "string", "half", "int32")}
    tf.identity(tf.matmul(inputs, variable("kernel", 6, 2)), name="y")
    tf.constant([1, 2], tf.int16, name="constant")
    tf.add(tf.placeholder(tf.float32, None, name="any"), 1.0, name="more")
    for kind, scalar in scalars.items():
        tf.identity(scalar, name=f"same_{kind}")
    twice, renamed = signature(["x"], ["y"]), signature(["x"], ["y"], x="in/the x:0", y="class")
    twice.inputs["again"].CopyFrom(twice.inputs["x"])
    twice.outputs["again"].CopyFrom(twice.outputs["y"])
    signatures = {
        "serving_default": twice,
        "renamed": renamed,
        "input is output": signature(["x"], ["x", "constant"]),
        "no inputs": signature([], ["constant"]),
        "one is unused": signature(["x", other.op.name], ["y"]),
        "any rank": signature(["any"], ["more"]),
        "scalars": signature(list(scalars), [f"same_{kind}" for kind in scalars]),
    }
    save_model(started(), folder / "saved_model", signatures)
    values = {"uint8": np.uint8(7), "bool": np.bool_(True), "string": b"a\xc3\xbc", "half": np.float16(1.5)}
    calls: list[tuple[str, dict[str, Any], tuple[str, ...]]] = [
        ("serving_default", {"x": VECTORS, "again": VECTORS}, ("y", "again")),
        ("renamed", {"in/the x:0": VECTORS}, ("class",)),
        ("input is output", {"x": VECTORS}, ("x", "constant")),
        ("no inputs", {}, ("constant",)),
        ("one is unused", {"x": VECTORS, "unused": np.int64(1)}, ("y",)),
        ("any rank", {"any": drawn("cube", 2, 3, 2)}, ("more",)),
        ("scalars", {**values, "int32": np.int32(-3)}, tuple(f"same_{kind}" for kind in scalars)),
    ]
    notes = "one tensor under two keys, inputs as outputs, constants, no inputs, unused inputs, any rank, scalars"
    return Case(
        "saved_model", notes, path="saved_model", calls=tuple(Call(fed, said, key, key) for key, fed, said in calls)
    )


def functions_saved_model(folder: Path) -> Case:
    """Functions that call functions and read variables, with control flow of the second version in them."""
    inputs, steps = tf.placeholder(tf.float32, [None, 6], name="x"), tf.placeholder(tf.int32, [], name="steps")
    kernel, bias = variable("kernel", 6, 6, use_resource=True), variable("bias", 6, use_resource=True)

    dense = tf.function(lambda vectors: tf.tanh(tf.matmul(vectors, kernel)), autograph=False)

    def step(index: Any, state: Any) -> Any:
        positive = tf.reduce_sum(state) > 0
        return index + 1, tf.cond(positive, lambda: dense(state), lambda: dense(-state) * 2 + bias)

    def net(vectors: Any, count: Any) -> Any:
        return tf.while_loop(lambda index, _: index < count, step, (0, vectors))[1]

    tf.identity(tf.function(net, autograph=False)(inputs, steps), name="y")
    save_model(started(), folder / "saved_model", {"serving_default": signature(["x", "steps"], ["y"])})
    calls = tuple(
        Call({"x": VECTORS, "steps": np.int32(count)}, ("y",), f"{count} steps", "serving_default") for count in (1, 4)
    )
    notes = "tf.function under TF1: PartitionedCall, While and If with captured resource variables"
    return Case("saved_model", notes, path="saved_model", calls=calls)
