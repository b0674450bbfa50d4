"""The models of the bench, as TF1 frozen graphs: python -m tests.bench.networks NAME FILE writes one.

Weights are random; batch norms hold the statistics of a run over random images, so that what is
computed stays in the range of a trained network.
"""

import json
import math
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import tensorflow as tf

from tests.bench.layers import BRANCH_GAIN, Array, Layers
from tests.bench.ssd import ssd

Build = Callable[[Layers, Any], dict[str, Any]]
"""Adds a network on a batch of inputs to the default graph, and returns its outputs by name."""


@dataclass(frozen=True, kw_only=True)
class Network:
    """One input, ``inputs``, of a free batch size."""

    shape: tuple[int, ...]
    dtype: Any
    build: Build

    def examples(self, count: int, seed: int) -> Array:
        """Return random inputs; integers are tokens."""
        draw = np.random.default_rng(seed)
        if self.dtype == tf.int32:
            return draw.integers(0, VOCABULARY, (count, *self.shape), dtype=np.int32)
        return draw.normal(0, 1, (count, *self.shape)).astype(np.float32)


VOCABULARY: Final = 30522  # BERT's uncased one


def resnet50(layers: Layers, images: Any) -> dict[str, Any]:
    """Build ResNet-50 with the stride in the 3 x 3 convolutions, as torchvision's and MLPerf's ("v1.5")."""
    x = layers.conv_bn(images, 64, 7, 2)
    x = tf.nn.max_pool2d(x, 3, 2, "SAME")
    for width, units, stride in ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2)):
        for unit in range(units):
            x = _bottleneck(layers, x, width, stride if unit == 0 else 1, widens=unit == 0)
    return {"logits": layers.dense(tf.reduce_mean(x, [1, 2]), 1000)}


def _bottleneck(layers: Layers, x: Any, width: int, stride: int, *, widens: bool) -> Any:
    shortcut = layers.conv_bn(x, 4 * width, 1, stride, tf.identity) if widens else x
    y = layers.conv_bn(layers.conv_bn(x, width, 1), width, 3, stride)
    return tf.nn.relu(layers.batch_norm(layers.conv(y, 4 * width, 1), BRANCH_GAIN) + shortcut)


def mobilenet_v2(layers: Layers, images: Any) -> dict[str, Any]:
    """Build MobileNet v2 of width 1 (Sandler et al. 2018, table 2)."""
    x = layers.mobilenet_v2(images)[-1]
    return {"logits": layers.dense(tf.reduce_mean(x, [1, 2]), 1000)}


def bert(layers: Layers, tokens: Any) -> dict[str, Any]:
    """Build an encoder as BERT-base: 12 layers, 768 wide, 12 heads; the tanh form of GELU, as its code has."""
    length, width = tokens.shape[1], 768
    x = tf.gather(layers.weights(VOCABULARY, width, scale=0.02), tokens) + layers.weights(1, length, width, scale=0.02)
    x = tf.reshape(layers.layer_norm(x), [-1, width])
    for _ in range(12):
        x = layers.layer_norm(x + layers.dense(_attention(layers, x, length, 12), width, rows=length))
        wide = _gelu(layers.dense(x, 4 * width, rows=length))
        x = layers.layer_norm(x + layers.dense(wide, width, rows=length))
    return {"encoded": tf.reshape(x, [-1, length, width])}


def _attention(layers: Layers, x: Any, length: int, heads: int) -> Any:
    width = x.shape[-1]
    size = width // heads

    def head() -> Any:
        projected = tf.reshape(layers.dense(x, width, rows=length), [-1, length, heads, size])
        return tf.transpose(projected, [0, 2, 1, 3])

    query, key, value = head(), head(), head()
    layers.macs += 2 * length * length * width  # scores, and the values weighted by them
    scores = tf.nn.softmax(tf.matmul(query, key, transpose_b=True) * (1 / math.sqrt(size)))
    return tf.reshape(tf.transpose(tf.matmul(scores, value), [0, 2, 1, 3]), [-1, width])


