"""What the job publishes, read by a program that is not TensorFlow: OpenVINO's own SavedModel reader and kernels."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import openvino
import pytest

from tests.jobs import GOLDENS, run_job

CASES = (
    "keep_prob_checkpoint",
    "multi_signature_saved_model",
    "pbtxt_saved_model",
    "ref_variables_checkpoint",
    "ref_variables_saved_model",
    "resnet50_checkpoint",
    "resnet50_frozen_pb",
    "resnet50_saved_model",
    "resource_variables_checkpoint",
    "resource_variables_saved_model",
    "sharded_checkpoint",
)
"""Goldens without tables and v1 loops, which OpenVINO does not know."""

TOLERANCE = 1e-5


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Convert all of them in one run."""
    folder = tmp_path_factory.mktemp("readers")
    for case in CASES:
        shutil.copytree(GOLDENS / case, folder / "source" / case)
    ended = run_job(
        *("run", "--source", str(folder / "source"), "--dest", str(folder / "dest")),
        *("--device", "cpu", "--benchmark", "off"),
    )
    assert ended.code == 0, ended.stderr
    return folder / "dest"


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_openvino_gives_the_answers_of_tensorflow_1(published: Path, case: str) -> None:
    """Another reader, with kernels of its own, gives what TF 1.15 recorded."""
    (saved_model,) = (path.parent for path in (published / case).rglob("saved_model.pb"))
    call = json.loads((GOLDENS / case / "case.json").read_text())["calls"][0]
    core = openvino.Core()
    compiled = core.compile_model(core.read_model(saved_model), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    with np.load(GOLDENS / case / "golden.npz") as golden:
        said = compiled(_feeds(compiled, call, golden))
        for output in compiled.outputs:
            wanted = _recorded(golden, call["fetches"], output.any_name)
            worst = np.abs(said[output] - wanted).max()
            assert worst <= TOLERANCE * np.abs(wanted).max(), output.any_name


def _feeds(compiled: openvino.CompiledModel, call: Any, golden: Any) -> dict[str, Any]:
    return {one.any_name: _recorded(golden, call["feeds"], one.any_name) for one in compiled.inputs}


def _recorded(golden: Any, tensors: dict[str, Any], key: str) -> Any:
    """Return the recorded array of an argument, which bears its own key or its tensor's name."""
    last = {tensor["tensor"].partition(":")[0].rpartition("/")[2]: tensor["npz"] for tensor in tensors.values()}
    names = {tensor.get("key", name): tensor["npz"] for name, tensor in tensors.items()}
    return golden[(last | names)[key]]
