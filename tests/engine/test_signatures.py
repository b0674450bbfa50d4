from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from job.engine.source_graph import read_source
from job.errors import BadInput
from job.records import ArtifactOptions, Format, Signature
from job.requests import SourceRequest
from tests.engine.models import Saver, converted, ref, request_of, started, v1, v1_graph

INFO = v1.saved_model.build_tensor_info
Signatures = dict[str, Any]


def served(folder: Path, build: Callable[[], Signatures], options: ArtifactOptions | None = None) -> SourceRequest:
    """Save what `build` builds as a TF1 SavedModel with the signatures that it returns."""
    with v1_graph():
        signatures = build()
        builder = v1.saved_model.Builder(str(folder / "source"))
        with started() as session:
            builder.add_meta_graph_and_variables(session, ["serve"], signatures)
        builder.save()
    return SourceRequest(
        format=Format.SAVED_MODEL, directory=str(folder), entry="source", options=options or ArtifactOptions()
    )


def signature(inputs: dict[str, Any], outputs: dict[str, Any], method: str = "tensorflow/serving/predict") -> Any:
    return v1.saved_model.build_signature_def(
        {key: INFO(tensor) for key, tensor in inputs.items()},
        {key: INFO(tensor) for key, tensor in outputs.items()},
        method,
    )


def linear() -> tuple[Any, Any]:
    x = v1.placeholder(tf.float32, [None, 2], name="x")
    return x, tf.matmul(x, ref("kernel", [[1.0], [2.0]]), name="y")


X = np.array([[1.0, 1.0], [0.0, 3.0]], np.float32)


def two_signatures() -> Signatures:
    x, y = linear()
    broken = signature({"x": x}, {"y": y})
    broken.outputs["y"].name = "gone:0"
    return {
        "serving_default": signature({"x": x}, {"y": y}),
        "broken": broken,
        "doubled": signature({"x": x}, {"scores": tf.identity(y * 2, name="z")}, "tensorflow/serving/regress"),
    }


def test_broken_signature_is_left_out(tmp_path: Path) -> None:
    """A signature that names what the graph lacks is left out with a warning; the others stay, with their methods."""
    source = read_source(served(tmp_path, two_signatures))
    assert {one.key: one.method for one in source.signatures} == {
        "doubled": "tensorflow/serving/regress",
        "serving_default": "tensorflow/serving/predict",
    }
    (finding,) = (finding for finding in source.findings if finding.code == "signature_broken")
    assert (finding.severity, "gone:0" in finding.cause) == ("warning", True)


def test_only_broken_signatures_are_bad_input(tmp_path: Path) -> None:
    """Where no signature can be used, the first one's fault is said."""
    with pytest.raises(BadInput, match="no signature of the model can be used") as caught:
        read_source(served(tmp_path, lambda: {"broken": two_signatures()["broken"]}))
    assert "gone:0" in caught.value.where


def test_user_chooses_signatures(tmp_path: Path) -> None:
    """Only the named ones are taken, and an unknown name is answered with those that there are."""
    request = served(tmp_path, two_signatures, ArtifactOptions(signatures=("doubled",)))
    assert [one.key for one in read_source(request).signatures] == ["doubled"]
    unknown = SourceRequest(
        format=request.format, directory=request.directory, entry="source", options=ArtifactOptions(signatures=("no",))
    )
    with pytest.raises(BadInput, match="no signature 'no'") as caught:
        read_source(unknown)
    assert "doubled" in caught.value.remedy


def test_sparse_input_is_its_three_tensors(tmp_path: Path) -> None:
    """A sparse tensor becomes indices, values and dense shape, as in TensorFlow's loader, and the model answers."""

    def build() -> Signatures:
        sparse = v1.sparse_placeholder(tf.float32, [None, 3], name="x")
        y = tf.sparse.sparse_dense_matmul(sparse, ref("kernel", [[1.0], [2.0], [3.0]]), name="y")
        return {"serving_default": signature({"x": sparse}, {"y": y})}

    model = converted(served(tmp_path, build), tmp_path)
    keys = {spec.key: spec.tensor for spec in model.signature().inputs}
    assert sorted(keys) == ["x_dense_shape", "x_indices", "x_values"]
    feeds = {"x_indices": [[0, 1], [1, 2]], "x_values": [10.0, 1.0], "x_dense_shape": [2, 3]}
    (y,) = model.answer({keys[key]: value for key, value in feeds.items()}).values()
    assert y.tolist() == [[20.0], [3.0]]


def test_odd_and_doubled_keys_work(tmp_path: Path) -> None:
    """Keys that are no identifiers, collide when made legal, or name one tensor twice, all reach their tensors."""

    def build() -> Signatures:
        x, y = linear()
        other = v1.placeholder(tf.float32, [None, 1], name="other")
        total = tf.add(y, 10 * other, name="total")
        return {"a signature": signature({"in/x": x, "in x": other}, {"best 1": total, "again/1": total, "class": y})}

    model = converted(served(tmp_path, build), tmp_path)
    ones = np.ones([2, 1], np.float32)
    said = model.answer({"x:0": X, "other:0": ones}, "a signature")
    np.testing.assert_array_equal(said["total:0"], [[13.0], [16.0]])
    np.testing.assert_array_equal(said["y:0"], [[3.0], [6.0]])
    assert set(model.candidate._loaded.signatures["a signature"].structured_outputs) == {"best 1", "again/1", "class"}


def test_two_inputs_of_one_tensor_work(tmp_path: Path) -> None:
    """Two input keys that name one tensor are both accepted; the tensor is fed."""

    def build() -> Signatures:
        x, y = linear()
        return {"serving_default": signature({"x": x, "images": x}, {"y": y})}

    model = converted(served(tmp_path, build), tmp_path)
    np.testing.assert_array_equal(model.answer({"x:0": X})["y:0"], [[3.0], [6.0]])


def guessed(folder: Path, saved: Saver, **options: Any) -> Signature:
    def build() -> None:
        _, y = linear()
        tf.nn.sigmoid(tf.add(y, 1.0, name="hidden"), name="scores")

    saved(build)
    (found,) = read_source(request_of(folder / "source", ArtifactOptions(**options))).signatures
    return found


def test_guess_is_said(tmp_path: Path, saved: Saver) -> None:
    """A graph without signatures gets the default one, and a finding says what was taken and how to choose."""
    found = guessed(tmp_path, saved)
    assert (found.key, [spec.key for spec in found.inputs]) == ("serving_default", ["x"])
    assert [spec.tensor for spec in found.outputs] == ["scores:0", "hidden:0"]
    (finding,) = read_source(request_of(tmp_path / "source")).findings
    assert "inputs x:0; outputs scores:0, hidden:0" in finding.cause


def test_user_names_inputs_and_outputs(tmp_path: Path, saved: Saver) -> None:
    """Named tensors, with or without output number, become the arguments; the graph is cut there."""
    found = guessed(tmp_path, saved, inputs={"mine": "y"}, outputs={"result": "scores:0"})
    assert [(spec.key, spec.tensor) for spec in found.inputs] == [("mine", "y:0")]
    assert [(spec.key, spec.tensor) for spec in found.outputs] == [("result", "scores:0")]


@pytest.mark.parametrize("side", ["inputs", "outputs"])
def test_misspelt_tensor_gets_a_near_one(tmp_path: Path, saved: Saver, side: str) -> None:
    """A tensor that the graph lacks is answered with the nearest name that it has."""
    with pytest.raises(BadInput, match="no tensor 'score:0'") as caught:
        guessed(tmp_path, saved, **{side: {"y": "score:0"}})
    assert "'scores'" in caught.value.remedy