def _gelu(x: Any) -> Any:
    return x * (0.5 * (1.0 + tf.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * tf.pow(x, 3.0)))))


def lstm(layers: Layers, sequence: Any) -> dict[str, Any]:
    """Build two LSTMs of 512 units over 64 steps, each a TF1 loop, and a classifier on the last state."""
    for _ in range(2):
        sequence = _unrolled(layers, sequence, 512)
    return {"logits": layers.dense(sequence[:, -1], 1000)}


def _unrolled(layers: Layers, sequence: Any, units: int) -> Any:
    """Return the states of ``dynamic_rnn`` over a ``BasicLSTMCell``, in their nodes."""
    batch, steps, width = tf.shape(sequence)[0], sequence.shape[1], sequence.shape[2]
    kernel, bias = layers.weights(width + units, 4 * units, scale=math.sqrt(1 / (width + units))), tf.zeros([4 * units])
    layers.macs += steps * (width + units) * 4 * units
    elements = tf.TensorArray(tf.float32, steps).unstack(tf.transpose(sequence, [1, 0, 2]))

    def step(time: Any, c: Any, h: Any, states: Any) -> tuple[Any, ...]:
        product = tf.matmul(tf.concat([tf.reshape(elements.read(time), [-1, width]), h], 1), kernel)
        i, j, f, o = tf.split(tf.nn.bias_add(product, bias), 4, axis=1)
        c = tf.sigmoid(f + 1.0) * c + tf.sigmoid(i) * tf.tanh(j)
        h = tf.sigmoid(o) * tf.tanh(c)
        return time + 1, c, h, states.write(time, h)

    zero = tf.zeros(tf.stack([batch, units]))
    zero.set_shape([None, units])
    start = (tf.constant(0), zero, zero, tf.TensorArray(tf.float32, steps))
    _, _, _, states = tf.while_loop(lambda time, *_: time < steps, step, start)
    stacked = tf.transpose(states.stack(), [1, 0, 2])
    stacked.set_shape([None, steps, units])
    return stacked


NETWORKS: Final = {
    "resnet50": Network(shape=(224, 224, 3), dtype=tf.float32, build=resnet50),
    "mobilenet_v2": Network(shape=(224, 224, 3), dtype=tf.float32, build=mobilenet_v2),
    "bert": Network(shape=(128,), dtype=tf.int32, build=bert),
    "ssd": Network(shape=(300, 300, 3), dtype=tf.float32, build=ssd),
    "lstm": Network(shape=(64, 128), dtype=tf.float32, build=lstm),
}


def write(name: str, file: Path, seed: int = 0) -> int:
    """Write a frozen graph; returns the multiply-adds of one example."""
    network, statistics = NETWORKS[name], list[tuple[Array, Array]]()
    graph, layers, _ = built(network, Layers(seed))
    if layers.observed:
        with tf.compat.v1.Session(graph=graph) as session:
            statistics = session.run(layers.observed, {"inputs:0": network.examples(8, seed)})
        graph, layers, _ = built(network, Layers(seed, statistics))
    file.write_bytes(graph.as_graph_def().SerializeToString())
    return layers.macs


def built(network: Network, layers: Layers) -> tuple[Any, Layers, list[str]]:
    """Return a graph of the network, what built it, and the names of its outputs."""
    with tf.Graph().as_default() as graph:
        inputs = tf.compat.v1.placeholder(network.dtype, [None, *network.shape], name="inputs")
        outputs = network.build(layers, inputs)
        names = [tf.identity(value, name=name).op.name for name, value in outputs.items()]
    return graph, layers, names


def main(name: str, directory: Path) -> None:
    """Write a network's graph, some of its inputs and what there is to know of it below `directory`."""
    tf.compat.v1.disable_control_flow_v2()  # loops as TF1 has them
    macs = write(name, directory / "frozen.pb")
    np.save(directory / "inputs.npy", NETWORKS[name].examples(EXAMPLES, 1))
    (directory / "network.json").write_text(json.dumps({"flop": 2 * macs}))


EXAMPLES: Final = 32
"""Larger batches repeat these."""

if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
