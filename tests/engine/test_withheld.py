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
from job.records import ConvertResult, Format
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


def net() -> None:
    """Look up rows of a large table of each type, two of one shape among them."""
    x = v1.placeholder(tf.int32, [None], name="x")
    tables = [numbers(size, dtype) for size, dtype in enumerate(DTYPES)]
    tables.append(-tables[-1])
    for size, table in enumerate(tables):
        tf.gather(tf.constant(table, name=f"table_{size}"), x, name=f"y_{size}")


def test_the_file_has_every_weight_bit_for_bit(tmp_path: Path) -> None:
    """Each stand-in gets its own constant back, of whatever type, and nothing in the file tells that there was one."""
    Path(tmp_path, "frozen.pb").write_bytes(graph_of(net).SerializeToString())
    request = SourceRequest(format=Format.GRAPH_DEF, directory=str(tmp_path), entry="frozen.pb")
    model = converted(request, tmp_path)
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
    Path(tmp_path, "frozen.pb").write_bytes(graph_of(net).SerializeToString())
    source = read_source(SourceRequest(format=Format.GRAPH_DEF, directory=str(tmp_path), entry="frozen.pb"))
    written = list[int]()
    monkeypatch.setattr(Withheld, "put_into", lambda _, saved_model: written.append(saved_model.ByteSize()))
    export(lift(source, allow_nonfinite=False), source, str(tmp_path / "out"), scratch="/no/such/place")
    assert written[0] < 2**16


def test_a_model_that_is_to_run_has_its_weights(tmp_path: Path) -> None:
    """Whoever looks for the node that differs runs what was lifted, and it is the same model."""
    Path(tmp_path, "frozen.pb").write_bytes(graph_of(net).SerializeToString())
    source = read_source(SourceRequest(format=Format.GRAPH_DEF, directory=str(tmp_path), entry="frozen.pb"))
    model = lift(source, allow_nonfinite=False, is_to_run=True)
    said = model.functions["serving_default"](x=tf.constant([3]))
    assert said["y_2"].numpy().tobytes() == numbers(2, tf.float32)[3:4].tobytes()


def test_what_was_lost_ends_the_conversion() -> None:
    """A stand-in that does not come out again would be a weight of zeros."""
    withheld = Withheld()
    light = withheld.without_weights(graph_of(net))
    del light.node[[node.name for node in light.node].index("table_1")]
    with pytest.raises(Internal, match="1 weights were lost on the way to the file: table_1"):
        withheld.put_into(saved_with(light))


def test_a_models_own_attribute_is_no_mark() -> None:
    """A model that bears the attribute of another conversion's stand-ins keeps its constants."""
    marked = Withheld().without_weights(graph_of(net))
    withheld = Withheld()
    saved_model = saved_with(withheld.without_weights(marked))
    before = saved_model.SerializeToString(deterministic=True)
    withheld.put_into(saved_model)
    assert saved_model.SerializeToString(deterministic=True) == before


def test_more_than_a_file_can_hold_is_refused_with_its_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several signatures, each with all the weights, may come to more than 2 GiB: then there is a line, and no file."""
    monkeypatch.setattr("job.engine.withheld.MAX_PROTO_BYTES", 3 * MB)
    withheld = Withheld()
    light = withheld.without_weights(graph_of(net))
    with pytest.raises(Refused, match=r"saved_model\.pb would have 0\.0 GiB"):
        withheld.put_into(saved_with(light))


def peak_bytes(forkserver: Forkserver, folder: Path, width: int) -> int:
    """Return what converting a frozen matrix of so many columns took."""

    def build() -> None:
        x = v1.placeholder(tf.float32, [None, 4096], name="x")
        tf.matmul(x, tf.constant(np.ones([4096, width], np.float32)), name="y")

    folder.mkdir()
    (folder / "frozen.pb").write_bytes(graph_of(build).SerializeToString())
    source = SourceRequest(format=Format.GRAPH_DEF, directory=str(folder), entry="frozen.pb")
    request = ConvertRequest(source=source, saved_model=str(folder / "saved_model"))
    done, timing = forkserver.run("convert", request, ConvertResult, timeout_s=100)
    assert done.error is None
    return timing.peak_memory_bytes


@pytest.mark.slow
def test_a_frozen_graph_is_held_few_times(forkserver: Forkserver, tmp_path: Path) -> None:
    """Its weights are in the file that is read, in the graph, in the model that is made of it and in its file."""
    small, large = (peak_bytes(forkserver, tmp_path / str(width), width) for width in (32, 8192))
    assert large - small < 8 * 4 * 4096 * 8160
