import base64
import marshal
from typing import Any

import pytest

from job.engine.keras.configuration import todays
from job.errors import BadInput, Refused
from job.records import ArtifactOptions
from tests.engine.keras.models import dense, sequential

OPTIONS, ALLOWED = ArtifactOptions(), ArtifactOptions(allow_lambda=True)


def coded(code: bytes) -> dict[str, Any]:
    function = [base64.encodebytes(code).decode(), None, None]
    config = {"name": "shady", "function": function, "function_type": "lambda"}
    return sequential(dense(), {"class_name": "Lambda", "config": config})


def functional(*inbound: tuple[str, str]) -> dict[str, Any]:
    layers = [dense() | {"name": name, "inbound_nodes": [[[source, 0, 0, {}]]]} for name, source in inbound]
    config = {"name": "model", "layers": layers, "input_layers": [], "output_layers": []}
    return {"class_name": "Model", "config": config}


def test_code_is_refused_unless_allowed() -> None:
    """A Lambda anywhere in the model is refused by name; allowed, this Python's bytecode passes."""
    wrapped = {"class_name": "TimeDistributed", "config": {"name": "outer", "layer": coded(b"")["config"]["layers"][1]}}
    for config in (coded(b""), sequential(wrapped)):
        with pytest.raises(Refused, match="shady") as caught:
            todays(config, "2.2.4", OPTIONS)
        assert "--allow-lambda" in caught.value.remedy
    config = coded(marshal.dumps((lambda x: x).__code__))
    assert todays(config, "2.2.4", ALLOWED)["config"]["layers"][1]["class_name"] == "Lambda"


@pytest.mark.parametrize(
    "kind", ["TFOpLambda", "SlicingOpLambda", "ClassMethod", "ResidualWrapper", "DropoutWrapper", "TextVectorization"]
)
def test_classes_that_run_or_read_what_a_file_says_are_unknown(kind: str) -> None:
    """Keras 2 has layers that call any function of TensorFlow, load bytecode or open files; TensorFlow 1 had none."""
    cell = {
        "class_name": kind,
        "config": {"name": "cell", "residual_fn_type": "lambda", "residual_fn": ["", None, None]},
    }
    with pytest.raises((BadInput, Refused), match="cell"):
        todays(sequential({"class_name": "RNN", "config": {"name": "outer", "cell": cell}}), "2.2.4", OPTIONS)


def test_bytecode_of_another_python_is_bad_input() -> None:
    """Allowed code of another Python is said to be just that, and is not run."""
    with pytest.raises(BadInput, match="bytecode of another Python"):
        todays(coded(b"\xe3\x01\x00\x00\x00"), "2.2.4", ALLOWED)


def test_function_of_a_merge_is_code() -> None:
    """Keras 1's Merge could hold a function, too."""
    merge = {"class_name": "Merge", "config": {"name": "m", "mode": "x", "mode_type": "lambda"}}
    with pytest.raises(Refused, match="m"):
        todays(sequential(merge), "1.2.2", OPTIONS)


@pytest.mark.parametrize(
    "layer", [{"class_name": "Scale", "config": {"name": "odd", "k": 3}}, dense(name="odd", activation="mine")]
)
def test_unknown_layers_and_functions_are_named(layer: dict[str, Any]) -> None:
    """What is not in Keras is bad input with the layer's name and a way out."""
    with pytest.raises(BadInput, match="odd") as caught:
        todays(sequential(dense(), layer), "2.2.4", OPTIONS)
    assert "SavedModel" in caught.value.remedy


def test_class_that_is_no_name_is_bad_input() -> None:
    """A configuration may hold anything where a name belongs."""
    with pytest.raises(BadInput, match="malformed"):
        todays(sequential(dense(), {"class_name": {"a": 1}, "config": {"name": "odd"}}), "2.2.4", OPTIONS)


def test_training_parts_are_dropped() -> None:
    """Initializers, regularizers and constraints, own ones among them, do not matter to a trained model."""
    layer = dense(
        kernel_regularizer={"class_name": "Mine", "config": {}}, kernel_initializer="odd", bias_constraint=None
    )
    (kept,) = todays(sequential(layer), "2.2.4", OPTIONS)["config"]["layers"]
    assert kept["config"].keys() == dense()["config"].keys()


def test_a_file_cannot_choose_what_is_imported() -> None:
    """Later versions name modules; these names go, and with them the import."""
    named = dense() | {"module": "subprocess", "registered_name": "run"}
    (kept,) = todays(sequential(named), "2.2.4", OPTIONS)["config"]["layers"]
    assert kept.keys() == {"class_name", "config"}


@pytest.mark.parametrize(("version", "kind"), [("2.2.4", "LegacyUpSampling2D"), ("2.2.4-tf", "UpSampling2D")])
def test_bilinear_grid_goes_by_version(version: str, kind: str) -> None:
    """TensorFlow 1.14 moved the grid of bilinear up-sampling; standalone Keras kept it."""
    layer = {"class_name": "UpSampling2D", "config": {"name": "up", "interpolation": "bilinear"}}
    assert todays(sequential(layer), version, OPTIONS)["config"]["layers"][0]["class_name"] == kind


@pytest.mark.parametrize("calls", [[("a", "b"), ("b", "a")], [("a", "absent")]], ids=["ring", "absent"])
def test_layers_that_wait_for_ever_are_bad_input(calls: list[tuple[str, str]]) -> None:
    """Keras would look for such a call without end."""
    with pytest.raises(BadInput, match="takes what no layer before it gives"):
        todays(functional(*calls), "2.2.4", OPTIONS)


@pytest.mark.parametrize("config", [{"class_name": "Functional", "config": {}}, {"class_name": "Graph", "config": {}}])
def test_damaged_configuration_is_bad_input(config: dict[str, Any]) -> None:
    """What lacks its parts is bad input and no crash."""
    with pytest.raises(BadInput):
        todays(config, "1.0", OPTIONS)


def test_batch_normalization_by_the_batch_at_hand_is_bad_input() -> None:
    """Keras 1 had a mode that no later Keras has."""
    layer = {"class_name": "BatchNormalization", "config": {"name": "bn", "mode": 2, "axis": -1}}
    with pytest.raises(BadInput, match="bn"):
        todays({"class_name": "Sequential", "config": [layer]}, "1.2.2", OPTIONS)
