"""What a stranger's Keras file may ask for: wherever it lies in the model, it is refused before anything runs."""

import base64
import marshal
import time
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
import tensorflow as tf

from job.engine.assembling import read_source
from job.engine.keras.configuration import todays
from job.errors import BadInput, JobError, Refused
from job.records import ArtifactOptions
from tests.engine.keras.models import Json, dense, sequential, write

CODE: Final = [base64.encodebytes(marshal.dumps((lambda x: x).__code__)).decode(), None, None]
LAMBDA: Final[Json] = {
    "class_name": "Lambda",
    "config": {"name": "shady", "function": CODE, "function_type": "lambda", "batch_input_shape": [None, 3]},
}
FUNCTION: Final[Json] = {
    "class_name": "Lambda",
    "config": {"name": "shady", "function": "os:system", "function_type": "function", "module": "os"},
}


def wrapped(kind: str, inner: Json, **config: Any) -> Json:
    return {"class_name": kind, "config": {"name": "outer", "layer": inner, **config}}


def rnn(cell: Json) -> Json:
    return {"class_name": "RNN", "config": {"name": "rnn", "cell": cell, "batch_input_shape": [None, 4, 3]}}


def functional(layer: Json) -> Json:
    source = {"class_name": "InputLayer", "name": "in", "config": {"name": "in", "batch_input_shape": [None, 3]}}
    inner = layer | {"name": "shady", "inbound_nodes": [[["in", 0, 0, {}]]]}
    config = {"name": "m", "layers": [source | {"inbound_nodes": []}, inner]}
    return {
        "class_name": "Model",
        "config": config | {"input_layers": [["in", 0, 0]], "output_layers": [["shady", 0, 0]]},
    }


def op_layer(op: str) -> Json:
    node = tf.compat.v1.NodeDef(name="shady", op=op, input=["x"])
    return {
        "class_name": "TensorFlowOpLayer",
        "config": {"name": "shady", "node_def": node.SerializeToString().decode()},
    }


REFUSED: Final[dict[str, Json]] = {
    "a layer": LAMBDA,
    "in a nested model": sequential(dense(), sequential(sequential(LAMBDA))),
    "in a functional model": functional(LAMBDA),
    "in TimeDistributed": wrapped("TimeDistributed", LAMBDA),
    "in Bidirectional": wrapped("Bidirectional", rnn(LAMBDA)),
    "as the way back of Bidirectional": wrapped("Bidirectional", rnn(dense()), backward_layer=rnn(LAMBDA)),
    "as a cell": rnn({"class_name": "StackedRNNCells", "config": {"name": "stack", "cells": [dense(), LAMBDA]}}),
    "as an activation": dense(activation=LAMBDA),
    "in a list of layers of a wrapper": wrapped("Wrapper", dense(), layers=[LAMBDA]),
    "of a module's function": FUNCTION,
    "as the function of an argument": dense(name="shady", output_shape=CODE, output_shape_type="lambda"),
    "an op that reads a file": op_layer("ReadFile"),
    "an op that calls Python": op_layer("PyFunc"),
}
"""Where code may hide."""

UNKNOWN: Final[dict[str, Json]] = {
    "a serialised lambda as activation": dense(
        name="shady", activation={"class_name": "__lambda__", "config": {"value": CODE}}
    ),
    "a function by module and name": dense(name="shady", activation="os:system"),
    "a function of a module": dense(name="shady", activation="os.system"),
    "a registered class of a package": {"class_name": "builtins>eval", "config": {"name": "shady"}},
    "a class of a module": {"class_name": "subprocess.Popen", "config": {"name": "shady", "args": ["sh"]}},
    "Keras 3's words": {
        "module": "subprocess",
        "class_name": "Popen",
        "registered_name": "subprocess.Popen",
        "config": {"name": "shady", "args": ["sh"]},
    },
    "a function object of Keras 3": dense(
        name="shady",
        activation={"module": "os", "class_name": "function", "config": "system", "registered_name": "system"},
    ),
    "a layer that calls any function of TensorFlow": {
        "class_name": "TFOpLambda",
        "config": {"name": "shady", "function": "io.read_file"},
    },
    "a lookup that reads a vocabulary": {
        "class_name": "StringLookup",
        "config": {"name": "shady", "vocabulary": "/etc/passwd"},
    },
}
"""What other versions of Keras would look up, import or open."""


