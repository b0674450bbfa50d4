from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.framework import types_pb2
from tensorflow.core.framework.attr_value_pb2 import AttrValue

from job.engine.graph import Graph, GraphDef, NodeDef, attribute, edge_of
from job.engine.variants import FOLDED
from job.engine.variants.base import FrozenGraph
from job.engine.variants.constants import fold_constants
from job.engine.variants.editing import constant, with_nodes
from job.engine.variants.layout import _without_detours, channels_last
from tests.engine.models import v1
from tests.engine.variants.frozen import answers, assert_same, frozen, ops
from tests.engine.variants.nets import normal, positive
from tests.engine.variants.test_fold_batch_norm import fused

GOLDEN = Path(__file__).parents[4] / "shared/goldens/nchw_frozen"

X = np.random.default_rng(0).normal(size=(2, 4, 8, 6)).astype(np.float32)
"""Every axis has a size of its own."""


LAYOUTS = {b"NCHW": (b"NHWC", [0, 2, 3, 1], [0, 3, 1, 2]), b"NCDHW": (b"NDHWC", [0, 2, 3, 4, 1], [0, 4, 1, 2, 3])}
FLOAT, INT32 = types_pb2.DT_FLOAT, types_pb2.DT_INT32
TRANSPOSE = {"T": AttrValue(type=FLOAT), "Tperm": AttrValue(type=INT32)}
GATHER = {name: AttrValue(type=INT32) for name in ("Tparams", "Tindices", "Taxis")}


def conv(x: Any, *, seed: int = 1, out: int = 4, stride: int = 1, padding: Any = "SAME") -> Any:
    weights = normal(seed, 3, 3, x.shape[1], out)
    return tf.nn.conv2d(x, weights, stride, padding, data_format="NCHW")


def _pooled(x: Any) -> Any:
    most = tf.nn.max_pool2d(conv(x), 3, 2, "SAME", data_format="NCHW")
    return tf.nn.avg_pool2d(most, 2, 1, "VALID", data_format="NCHW")


def _depthwise(x: Any) -> Any:
    deep = tf.nn.depthwise_conv2d(conv(x), normal(2, 3, 3, 4, 2), [1, 1, 1, 1], "SAME", data_format="NCHW")
    return tf.nn.relu6(tf.nn.bias_add(deep, normal(3, 8), data_format="NCHW"))


def _deconvolved(x: Any) -> Any:
    shape = tf.stack([tf.shape(x)[0], 5, 16, 12])
    return tf.nn.conv2d_transpose(conv(x), normal(2, 2, 2, 5, 4), shape, 2, data_format="NCHW")


def _volumes(x: Any) -> Any:
    return tf.nn.conv3d(x[:, :, None], normal(1, 1, 3, 3, 4, 5), [1] * 5, "SAME", data_format="NCDHW")


def _recurring(x: Any) -> Any:
    def body(step: Any, state: Any) -> tuple[Any, Any]:
        return step + 1, tf.tanh(conv(state, out=4) + x)

    return v1.while_loop(lambda step, _: step < 3, body, (0, x))[1]


TURNED: dict[str, Callable[[Any], Any]] = {
    "a convolution": conv,
    "a bias and an activation": lambda x: tf.nn.relu(
        tf.nn.bias_add(conv(x, stride=2), normal(2, 4), data_format="NCHW")
    ),
    "a batch norm": lambda x: fused(conv(x), "NCHW"),
    "pools": _pooled,
    "a depthwise convolution": _depthwise,
    "a transposed convolution": _deconvolved,
    "a pad between": lambda x: conv(
        tf.pad(conv(x), [[0, 0], [0, 0], [1, 2], [0, 1]]), seed=2, stride=2, padding="VALID"
    ),
    "volumes": lambda x: tf.nn.relu(tf.nn.bias_add(_volumes(x), normal(2, 5), data_format="NCDHW")),
    "depth to space": lambda x: tf.nn.depth_to_space(conv(x), 2, data_format="NCHW"),
    "explicit paddings": lambda x: conv(x, stride=2, padding=[[0, 0], [0, 0], [1, 2], [0, 1]]),
    "a residual branch": lambda x: conv(tf.nn.relu(conv(x) + x), seed=2),
    "a scale of channels": lambda x: conv(conv(x) * positive(2, 4, 1, 1), seed=2),
    "channels put together": lambda x: conv(tf.concat([conv(x), conv(x, seed=2, out=3)], 1), seed=3),
    "a mean over places": lambda x: tf.reduce_mean(conv(x), [2, 3]) @ normal(2, 4, 3),
    "a flattened end": lambda x: tf.reshape(conv(x), [-1, 192]) @ normal(2, 192, 3),
    "a shape that is asked for": lambda x: tf.reshape(conv(x), tf.shape(x)),
}


