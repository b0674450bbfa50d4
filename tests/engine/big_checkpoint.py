"""A TF1 checkpoint of any size with its MetaGraph: ``python -m tests.engine.big_checkpoint DIRECTORY BYTES``.

An embedding and dense layers behind it, every value a random number. It is written one variable at a time, so that a
checkpoint may be larger than the memory that makes it.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import tensorflow as tf

v1 = tf.compat.v1

WIDTH: Final = 4096
"""Of the layers, whose kernels then have 64 MiB each."""

MOST_EMBEDDED_BYTES: Final = 2**30
"""But for what does not make a whole layer."""

TAKEN: Final = 8
"""How many rows of the embedding an example takes."""


def make(directory: Path, size_bytes: int, layers: int = 0, width: int = WIDTH) -> None:
    """Write ``model.ckpt`` of this size; its largest variable is a quarter of it, 1 GiB, or what `layers` leave."""
    directory.mkdir(parents=True)
    layers = layers or max((size_bytes - min(size_bytes // 4, MOST_EMBEDDED_BYTES)) // (4 * width * width), 1)
    rows = size_bytes // (4 * width) - layers * width
    path = str(directory / "model.ckpt")
    with tf.Graph().as_default():
        _network([rows, width], [width, width], layers)
        v1.train.export_meta_graph(f"{path}.meta", saver_def=v1.train.Saver().as_saver_def())
        shapes = {variable.op.name: variable.shape.as_list() for variable in v1.global_variables()}
    numbers = np.random.default_rng(0)
    parts = [f"{path}.{number}" for number in range(len(shapes))]
    for part, (name, shape) in zip(parts, shapes.items(), strict=True):
        _write(part, name, _values(numbers, shape))
    tf.raw_ops.MergeV2Checkpoints(checkpoint_prefixes=parts, destination_prefix=path)


def _network(table: Sequence[int], kernel: Sequence[int], layers: int) -> None:
    ids = v1.placeholder(tf.int32, [None, TAKEN], name="ids")
    held = v1.get_variable("embedding", table, use_resource=False)
    hidden = tf.reduce_sum(tf.gather(held, ids), axis=1)
    for number in range(layers):
        hidden = tf.nn.relu(tf.matmul(hidden, v1.get_variable(f"dense_{number}/kernel", kernel, use_resource=False)))
    tf.identity(hidden[:, :16], name="scores")


def _values(numbers: np.random.Generator, shape: Sequence[int]) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """Return numbers that keep the scale of what goes through so many layers with ReLU."""
    values = numbers.random(shape, dtype=np.float32)
    values -= np.float32(0.5)
    values *= np.float32(2 * np.sqrt(6 / shape[-1]))
    return values


def _write(prefix: str, name: str, values: np.ndarray[tuple[int, ...], np.dtype[np.float32]]) -> None:
    tf.raw_ops.SaveV2(prefix=prefix, tensor_names=[name], shape_and_slices=[""], tensors=[tf.constant(values)])


if __name__ == "__main__":
    make(Path(sys.argv[1]), int(sys.argv[2]))
