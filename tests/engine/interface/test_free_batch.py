from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from job.engine.assembling import read_source
from job.engine.proof.verifying import verify
from job.engine.source_graph import SourceGraph
from job.records import ArtifactOptions, Finding
from job.requests import SourceRequest, VerifyRequest
from job.results import ParityResult
from tests.engine.models import Converted, Saver, converted, ref, request_of, v1

Build = Callable[[], Any]
WANTED = ArtifactOptions(free_batch=True)


def of_four(body: Callable[[Any], Any]) -> Build:
    """Return a model of four examples of six numbers."""

    def build() -> None:
        x = v1.placeholder(tf.float32, [4, 6], name="x")
        tf.identity(body(tf.matmul(x, ref("kernel", np.eye(6, dtype=np.float32) * 2))), name="y")

    return build


def reshaped(x: Any) -> Any:
    """Hold the batch in three reshapes: alone, times three, and with a size left to be told."""
    pairs = tf.reshape(tf.nn.relu(tf.reshape(x, [12, 2])), [4, 3, 2])
    return tf.reshape(pairs, [4, -1])


def wanted(request: SourceRequest) -> SourceRequest:
    return request_of(Path(request.directory), WANTED)


def about_batch(source: SourceGraph) -> Finding:
    (finding,) = (
        finding for finding in source.findings if finding.code in ("batch_freed", "batch_fixed", "batch_not_freed")
    )
    return finding


def proven(request: SourceRequest, model: Converted) -> ParityResult:
    asked = VerifyRequest(source=request, saved_model=str(model.directory), mode="exact", tolerance=1e-5)
    return verify(asked)


def test_batch_that_reshapes_hold_is_freed(saved: Saver, tmp_path: Path) -> None:
    """The model takes batches of any size, answers each example alike, and that is proven against the fixed graph."""
    request = wanted(saved(of_four(reshaped)))
    model = converted(request, tmp_path)
    signature = model.signature()
    assert [spec.shape for spec in (*signature.inputs, *signature.outputs)] == [(None, 6), (None, 6)]
    for size in (1, 4, 7):
        x = np.arange(6.0 * size, dtype=np.float32).reshape(size, 6)
        np.testing.assert_array_equal(model.answer({"x:0": x})["y:0"], 2 * x)
    (output,) = proven(request, model).outputs
    assert output.verdict == "passed"
    assert [name for name in output.samples if name.endswith("examples")] == [
        f"{size} of the others' examples" for size in (1, 3, 5)
    ]
    assert (about_batch(model.source).code, "3 reshapes" in about_batch(model.source).cause) == ("batch_freed", True)


def test_batch_stays_fixed_without_a_wish(saved: Saver) -> None:
    """What was not asked for is not done, and the finding names the flag."""
    source = read_source(saved(of_four(reshaped)))
    assert source.signatures[0].inputs[0].shape == (4, 6)
    finding = about_batch(source)
    assert (finding.code, finding.severity, "--free-batch" in finding.remedy) == ("batch_fixed", "info", True)


def test_answers_that_depend_on_the_batch_are_not_proven(saved: Saver, tmp_path: Path) -> None:
    """A model that looks at the whole batch fails the proof, and is not freed again."""
    request = wanted(saved(of_four(lambda x: x - tf.reduce_mean(x, 0, keepdims=True))))
    assert proven(request, converted(request, tmp_path)).verdict == "failed"
    source = read_source(replace(request, unproven=("free_batch",)))
    assert source.signatures[0].inputs[0].shape == (4, 6)
    assert "could not be proven" in about_batch(source).cause


def test_shapes_that_contradict_stay_fixed(saved: Saver) -> None:
    """A constant of the batch's size, such as a state's zeros, keeps the batch as it is; the finding says where."""
    source = read_source(wanted(saved(of_four(lambda x: x + tf.constant(np.ones([4, 6], np.float32))))))
    assert source.signatures[0].inputs[0].shape == (4, 6)
    assert "y:0 keeps its shape" in about_batch(source).cause


@pytest.mark.parametrize("shape", [[None, 6], [4], []])
def test_other_inputs_are_not_spoken_of(saved: Saver, shape: list[int | None]) -> None:
    """A free batch, a vector and a scalar are no fixed batch."""
    source = read_source(wanted(saved(lambda: tf.negative(v1.placeholder(tf.float32, shape, name="x"), name="y"))))
    assert not [finding for finding in source.findings if finding.code.startswith("batch_f")]


def test_one_recorded_example_proves_no_other_size(saved: Saver, tmp_path: Path) -> None:
    """Where the samples are too few for a batch of another size, a freed batch is not passed for its old size alone."""
    np.savez(tmp_path / "samples.npz", x=np.ones([1, 6], np.float32))

    def build() -> None:
        tf.square(v1.placeholder(tf.float32, [1, 6], name="x"), name="y")

    options = replace(WANTED, samples=str(tmp_path / "samples.npz"))
    request = request_of(Path(saved(build).directory), options)
    result = proven(request, converted(request, tmp_path))
    assert result.verdict == "not_run"
    assert "too few examples" in result.reason