@pytest.mark.parametrize("config", REFUSED.values(), ids=REFUSED)
@pytest.mark.parametrize("version", ["1.2.2", "2.2.4", "2.2.4-tf"])
def test_code_is_refused_wherever_it_hides(config: Json, version: str) -> None:
    """By the name of the layer that has it, in every version's words."""
    model = config if config["class_name"] in ("Sequential", "Model") else sequential(config)
    with pytest.raises(Refused, match="shady"):
        todays(model, version, ArtifactOptions())


@pytest.mark.parametrize("layer", UNKNOWN.values(), ids=UNKNOWN)
def test_names_from_elsewhere_mean_nothing(layer: Json) -> None:
    """Whatever is no class or function of TensorFlow 1's Keras is unknown: nothing is imported for it."""
    with pytest.raises(JobError, match="shady") as caught:
        todays(sequential(layer), "2.2.4", ArtifactOptions())
    assert isinstance(caught.value, BadInput | Refused)


def test_allowed_lambda_is_bytecode_and_no_name() -> None:
    """``--allow-lambda`` runs what the file brings; a function of some module is not in the file."""
    with pytest.raises(BadInput, match="names a Python function that is not in the file: 'os:system'"):
        todays(sequential(FUNCTION), "2.2.4", ArtifactOptions(allow_lambda=True))


def test_op_that_may_run_is_a_layer() -> None:
    """TensorFlow 1.15 wrote single ops as layers, which is no harm."""
    config = todays(sequential(dense(), op_layer("Neg")), "2.2.4-tf", ArtifactOptions())
    assert config["config"]["layers"][1]["class_name"] == "TensorFlowOpLayer"


@pytest.mark.parametrize("node", [{"node_def": "\\x0aoops"}, {"node_def": 3}, {}], ids=["damaged", "number", "none"])
def test_op_that_cannot_be_read_is_bad_input(node: Json) -> None:
    """A layer that holds no op is a damaged file, and no crash."""
    layer = {"class_name": "TensorFlowOpLayer", "config": {"name": "odd", **node}}
    with pytest.raises(BadInput, match="malformed"):
        todays(sequential(layer), "2.2.4-tf", ArtifactOptions())


@pytest.mark.parametrize(
    "layer",
    [
        dense(units=2**33),
        dense(batch_input_shape=[None, 2**40]),
        {
            "class_name": "Embedding",
            "config": {"name": "dense", "input_dim": 2**40, "output_dim": 8, "input_length": 2},
        },
        {
            "class_name": "LSTM",
            "config": {"name": "dense", "units": 2**20, "stateful": True, "batch_input_shape": [2**20, 4, 3]},
        },
    ],
    ids=["units", "inputs", "embedding", "states"],
)
def test_sizes_that_only_the_configuration_claims_cost_nothing(tmp_path: Path, layer: Json) -> None:
    """Weights of terabytes that are not in the file are never made: bad input within seconds."""
    started = time.perf_counter()
    with pytest.raises((BadInput, Refused)):
        read_source(write(tmp_path, sequential(layer)))
    assert time.perf_counter() - started < 10


def test_states_that_only_the_configuration_claims_are_refused(tmp_path: Path) -> None:
    """A stateful layer's states have a size that no weight bears out: terabytes of zeros are not made."""
    shapes = {"kernel": [3, 4], "recurrent_kernel": [1, 4], "bias": [4]}
    weights = {"lstm": {f"lstm/{name}:0": np.zeros(shape, "f4") for name, shape in shapes.items()}}
    config = {"name": "lstm", "units": 1, "stateful": True, "batch_input_shape": [2**29, 4, 3]}
    with pytest.raises(Refused, match="states"):
        read_source(write(tmp_path, sequential({"class_name": "LSTM", "config": config}), weights))


def test_model_whose_output_is_a_layer_that_it_does_not_have_is_bad_input(tmp_path: Path) -> None:
    """Keras asserts that it knows the layer, without a word; the line names the file and what to do."""
    config = functional(dense())
    config["config"]["output_layers"] = [["nobody", 0, 0]]
    with pytest.raises(BadInput, match=r"Keras cannot build the model .*AssertionError"):
        read_source(write(tmp_path, config))