def spelled_out(graph: FrozenGraph) -> FrozenGraph:
    """Return a graph with Transposes around what no CPU computes without oneDNN: ops that have channels first."""
    nodes = list[NodeDef]()
    for node in graph.graph_def.node:
        layout = attribute(node, "data_format")
        stays = layout is None or layout.s not in LAYOUTS or node.op == "BiasAdd"
        nodes += [node] if stays else _spelled_out(node)
    return with_nodes(graph, nodes)


def _spelled_out(node: NodeDef) -> Iterator[NodeDef]:
    inner, name, data = NodeDef(), node.name, 2 if node.op == "Conv2DBackpropInput" else 0
    inner.CopyFrom(node)
    inner.name = f"{name}/inner"
    inner.attr["data_format"].s, last, first = LAYOUTS[attribute(node, "data_format").s]
    for attr in {"strides", "ksize", "dilations"} & set(node.attr):
        inner.attr[attr].list.i[:] = [node.attr[attr].list.i[axis] for axis in last]
    if pads := node.attr["explicit_paddings"].list.i:
        inner.attr["explicit_paddings"].list.i[:] = np.reshape(pads, [4, 2])[last].ravel().tolist()
    for what, value in (("last", last), ("first", first), ("axis", 0)):
        order = constant(f"{name}/{what}", np.asarray(value, np.int32), INT32)
        order.input.append(f"^{edge_of(node.input[data]).node}")  # it may be in a loop
        yield order
    if data:
        inner.input[0] = f"{name}/sizes"
        yield NodeDef(
            name=inner.input[0], op="GatherV2", input=[node.input[0], f"{name}/last", f"{name}/axis"], attr=GATHER
        )
    inner.input[data] = f"{name}/before"
    yield NodeDef(name=inner.input[data], op="Transpose", input=[node.input[data], f"{name}/last"], attr=TRANSPOSE)
    yield inner
    yield NodeDef(name=name, op="Transpose", input=[inner.name, f"{name}/first"], attr=TRANSPOSE)


def layouts(graph: FrozenGraph) -> set[bytes]:
    """Return the layouts that the graph's ops compute in."""
    told = (attribute(node, "data_format") for node in graph.graph_def.node)
    return {layout.s for layout in told if layout is not None}


def built(change: Callable[[Any], Any], *, size: int | None = None) -> FrozenGraph:
    def build() -> Any:
        x = v1.placeholder(tf.float32, [size, 4, 8, 6])
        return [x], [change(x)]

    return fold_constants(frozen(build), "cpu")[0]


@pytest.mark.parametrize("what", TURNED)
def test_channels_come_last(what: str) -> None:
    """Every op that has a layout has the CPU's, and each answer is what and where it was."""
    before = built(TURNED[what])
    after, changes = channels_last(before, "cpu")
    assert_same(spelled_out(before), after, X)
    assert layouts(after) <= {b"NHWC", b"NDHWC"}
    assert len(changes) == 1
    assert not any(node.device for node in after.graph_def.node)


def test_turned_back_only_at_the_ends() -> None:
    """Between the layers there is no Transpose, and what a model does to its own input goes with the new one."""
    before = built(lambda x: _depthwise(tf.nn.relu(conv(x) + x)))
    after, _ = channels_last(before, "cpu")
    assert ops(after)["Transpose"] == 3  # x on two ways, and the answer

    def turning() -> Any:
        x = v1.placeholder(tf.float32, [None, 8, 6, 4])
        return [x], [tf.transpose(_pooled(tf.transpose(x, [0, 3, 1, 2])), [0, 2, 3, 1])]

    assert not ops(channels_last(fold_constants(frozen(turning), "cpu")[0], "cpu")[0])["Transpose"]


