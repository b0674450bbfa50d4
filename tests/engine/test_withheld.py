from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from job.engine.assembling import read_source
from job.engine.exporting import export
from job.engine.lift import lift
from job.engine.withheld import Withheld
from job.errors import Internal, Refused
from job.records import ArtifactOptions, ConvertResult, Format
from job.requests import ConvertRequest, SourceRequest
from job.workers import Forkserver
from tests.engine.models import converted, graph_of, v1

MB = 10**6
DTYPES = (tf.float16, tf.bfloat16, tf.float32, tf.float64)


def numbers(size: int, dtype: tf.DType) -> np.ndarray[Any, Any]:
    return np.random.default_rng(size).normal(size=[2**16, 1 + size]).astype(dtype.as_numpy_dtype)


def saved_with(graph_def: tf.compat.v1.GraphDef) -> saved_model_pb2.SavedModel:
    saved_model = saved_model_pb2.SavedModel()
    saved_model.meta_graphs.add().graph_def.CopyFrom(graph_def)
    return saved_model


def frozen(folder: Path, build: Callable[[], object]) -> SourceRequest:
    (folder / "frozen.pb").write_bytes(graph_of(build).SerializeToString())
    return SourceRequest(format=Format.GRAPH_DEF, directory=str(folder), entry="frozen.pb")


def net() -> None:
    """Look up rows of a large table of each type, two of one shape among them."""
    x = v1.placeholder(tf.int32, [None], name="x")
    tables = [numbers(size, dtype) for size, dtype in enumerate(DTYPES)]
    tables.append(-tables[-1])
    for size, table in enumerate(tables):
        tf.gather(tf.constant(table, name=f"table_{size}"), x, name=f"y_{size}")


def test_the_file_has_every_weight_bit_for_bit(tmp_path: Path) -> None:
    """Each stand-in gets its own constant back, of whatever type, and nothing in the file tells that there was one."""
    model = converted(frozen(tmp_path, net), tmp_path)
    rows = np.array([0, 7, 2**16 - 1], np.int32)
    said = tf.saved_model.load(str(model.directory)).signatures["serving_default"](x=tf.constant(rows))
    for size, dtype in enumerate((*DTYPES, DTYPES[-1])):
        table = numbers(min(size, 3), dtype)
        expected = (-table if size == len(DTYPES) else table)[rows]
        assert said[f"y_{size}"].dtype == dtype
        assert said[f"y_{size}"].numpy().tobytes() == expected.tobytes()
    assert b"_tf1lift" not in (model.directory / "saved_model.pb").read_bytes()


