"""Make the Estimator's directory and the answers of its export again: ``python -m tests.goldens.make_estimator``.

Under TensorFlow 1.15.5. The directory is what training left: no export lies in it.
"""

from __future__ import annotations  # Python 3.7 runs this

import gzip
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow.compat.v1 as tf  # noqa: TID253 - its version is what matters

FOLDER = Path(__file__).resolve().parent / "estimator"
PREFIX = "model.ckpt-8"
ROWS = 64


def columns() -> tuple[list[Any], list[Any]]:
    """Return wide and deep columns of every usual kind."""
    of = tf.feature_column
    age = of.numeric_column("age")
    children = of.numeric_column("children", normalizer_fn=lambda count: (tf.cast(count, tf.float32) - 1.0) / 2.0)
    pair = of.numeric_column("pair_2", shape=(2,))
    ages = of.bucketized_column(age, [25.0, 40.0, 60.0])
    job = of.categorical_column_with_vocabulary_list("job", ["engineer", "doctor", "lawyer"], num_oov_buckets=1)
    tags, number = (
        of.categorical_column_with_hash_bucket("tags", 7),
        of.categorical_column_with_identity("number", 100, 0),
    )
    crossed = of.crossed_column([ages, job], 20)
    embedded = [of.embedding_column(job, 3), of.embedding_column(number, 2, combiner="sqrtn")]
    return [ages, job, tags, crossed], [age, children, pair, ages, of.indicator_column(tags), *embedded]


def batches() -> Any:
    """Draw what the model is trained with."""
    draw = np.random.RandomState(0)
    names, tags = np.array(["engineer", "doctor", "lawyer", "poet"]), np.array([["x", "y"], ["y", ""], ["", ""]])
    features = {
        "age": draw.uniform(20, 70, ROWS).astype("f4"),
        "children": draw.randint(0, 5, ROWS),
        "pair_2": draw.randn(ROWS, 2).astype("f4"),
        "job": names[draw.randint(0, 4, ROWS)],
        "number": draw.randint(0, 100, ROWS),
        "tags": tags[draw.randint(0, 3, ROWS)],
    }
    labels = np.array(["low", "middle", "high"])[draw.randint(0, 3, ROWS)]
    return tf.data.Dataset.from_tensor_slices((features, labels)).repeat().batch(16)


def examples() -> list[bytes]:
    """Return examples of which some lack a category and some have several."""
    rows: tuple[dict[str, list[Any]], ...] = (
        {"age": [21.5], "children": [2.0], "pair_2": [0.5, -1.0], "job": ["engineer"], "tags": ["x", "y"]},
        {"age": [35.0], "children": [0.0], "pair_2": [1.0, 2.0], "job": ["doctor", "lawyer"], "number": [99]},
        {"age": [44.0], "children": [4.0], "pair_2": [0.0, 0.0]},
        {"age": [66.0], "children": [1.0], "pair_2": [3.0, 0.0], "tags": ["x", "x", "z"], "number": [5, 6, 7]},
    )
    return [_example(row).SerializeToString() for row in rows]


def _example(row: dict[str, list[Any]]) -> Any:
    kinds = {
        str: lambda values: {"bytes_list": tf.train.BytesList(value=[value.encode() for value in values])},
        float: lambda values: {"float_list": tf.train.FloatList(value=values)},
        int: lambda values: {"int64_list": tf.train.Int64List(value=values)},
    }
    features = {name: tf.train.Feature(**kinds[type(values[0])](values)) for name, values in row.items()}
    return tf.train.Example(features=tf.train.Features(feature=features))


def make(folder: Path, scratch: Path) -> None:
    """Train, keep the checkpoint with its graph, and record what the export of the same weights answers."""
    wide, deep = columns()
    estimator = tf.estimator.DNNLinearCombinedClassifier(
        linear_feature_columns=wide,
        dnn_feature_columns=deep,
        dnn_hidden_units=[8],
        n_classes=3,
        label_vocabulary=["low", "middle", "high"],
        config=tf.estimator.RunConfig(model_dir=str(scratch / "run"), tf_random_seed=3),
    )
    estimator.train(batches, steps=8)
    receiver = tf.estimator.export.build_parsing_serving_input_receiver_fn(
        tf.feature_column.make_parse_example_spec([*wide, *deep])
    )
    exported = estimator.export_saved_model(str(scratch / "export"), receiver).decode()
    folder.mkdir(parents=True, exist_ok=True)
    for path in (scratch / "run").glob(f"{PREFIX}.[di]*"):
        shutil.copy(str(path), str(folder / path.name))
    graph = (scratch / "run" / f"{PREFIX}.meta").read_bytes()
    (folder / f"{PREFIX}.meta.gz").write_bytes(gzip.compress(graph))
    np.savez(str(folder / "answers.npz"), **answers(exported))


def answers(exported: str) -> dict[str, Any]:
    """Ask the export's ``predict``."""
    with tf.Graph().as_default(), tf.Session() as session:
        signature = tf.saved_model.load(session, ["serve"], exported).signature_def["predict"]
        fetches = {key: info.name for key, info in signature.outputs.items()}
        said = session.run(fetches, {signature.inputs["examples"].name: examples()})
    serialized = {f"example_{number}": np.frombuffer(one, "u1") for number, one in enumerate(examples())}
    return {**serialized, **{key: one.astype("S") if one.dtype == object else one for key, one in said.items()}}


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as directory:
        make(FOLDER, Path(directory))
    sys.stdout.write(f"{FOLDER}\n")