def test_transposes_in_a_row_become_one() -> None:
    """What remains of several is their product."""

    def build() -> Any:
        x = v1.placeholder(tf.float32, [None, 6, 4, 8])
        return [x], [conv(tf.transpose(x, [0, 2, 3, 1]))]

    before = fold_constants(frozen(build), "cpu")[0]
    after, _ = channels_last(before, "cpu")
    assert_same(spelled_out(before), after, X.transpose(0, 3, 1, 2))
    assert ops(after) == {"Transpose": 2, "Conv2D": 1}


def test_a_transpose_by_computed_axes_stays() -> None:
    """What is not known now is left as it is, and the transposes before it still become one."""

    def build() -> Any:
        x, axes = v1.placeholder(tf.float32, [2, 3, 4, 5], name="x"), v1.placeholder(tf.int32, [4], name="axes")
        turned = tf.transpose(tf.transpose(x, [0, 2, 3, 1]), [0, 2, 3, 1])
        return [x, axes], [tf.transpose(turned, axes)]

    graph = frozen(build)
    one = _without_detours(graph)
    assert ops(one)["Transpose"] == 2
    feeds = (np.arange(120, dtype=np.float32).reshape(2, 3, 4, 5), np.array([3, 1, 0, 2], np.int32))
    (mine,), (theirs,) = answers(one, *feeds), answers(graph, *feeds)
    np.testing.assert_array_equal(mine, theirs)


def test_several_answers() -> None:
    """Answers from between the layers, the same one twice, and one of an op that has a layout itself."""

    def build() -> Any:
        x = v1.placeholder(tf.float32, [None, 4, 8, 6])
        first = conv(x)
        second = tf.nn.relu(first)
        return [x], [second, conv(second, seed=2), first, second, tf.identity(x)]

    before = frozen(build)
    after, _ = channels_last(before, "cpu")
    assert_same(spelled_out(before), after, X)
    assert layouts(after) <= {b"NHWC", b"NDHWC"}


def test_in_loops() -> None:
    """In a loop of TF1's the answers hold, whatever of it can be turned."""
    before = built(_recurring)
    after, _ = channels_last(before, "cpu")
    assert_same(spelled_out(before), after, X)


LEFT: dict[str, Callable[[Any], Any]] = {
    "channels that come last": lambda x: tf.nn.conv2d(x, normal(1, 3, 3, 6, 4), 1, "SAME"),
    "what cannot be turned whole": lambda x: tf.nn.max_pool3d(_volumes(x), 2, 1, "SAME", data_format="NCDHW"),
    "nothing that has a layout": lambda x: tf.nn.relu(tf.transpose(x, [0, 2, 3, 1])),
}


@pytest.mark.parametrize("what", LEFT)
def test_what_is_left_alone(what: str) -> None:
    """Where no op has its channels first, or one would keep them, nothing is rewritten."""
    before = built(LEFT[what])
    assert channels_last(before, "cpu") == (before, ())


def test_gpus_are_left_alone() -> None:
    """On a GPU TensorFlow chooses the layout when it loads a model."""
    before = built(conv)
    assert channels_last(before, "gpu") == (before, ())


@pytest.mark.skipif(not GOLDEN.is_dir(), reason="no goldens beside the repository")
def test_golden() -> None:
    """What TF 1.15 wrote answers, by a CPU's plain kernels, as the same weights do in its other layout."""
    graph_def = GraphDef.FromString((GOLDEN / "frozen.pb").read_bytes())
    graph = FrozenGraph(graph_def=graph_def, inputs=("images:0",), outputs=("logits_nchw:0",))
    for one in FOLDED:
        graph, _ = one(graph, "cpu")
    golden = np.load(GOLDEN / "golden.npz")
    np.testing.assert_allclose(answers(graph, golden["in_images"])[0], golden["out_logits"], rtol=0, atol=1e-5)
    assert ops(graph) == {"Conv2D": 1, "BiasAdd": 2, "Relu": 1, "MaxPool": 1, "Mean": 1, "MatMul": 1}


def test_twice_is_the_same() -> None:
    """The same model gives the same bytes."""
    first, second = (channels_last(built(_depthwise), "cpu")[0] for _ in range(2))
    assert first.graph_def.SerializeToString(deterministic=True) == second.graph_def.SerializeToString(
        deterministic=True
    )
    assert len(Graph(first.graph_def).nodes) < 20
    assert len(answers(first, X)) == 1
