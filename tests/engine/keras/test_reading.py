import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from job.engine.assembling import read_source
from job.engine.lift import lift
from job.errors import BadInput
from job.requests import SourceRequest
from tests.engine.keras.models import DENSE, GOLDENS, dense, golden, request, sequential, write

CASES = sorted(GOLDENS.glob("*/*.h5"))
TOLERANCE = 1e-5


def answers(source: SourceRequest, feeds: list[Any]) -> list[list[Any]]:
    """Return the model's outputs, for every order in which its inputs can be meant."""
    read = read_source(source)
    specs, found = read.signatures[0].inputs, list[list[Any]]()
    function = lift(read, allow_nonfinite=False).functions["serving_default"]
    for order in itertools.permutations(feeds):
        if any(
            not tf.TensorShape(spec.shape).is_compatible_with(feed.shape)
            for spec, feed in zip(specs, order, strict=True)
        ):
            continue
        tensors = [tf.constant(feed, spec.dtype) for feed, spec in zip(order, specs, strict=True)]
        found.append([output.numpy() for output in function(*tensors).values()])
    return found


def off(output: Any, recorded: Any) -> float:
    if output.shape != recorded.shape:
        return float("inf")
    return float(np.abs(output - recorded).max() / np.abs(recorded).max())


@pytest.mark.slow
@pytest.mark.parametrize("path", CASES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_model_answers_as_its_keras_did(tmp_path: Path, path: Path) -> None:
    """Models of Keras 1.2, 2.2 and TensorFlow 1.15 answer what these answered: gates, kernels, grids, masks as then."""
    with np.load(path.with_suffix(".npz")) as recorded:
        feeds = [recorded[name] for name in sorted(recorded.files) if name.startswith("in")]
        expected = [recorded[name] for name in sorted(recorded.files) if name.startswith("out")]
    said = answers(golden(path, tmp_path), feeds)
    worst = [max(min(off(one, output) for one in outputs) for output in expected) for outputs in said]
    assert min(worst) <= TOLERANCE


def test_goldens_are_there_and_small() -> None:
    """Three generations of Keras are held, in less than 500 kB."""
    assert {path.parent.name for path in CASES} == {"1.2.2", "2.2.4", "2.2.4-tf"}
    assert sum(file.stat().st_size for file in GOLDENS.rglob("*.*")) < 500_000


def test_signature_is_named_after_layers(tmp_path: Path) -> None:
    """The input has the name that Keras gave it, the output that of its layer; both weights are variables."""
    source = read_source(write(tmp_path, sequential(dense())))
    (signature,) = source.signatures
    assert (signature.key, [spec.key for spec in signature.inputs]) == ("serving_default", ["dense_input"])
    assert [(spec.key, spec.shape) for spec in signature.outputs] == [("dense", (None, 2))]
    assert [variable.name for variable in source.variables if variable.trainable] == ["dense/kernel", "dense/bias"]
    assert source.producer == "Keras 2.2.4"


def test_second_reading_is_the_first(tmp_path: Path) -> None:
    """Every stage reads the file anew: the graph is the same, and nothing is left beside it."""
    asked = write(tmp_path, sequential(dense()))
    first = read_source(asked)
    second = read_source(asked)
    assert first.pruned(first.signatures[0]) == second.pruned(second.signatures[0])
    assert [path.name for path in tmp_path.iterdir()] == ["model.h5"]


def test_weights_take_the_configuration_beside_them(tmp_path: Path) -> None:
    """Weights alone are a model with the output of `to_json` beside them, and name it without."""
    asked = write(tmp_path, None)
    with pytest.raises(BadInput, match="weights without a model") as caught:
        read_source(asked)
    assert "to_json" in caught.value.remedy
    (tmp_path / "labels.json").write_text('["cat", "dog"]')
    (tmp_path / "architecture.json").write_text(json.dumps(sequential(dense())))
    assert read_source(asked).signatures[0].outputs[0].key == "dense"


def test_of_several_models_beside_weights_only_their_namesake_is_taken(tmp_path: Path) -> None:
    """Weights of one shape fit several models: which is theirs is not guessed, be a text of their name none at all."""
    asked = write(tmp_path, None)
    (tmp_path / "model.json").write_text('{"loss": [0.5]}')
    for name in ("a.json", "b.json"):
        (tmp_path / name).write_text(json.dumps(sequential(dense())))
    with pytest.raises(BadInput, match=r"several models lie beside the weights: a\.json, b\.json"):
        read_source(asked)
    (tmp_path / "model.json").write_text(json.dumps(sequential(dense())))
    assert read_source(asked).signatures[0].outputs[0].key == "dense"


def test_weights_take_their_version_from_the_configuration_too(tmp_path: Path) -> None:
    """Early files of weights name no Keras, `to_json` does; without either the words would be taken for Keras 1's."""
    layer = {"class_name": "UpSampling2D", "config": {"name": "up", "batch_input_shape": [None, 2, 2, 1]}}
    asked = write(tmp_path, None, {}, keras_version="", backend="")
    said = json.dumps(sequential(layer) | {"keras_version": "2.1.3", "backend": "tensorflow"})
    (tmp_path / "model.json").write_text(said)
    assert read_source(asked).producer == "Keras 2.1.3"


def test_state_moves_on(tmp_path: Path) -> None:
    """A stateful layer goes on where the call before ended, from zero, and a finding says so."""
    path = GOLDENS / "2.2.4" / "stateful.h5"
    source = read_source(golden(path, tmp_path))
    assert "keras_stateful" in {finding.code for finding in source.findings}
    function = lift(source, allow_nonfinite=False).functions["serving_default"]
    with np.load(path.with_suffix(".npz")) as recorded:
        batch = tf.constant(recorded["in_0"])
    first, second = (next(iter(function(batch).values())).numpy() for _ in range(2))
    assert np.abs(first - second).max() > 1e-3


def test_theano_kernels_are_turned_round(tmp_path: Path) -> None:
    """Theano convolved: its kernels are flipped, and the finding says that nothing here can prove it."""
    said = {"name": "conv", "filters": 1, "kernel_size": [2, 2], "batch_input_shape": [None, 4, 4, 1]}
    kernel = np.arange(4, dtype="f4").reshape(2, 2, 1, 1)
    weights = {"conv": {"conv/kernel:0": kernel, "conv/bias:0": np.zeros(1, "f4")}}
    asked = write(tmp_path, sequential({"class_name": "Conv2D", "config": said}), weights, backend="theano")
    source = read_source(asked)
    assert "keras_theano" in {finding.code for finding in source.findings}
    held = lift(source, allow_nonfinite=False).state["conv/kernel"].numpy()
    assert held.ravel().tolist() == [3, 2, 1, 0]


def test_gpu_layer_runs_anywhere(tmp_path: Path) -> None:
    """A CuDNNGRU becomes the GRU that computes the same, so that no GPU is needed."""
    said = {"name": "gru", "units": 2, "batch_input_shape": [None, 4, 3]}
    weights = {
        "gru": {
            "gru/kernel:0": np.ones([3, 6], "f4"),
            "gru/recurrent_kernel:0": np.ones([2, 6], "f4"),
            "gru/bias:0": np.ones([12], "f4"),
        }
    }
    source = read_source(write(tmp_path, sequential({"class_name": "CuDNNGRU", "config": said}), weights))
    assert not [node for node in source.graph.graph_def.node if "Cudnn" in node.op]
    assert [variable.shape.as_list() for variable in source.variables][-1] == [2, 6]


@pytest.mark.parametrize(
    ("weights", "what"),
    [
        ({}, "no weights are stored for layer dense"),
        ({"other": DENSE["dense"]}, "no weights are stored for layer dense"),
        ({**DENSE, "more": {"more/kernel:0": np.ones(2, "f4")}}, "belong to no layer of the model: more/more/kernel:0"),
        ({"dense": {"dense/kernel:0": np.ones([3, 2], "f4")}}, "2 weights and the file holds 1"),
        ({"dense": {**DENSE["dense"], "dense/kernel:0": np.ones([2, 3], "f4")}}, "stored with shape"),
        ({"dense": {**DENSE["dense"], "dense/bias:0": np.ones([2], "S3")}}, "no array of numbers"),
    ],
    ids=["none", "renamed", "extra", "missing", "misshapen", "text"],
)
def test_weights_must_fit(tmp_path: Path, weights: Any, what: str) -> None:
    """No weight is left at random and no array unused: the first that does not fit is named."""
    with pytest.raises(BadInput, match=what):
        read_source(write(tmp_path, sequential(dense()), weights))


def test_weights_in_another_order_go_by_name(tmp_path: Path) -> None:
    """Where the names say another order than the file's, they count."""
    same = {"dense": {"dense/bias:0": np.ones([2], "f4"), "dense/kernel:0": np.zeros([3, 2], "f4")}}
    state = lift(read_source(write(tmp_path, sequential(dense()), same)), allow_nonfinite=False).state
    assert state["dense/bias"].numpy().tolist() == [1, 1]


def test_inner_layers_that_were_frozen_when_saved_get_their_own_weights(tmp_path: Path) -> None:
    """Keras stores frozen weights after the others: by their order alone two equal layers would be swapped."""
    second = dense(name="second", units=3)
    del second["config"]["batch_input_shape"]
    inner = sequential(dense(name="first", units=3), second)
    inner["config"]["name"] = "inner"
    stored = {
        f"{name}/{kind}:0": np.full(shape, value, "f4")
        for name, value in (("second", 2), ("first", 1))
        for kind, shape in (("kernel", [3, 3]), ("bias", [3]))
    }
    request = write(tmp_path, sequential(inner), {"inner": stored})
    state = lift(read_source(request), allow_nonfinite=False).state
    assert {name: variable.numpy().max() for name, variable in state.items()} == {
        "first/kernel": 1,
        "first/bias": 1,
        "second/kernel": 2,
        "second/bias": 2,
    }


def test_no_shape_is_bad_input(tmp_path: Path) -> None:
    """A model that was never built does not say what it takes."""
    layer = dense()
    del layer["config"]["batch_input_shape"]
    with pytest.raises(BadInput):
        read_source(write(tmp_path, sequential(layer)))


def test_missing_file_is_bad_input(tmp_path: Path) -> None:
    """What is no HDF5 file is said to be none."""
    (tmp_path / "model.h5").write_bytes(b"\x89HDF\r\n\x1a\n" + b"\0" * 60)
    with pytest.raises(BadInput, match="cannot be opened"):
        read_source(request(tmp_path))
