"""How much memory a conversion takes: of a checkpoint once what it holds, of a frozen graph as few copies as can be."""

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from job import memory_cap
from job.engine import lift as lifting
from job.engine.assembling import read_source
from job.engine.lift import lift
from job.errors import Poison, Refused
from job.memory_cap import MemoryCap
from job.records import ConvertResult, Format
from job.requests import ConvertRequest, SourceRequest, VerifyRequest
from job.results import ParityResult
from job.workers import Forkserver
from tests.engine.big_checkpoint import make
from tests.engine.models import Saver, converted, graph_of, ref, request_of, v1

MB = 10**6
X = np.ones([1, 256], np.float32)


def peaks_bytes(forkserver: Forkserver, folder: Path, size_bytes: int, width: int) -> list[int]:
    """Return what converting and verifying a checkpoint took, most of which is one variable."""
    make(folder / "source", size_bytes, layers=1, width=width)
    source, saved_model = request_of(folder / "source"), str(folder / "saved_model")
    request = ConvertRequest(source=source, saved_model=saved_model)
    done, conversion = forkserver.run("convert", request, ConvertResult, timeout_s=100)
    assert done.error is None
    asked = VerifyRequest(
        source=source, saved_model=saved_model, mode="exact", tolerance=1e-5, reference=str(folder / "answers.npz")
    )
    found, comparison = forkserver.run("verify", asked, ParityResult, timeout_s=100)
    assert found.verdict == "passed"
    return [conversion.peak_memory_bytes, comparison.peak_memory_bytes]


@pytest.mark.slow
def test_a_checkpoint_is_held_once(forkserver: Forkserver, tmp_path: Path) -> None:
    """Its largest variable has no copy beside it: not as it is read, judged, saved, restored or compared."""
    small = peaks_bytes(forkserver, tmp_path / "small", 2 * MB, width=256)
    large = peaks_bytes(forkserver, tmp_path / "large", 300 * MB, width=2048)
    for less, more in zip(small, large, strict=True):
        assert more - less < 1.2 * 298 * MB


def test_frozen_weights_are_published_once(tmp_path: Path) -> None:
    """The function that a signature runs, which is also what the model itself does when it is called, is one."""

    def build() -> None:
        x = v1.placeholder(tf.float32, [None, 256], name="x")
        weights = np.random.default_rng(0).normal(size=[256, 512]).astype(np.float32)
        tf.matmul(x, tf.constant(weights, name="weights"), name="y")

    frozen = tmp_path / "frozen.pb"
    frozen.write_bytes(graph_of(build).SerializeToString())
    request = SourceRequest(format=Format.GRAPH_DEF, directory=str(tmp_path), entry=frozen.name)
    model = converted(request, tmp_path)
    assert (model.directory / "saved_model.pb").stat().st_size < 1.2 * frozen.stat().st_size
    loaded = tf.saved_model.load(str(model.directory))
    np.testing.assert_array_equal(loaded(X)["y"], loaded.signatures["serving_default"](x=tf.constant(X))["y"])


def test_weights_in_a_branch_stay_there(tmp_path: Path) -> None:
    """What a v1 condition alone computes waits for it, constants included: both results are right."""

    def build() -> None:
        x = v1.placeholder(tf.float32, [None, 256], name="x")
        large = np.arange(256 * 256, dtype=np.float32).reshape(256, 256)
        chosen = tf.cond(tf.reduce_sum(x) > 0, lambda: tf.constant(large), lambda: tf.constant(-large))
        tf.add(tf.reduce_sum(chosen, axis=1), x[0], name="y")

    Path(tmp_path, "frozen.pb").write_bytes(graph_of(build).SerializeToString())
    request = SourceRequest(format=Format.GRAPH_DEF, directory=str(tmp_path), entry="frozen.pb")
    model = converted(request, tmp_path)
    for sign in (1, -1):
        (said,) = model.candidate.run(model.signature(), [sign * X])
        assert said[1] == sign * (np.arange(256, 512).sum() + 1)
    written = saved_model_pb2.SavedModel.FromString((model.directory / "saved_model.pb").read_bytes())
    nodes = [node for one in written.meta_graphs[0].graph_def.library.function for node in one.node_def]
    assert all(node.input for node in nodes if node.op == "Const" and node.ByteSize() > 256 * 256)


def test_what_does_not_fit_is_refused_before_it_is_read(saved: Saver, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error has the numbers: what the variables take, what there is already, and what a worker may hold."""
    source = read_source(saved(lambda: tf.identity(ref("table", np.zeros([4, 4], np.float32)), name="y")))
    monkeypatch.setattr(memory_cap, "_given", [MemoryCap(limit_bytes=2**26, reason="--memory-limit-mib")])
    monkeypatch.setattr(lifting, "read_value", lambda *_: pytest.fail("it was read"))
    with pytest.raises(Poison, match=r"its 1 variables take 0\.00 GiB beside .* and the worker may hold 0\.06 GiB"):
        lift(source, allow_nonfinite=False)


def test_numbers_are_judged_to_the_last(saved: Saver, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some numbers are looked at at a time, and none is left out."""
    monkeypatch.setattr(lifting, "AT_ONCE", 4)
    values = np.zeros(11, np.float32)
    values[10] = np.nan
    source = read_source(saved(lambda: tf.identity(ref("table", values), name="y")))
    with pytest.raises(Refused, match="1 of 1 variables hold NaN"):
        lift(source, allow_nonfinite=False)