def test_tensorflow_sees_no_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What TensorFlow writes has no weights yet, however many functions they are in."""
    source = read_source(frozen(tmp_path, net))
    written = list[int]()
    monkeypatch.setattr(Withheld, "put_into", lambda _, saved_model: written.append(saved_model.ByteSize()))
    export(lift(source, allow_nonfinite=False), source, str(tmp_path / "out"), scratch="/no/such/place")
    assert written[0] < 2**16


def test_a_model_that_is_to_run_has_its_weights(tmp_path: Path) -> None:
    """Whoever looks for the node that differs runs what was lifted, and it is the same model."""
    source = read_source(frozen(tmp_path, net))
    model = lift(source, allow_nonfinite=False, is_to_run=True)
    said = model.functions["serving_default"](x=tf.constant([3]))
    assert said["y_2"].numpy().tobytes() == numbers(2, tf.float32)[3:4].tobytes()


def two_heads() -> None:
    x = v1.placeholder(tf.float32, [None, 128], name="x")
    for name, sign in (("y", 1.0), ("z", -1.0)):
        tf.matmul(x, tf.constant(np.full([128, 256], sign, np.float32)), name=name)


def a_default() -> None:
    default = tf.constant(np.ones([128, 256], np.float32))
    tf.identity(2.0 * v1.placeholder_with_default(default, [None, 256], name="x"), name="y")


def a_size_from_a_weight() -> None:
    x = v1.placeholder(tf.float32, [None], name="x")
    table = tf.constant(np.full([256, 128], 3, np.float32))
    size = tf.cast(table[0, :2], tf.int32)
    tf.add(tf.reshape(tf.fill(size, 1.0), [9, 1]), x, name="y")


@pytest.mark.parametrize(
    ("build", "options", "feed"),
    [
        (two_heads, ArtifactOptions(outputs={"y": "y"}), np.ones([2, 128], np.float32)),
        (a_default, ArtifactOptions(), np.ones([2, 256], np.float32)),
        (a_size_from_a_weight, ArtifactOptions(), np.ones([2], np.float32)),
    ],
)
def test_weights_that_no_output_needs_or_that_decide_a_shape(
    tmp_path: Path, build: Callable[[], object], options: ArtifactOptions, feed: np.ndarray[Any, Any]
) -> None:
    """What is cut off is not missed, and no shape is taken from what stands in for a weight."""
    model = converted(replace(frozen(tmp_path, build), options=options), tmp_path)
    with tf.Graph().as_default() as graph, v1.Session() as session:
        tf.import_graph_def(graph_of(build), name="")
        (expected,) = session.run([graph.get_tensor_by_name("y:0")], {"x:0": feed})
    said = tf.saved_model.load(str(model.directory)).signatures["serving_default"](x=tf.constant(feed))
    assert said["y"].numpy().tobytes() == expected.tobytes()


def test_several_signatures_each_have_the_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are put into each, and what that takes is asked for before it is done."""
    withheld, graph_def = Withheld("convert"), graph_of(net)
    saved_model = saved_with(withheld.without_weights(graph_def))
    for function in "ab":
        saved_model.meta_graphs[0].graph_def.library.function.add(
            signature={"name": function}, node_def=withheld.without_weights(graph_def).node
        )
    asked = list[int]()
    monkeypatch.setattr(
        "job.engine.withheld.check_room", lambda _stage, needed_bytes, _what: asked.append(needed_bytes)
    )
    withheld.put_into(saved_model)
    once = sum(node.ByteSize() for node in graph_def.node if node.op == "Const")
    assert 6 * once < asked[0] < 6.1 * once
    for function in saved_model.meta_graphs[0].graph_def.library.function:
        for node, original in zip(function.node_def, graph_def.node, strict=True):
            assert (node.name, node.op) == (original.name, original.op)
            assert node.attr["value"] == original.attr["value"]
            assert original.op != "Const" or "shape" not in node.attr


def test_what_was_lost_ends_the_conversion() -> None:
    """A stand-in that does not come out again would be a weight of zeros."""
    withheld = Withheld("convert")
    light = withheld.without_weights(graph_of(net))
    del light.node[[node.name for node in light.node].index("table_1")]
    with pytest.raises(Internal, match="1 weights were lost on the way to the file: table_1"):
        withheld.put_into(saved_with(light))


def test_a_models_own_attribute_is_no_mark() -> None:
    """A model that bears the attribute of another conversion's stand-ins keeps its constants."""
    marked = Withheld("convert").without_weights(graph_of(net))
    withheld = Withheld("convert")
    saved_model = saved_with(withheld.without_weights(marked))
    before = saved_model.SerializeToString(deterministic=True)
    withheld.put_into(saved_model)
    assert saved_model.SerializeToString(deterministic=True) == before


def test_more_than_a_file_can_hold_is_refused_with_its_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several signatures, each with all the weights, may come to more than 2 GiB: then there is a line, and no file."""
    monkeypatch.setattr("job.engine.withheld.MAX_PROTO_BYTES", 3 * MB)
    withheld = Withheld("convert")
    light = withheld.without_weights(graph_of(net))
    with pytest.raises(Refused, match=r"saved_model\.pb would have 0\.0 GiB"):
        withheld.put_into(saved_with(light))


def peak_bytes(forkserver: Forkserver, folder: Path, width: int) -> int:
    """Return what converting a frozen matrix of so many columns took."""

    def build() -> None:
        x = v1.placeholder(tf.float32, [None, 4096], name="x")
        tf.matmul(x, tf.constant(np.ones([4096, width], np.float32)), name="y")

    folder.mkdir()
    request = ConvertRequest(source=frozen(folder, build), saved_model=str(folder / "saved_model"))
    done, timing = forkserver.run("convert", request, ConvertResult, timeout_s=100)
    assert done.error is None
    return timing.peak_memory_bytes


@pytest.mark.slow
def test_a_frozen_graph_is_held_few_times(forkserver: Forkserver, tmp_path: Path) -> None:
    """Its weights are in the file that is read, in the graph, in the model that is made of it and in its file."""
    small, large = (peak_bytes(forkserver, tmp_path / str(width), width) for width in (32, 8192))
    assert large - small < 8 * 4 * 4096 * 8160
