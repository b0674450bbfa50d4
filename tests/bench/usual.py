"""The script that people write to convert one frozen graph: python -m tests.bench.usual SOURCE DEST INPUTS OUTPUTS.

SOURCE is the key of a GraphDef and DEST a prefix, both as ``s3://bucket/...``; INPUTS and OUTPUTS are tensor names,
divided by commas, and inputs are followed by their shapes: ``x:0=1x224x224x3``, or ``flag:0=`` for a single number.
"""

import os
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

import boto3
import numpy as np
import tensorflow as tf

CLOSE: Final = 1e-5


def main(source: str, dest: str, inputs: str, outputs: str) -> None:
    """Load, convert, save, compare, upload."""
    s3 = boto3.client("s3")
    with tempfile.TemporaryDirectory() as directory:
        frozen, saved_model = Path(directory, "frozen.pb"), Path(directory, "saved_model")
        bucket, _, key = source.removeprefix("s3://").partition("/")
        s3.download_file(bucket, key, str(frozen))
        graph_def = tf.compat.v1.GraphDef.FromString(frozen.read_bytes())
        shapes = {name: _shape(text) for name, text in (one.split("=") for one in inputs.split(","))}
        convert(graph_def, list(shapes), outputs.split(","), saved_model)
        compare(graph_def, shapes, outputs.split(","), saved_model)
        bucket, _, prefix = dest.removeprefix("s3://").partition("/")
        for path in sorted(saved_model.rglob("*")):
            if path.is_file():
                s3.upload_file(str(path), bucket, f"{prefix}/{path.relative_to(saved_model).as_posix()}")


def _shape(text: str) -> tuple[int, ...]:
    return tuple(int(size) for size in text.split("x") if size)


def convert(graph_def: Any, inputs: list[str], outputs: list[str], saved_model: Path) -> None:
    """Write a SavedModel that does what the graph did, as TensorFlow's migration guide has it."""
    wrapped = tf.compat.v1.wrap_function(lambda: tf.import_graph_def(graph_def, name=""), [])
    pruned = wrapped.prune(inputs, {f"output_{number}": name for number, name in enumerate(outputs)})
    tf.saved_model.save(tf.Module(), str(saved_model), signatures=pruned)


def compare(graph_def: Any, shapes: dict[str, tuple[int, ...]], outputs: list[str], saved_model: Path) -> None:
    """Run both on one random input."""
    with tf.Graph().as_default() as graph:
        tf.import_graph_def(graph_def, name="")
        draw = np.random.default_rng(0)
        tensors = {name: graph.get_tensor_by_name(name) for name in shapes}
        feeds = {
            name: draw.normal(size=shape).astype(tensors[name].dtype.as_numpy_dtype) for name, shape in shapes.items()
        }
        with tf.compat.v1.Session(graph=graph) as session:
            expected = session.run(outputs, feeds)
    signature = tf.saved_model.load(str(saved_model)).signatures["serving_default"]
    found = signature(**{name.partition(":")[0]: tf.constant(value) for name, value in feeds.items()})
    for number, value in enumerate(expected):
        scale = max(float(np.abs(value).max()), 1e-30)
        if np.abs(found[f"output_{number}"].numpy() - value).max() / scale > CLOSE:
            raise SystemExit(f"{outputs[number]} differs")


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    main(*sys.argv[1:])
