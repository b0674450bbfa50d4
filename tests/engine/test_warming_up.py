"""Warm-up requests for TF Serving: of which samples, how many, and that the model answers each."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from job.engine.prediction_log import request_in
from job.engine.proof import reference
from job.records import ConvertResult, Format
from job.requests import ConvertRequest, SourceRequest, VerifyRequest, WarmUpRequest
from job.results import ParityResult, WarmUpResult
from job.warm_up import FILE
from job.workers import Forkserver
from tests.engine.models import Saver, ref, v1
from tests.jobs import GOLDENS

TIMEOUT_S = 120
BATCHES = [2, 4, 8, 16, 32]


def warmed(forkserver: Forkserver, source: SourceRequest, folder: Path) -> tuple[WarmUpResult, list[Any]]:
    """Convert, compare and warm up; return what the stage said, and what it wrote."""
    model, answers = folder / "saved_model", folder / "reference" / "answers.npz"
    convert = ConvertRequest(source=source, saved_model=str(model))
    assert forkserver.run("convert", convert, ConvertResult, timeout_s=TIMEOUT_S)[0].error is None
    proof = VerifyRequest(
        source=source, saved_model=str(model), mode="exact", tolerance=1e-5, reference=str(answers), seed=0
    )
    forkserver.run("verify", proof, ParityResult, timeout_s=TIMEOUT_S)
    request = WarmUpRequest(source=source, saved_model=str(model), reference=str(answers))
    result, _ = forkserver.run("warm_up", request, WarmUpResult, timeout_s=TIMEOUT_S)
    path = model / FILE
    records = [record.numpy() for record in tf.data.TFRecordDataset(str(path))] if path.exists() else []
    assert result.requests == len(records)
    assert result.size_bytes == (path.stat().st_size if records else 0)
    return result, [request_in(record) for record in records]


def golden(name: str, form: Format = Format.SAVED_MODEL) -> SourceRequest:
    """Return the request to read a golden."""
    entry = "saved_model" if form is Format.SAVED_MODEL else "frozen.pb"
    return SourceRequest(format=form, directory=str(GOLDENS / name), entry=entry)


def test_every_signature_is_asked_alone_and_in_batches(forkserver: Forkserver, tmp_path: Path) -> None:
    """A server's first calls are of one example; compiled variants are slow at each new power of two."""
    source = golden("multi_signature_saved_model")
    _, requests = warmed(forkserver, source, tmp_path)
    model = tf.saved_model.load(str(tmp_path / "saved_model"))
    assert {signature for signature, _ in requests} == set(model.signatures)
    alone = requests[: len(model.signatures)]
    assert {next(iter(inputs.values())).tensor_shape.dim[0].size for _, inputs in alone} == {1}
    for key in model.signatures:
        sizes = [
            {tensor.tensor_shape.dim[0].size for tensor in inputs.values()} for one, inputs in requests if one == key
        ]
        assert sizes == [{1}, *({batch} for batch in BATCHES)]


def test_a_server_finds_each_input_under_its_own_key(forkserver: Forkserver, tmp_path: Path) -> None:
    """Serving looks inputs up by the signature's keys, which are not always names that Python takes."""
    _, requests = warmed(forkserver, golden("odd_signatures_saved_model"), tmp_path)
    written = saved_model_pb2.SavedModel.FromString((tmp_path / "saved_model" / "saved_model.pb").read_bytes())
    definitions = written.meta_graphs[0].signature_def
    assert requests
    assert all(set(inputs) == set(definitions[signature].inputs) for signature, inputs in requests)


def test_the_model_loads_as_before(forkserver: Forkserver, tmp_path: Path) -> None:
    """TensorFlow and Keras look at nothing in assets.extra: the same signatures, with the file and without it."""
    warmed(forkserver, golden("while_loop_frozen", Format.GRAPH_DEF), tmp_path)
    model = str(tmp_path / "saved_model")
    with_file = tf.saved_model.load(model)
    assert tf.compat.v1.saved_model.contains_saved_model(model)
    shutil.rmtree(Path(model, FILE).parent)
    assert set(tf.saved_model.load(model).signatures) == set(with_file.signatures)


def test_texts_and_tables_are_asked_too(forkserver: Forkserver, tmp_path: Path) -> None:
    """Serialised examples and words are bytes, which have another field in a tensor."""
    result, requests = warmed(forkserver, golden("examples_saved_model"), tmp_path)
    assert result.reason == ""
    assert tf.string.as_datatype_enum in {tensor.dtype for _, inputs in requests for tensor in inputs.values()}


def test_larger_batches_of_large_inputs_are_left_out(forkserver: Forkserver, saved: Saver, tmp_path: Path) -> None:
    """A server of a large image model must not run out of memory for its own warm-up, nor read megabytes for it."""

    def build() -> None:
        x = v1.placeholder(tf.float32, [None, 1024, 1024], name="x")
        tf.reduce_mean(x * ref("w", 2.0), axis=[1, 2], name="y")

    result, requests = warmed(forkserver, saved(build), tmp_path)
    shapes = [[dim.size for dim in inputs["x"].tensor_shape.dim] for _, inputs in requests]
    assert shapes == [[batch, 1024, 1024] for batch in (1, 2, 4, 8)]
    assert result.size_bytes < 1000


def test_what_the_model_does_not_answer_is_left_out(forkserver: Forkserver, saved: Saver, tmp_path: Path) -> None:
    """A request that fails keeps a server from loading the model: this one takes no batch beyond four."""

    def build() -> None:
        x = v1.placeholder(tf.float32, [None, 2], name="x")
        with tf.control_dependencies([v1.assert_less(tf.shape(x)[0], 5)]):
            few = tf.identity(x)
        tf.gather(tf.constant([1.0, 2.0, 3.0, 4.0]), tf.shape(few)[0] - 1, name="scale")
        tf.multiply(few, v1.get_default_graph().get_tensor_by_name("scale:0") * ref("w", 2.0), name="y")

    result, requests = warmed(forkserver, saved(build), tmp_path)
    assert result.reason == ""
    assert [inputs["x"].tensor_shape.dim[0].size for _, inputs in requests] == [1, 2, 4]


def test_a_model_that_keeps_state_is_not_asked(forkserver: Forkserver, saved: Saver, tmp_path: Path) -> None:
    """Each call would change what the first user is answered."""

    def build() -> None:
        x = v1.placeholder(tf.float32, [None, 2], name="x")
        calls = ref("calls", 0.0)
        tf.add(x, v1.assign_add(calls, 1.0), name="y")

    result, requests = warmed(forkserver, saved(build), tmp_path)
    assert result == WarmUpResult(reason="a call changes what the next one answers")
    assert requests == []


@pytest.mark.parametrize("answers", ["absent", "empty"])
def test_nothing_is_written_without_samples(answers: str, forkserver: Forkserver, tmp_path: Path) -> None:
    """Made-up inputs that the original graph was never asked may be wrong ones."""
    source, model = golden("while_loop_frozen", Format.GRAPH_DEF), tmp_path / "saved_model"
    convert = ConvertRequest(source=source, saved_model=str(model))
    forkserver.run("convert", convert, ConvertResult, timeout_s=TIMEOUT_S)
    path = tmp_path / "answers" / "answers.npz"
    path.parent.mkdir()
    if answers == "empty":
        reference.write(str(path), [], ["serving_default"])
    request = WarmUpRequest(source=source, saved_model=str(model), reference=str(path))
    result, _ = forkserver.run("warm_up", request, WarmUpResult, timeout_s=TIMEOUT_S)
    assert "no sample of a signature" in result.reason
    assert not (model / FILE).exists()
