import base64
import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from job.discovery import discover
from job.engine.runners import Candidate
from job.errors import BadInput, JobError, Refused, from_record
from job.parity import tolerance_for
from job.pulling import pull
from job.records import ConvertResult, Listing, Signature
from job.requests import ConvertRequest, SourceRequest, VerifyRequest
from job.results import ParityResult
from job.storage import open_source
from job.workers import Forkserver

OURS = Path(__file__).parent.parent / "goldens"
SHARED = Path(__file__).parent.parent.parent.parent / "shared" / "goldens"
FORMATS = ("saved_model", "frozen_pb", "frozen_pbtxt", "ckpt_meta", "ckpt_nometa")
TOLERANCE, HALF_TOLERANCE = 1e-5, 2e-3
TIMEOUT_S = 120

UNLIKE_THE_OTHERS = {
    "nchw_frozen": "no kernel of a CPU takes NCHW, so that nothing can be proven there",
    "corrupt_nan_weights": "refused by policy, which is tested by itself",
    "corrupt_pb_bitflip": "its golden is of the weights before a bit of them flipped, which nothing can tell",
}
"""Traps of the shared goldens that end neither in a published model nor in an error of the format."""

FLATTENED = ("bert_pretrain_ckpt_nometa",)
"""Goldens that have batch and length in one dimension, which our own graph keeps apart."""

Case = dict[str, Any]


def cases(folder: Path, *expectations: str) -> list[Any]:
    """Return the cases of a folder as parameters; a skipped one where the folder is absent."""
    if not folder.is_dir():
        skip = pytest.mark.skip(reason=f"no goldens at {folder.name} beside the repository")
        return [pytest.param(folder, marks=skip, id="absent")]
    found = {path.parent: json.loads(path.read_text()) for path in sorted(folder.glob("*/case.json"))}
    return [
        pytest.param(path, id=path.name)
        for path, case in found.items()
        if case["expect"] in expectations and case["format"] in FORMATS and path.name not in UNLIKE_THE_OTHERS
    ]


@cache
def found_in(goldens: Path) -> Listing:
    """Return what all cases of a folder are: some checkpoints have their graph from another case."""
    return discover(open_source(str(goldens)), only="*")


def convert(forkserver: Forkserver, case: Path, scratch: Path) -> tuple[tuple[Signature, ...], ParityResult, Path]:
    """Run the real stages on the first artifact of a case; raises what they raise, which `inspect` must foresee."""
    artifact = next(one for one in found_in(case.parent).artifacts if f"{one.name}/".startswith(f"{case.name}/"))
    if artifact.problem is not None:
        raise from_record(artifact.problem)
    place = scratch / case.parent.parent.name / case.name
    directory = scratch / "pulled" / place.relative_to(scratch)
    pull(open_source(str(case.parent)), artifact, directory)
    source = SourceRequest(format=artifact.format, directory=str(directory), entry=artifact.entry)
    request = ConvertRequest(source=source, saved_model=str(place))
    foreseen, _ = forkserver.run("inspect", source, ConvertResult, timeout_s=TIMEOUT_S)
    result, _ = forkserver.run("convert", request, ConvertResult, timeout_s=TIMEOUT_S)
    assert foreseen == result
    if result.error is not None:
        raise from_record(result.error)
    verified = VerifyRequest(source=source, saved_model=str(place), mode="exact", tolerance=TOLERANCE)
    parity, _ = forkserver.run("verify", verified, ParityResult, timeout_s=TIMEOUT_S)
    return result.summary.signatures, parity, place


@pytest.mark.slow
@pytest.mark.parametrize("case", [*cases(OURS, "load"), *cases(SHARED, "load", "trap")])
def test_published_model_answers_as_tensorflow_1_did(forkserver: Forkserver, case: Path, scratch: Path) -> None:
    """Every artifact converts, passes its own parity, and gives what TF 1.15 recorded on what TF 1.15 was fed."""
    signatures, parity, place = convert(forkserver, case, scratch)
    assert (parity.verdict, parity.reason) == ("passed", "")
    described, candidate = json.loads((case / "case.json").read_text()), Candidate(str(place))
    inputs = {name for one in signatures for spec in one.inputs for name in (spec.tensor, spec.key)}
    compared = sum(
        answers_as_recorded(case, call, signature, candidate, inputs)
        for call in described["calls"]
        if is_inference(call)
        for signature in signatures
        if call.get("signature", signature.key) == signature.key
    )
    assert compared


@pytest.mark.slow
@pytest.mark.parametrize("case", [*cases(OURS, "refuse", "error"), *cases(SHARED, "refuse", "error")])
def test_bad_artifact_is_refused(forkserver: Forkserver, case: Path, scratch: Path) -> None:
    """A broken artifact is bad input and a dangerous one is refused, each with a remedy; no model is written."""
    with pytest.raises(JobError) as caught:
        convert(forkserver, case, scratch)
    runs_outside = case.name.startswith(("py_func", "read_write"))
    assert caught.value.exit_code == (Refused if runs_outside else BadInput).exit_code
    assert caught.value.what
    assert caught.value.remedy
    assert not (scratch / case.parent.parent.name / case.name / "saved_model.pb").exists()


def is_inference(call: Case) -> bool:
    """Tell calls that a converted model must answer from those of other weights, other tags and of what never was."""
    elsewhere = call.get("weights") or {"train", "gpu"} & set(call.get("tags", []))
    return not elsewhere and not call["name"].startswith("training_mode")


def answers_as_recorded(case: Path, call: Case, signature: Signature, candidate: Candidate, inputs: set[str]) -> int:
    """Call one signature as recorded and compare every output that it has; return how many those are.

    Not one that leaves out what was fed and is among some signature's `inputs`; a switch that was set is among none.
    """
    with np.load(case / "golden.npz") as golden:
        feeds = {name: value(golden, fed) for key, fed in call["feeds"].items() for name in names(key, fed)}
        fetched = {name: golden[one["npz"]] for key, one in call["fetches"].items() for name in names(key, one)}
    taken = [{spec.tensor, spec.key} for spec in signature.inputs]
    if not all(names & feeds.keys() for names in taken) or len(taken) < sum(
        bool(names(key, fed) & inputs) for key, fed in call["feeds"].items()
    ):
        return 0
    arrays = [feeds[spec.tensor] if spec.tensor in feeds else feeds[spec.key] for spec in signature.inputs]
    said = candidate.run(signature, arrays)
    compared = 0
    for spec, output in zip(signature.outputs, said, strict=True):
        name = next((name for name in (spec.tensor, spec.key) if name in fetched), "")
        if name:
            answer = output.reshape(fetched[name].shape) if case.name in FLATTENED else output
            assert_close(answer, fetched[name], f"{case.name}, {call['name']}: {signature.key}/{spec.key}")
            compared += 1
    return compared


def names(key: str, tensor: Case) -> set[str]:
    """Return what a recorded tensor may be called: its own name and its argument's."""
    return {tensor["tensor"], tensor.get("key", key)}


def value(golden: Any, fed: Case) -> Any:
    """Return recorded values; NumPy drops trailing NULs, which is why some are in base64."""
    array = golden[fed["npz"]]
    if fed.get("encoding") == "base64":
        return np.array([base64.b64decode(one) for one in array.ravel()], object).reshape(array.shape)
    return array.astype(object) if array.dtype.kind == "S" else array


def assert_close(output: Any, golden: Any, where: str) -> None:
    """Strings and integers exactly, floats to the tolerance of their type relative to the output's scale."""
    assert output.shape == golden.shape, where
    if tf.as_dtype(golden.dtype if golden.dtype.kind not in "SUO" else np.object_).is_floating:
        scale = np.abs(golden.astype(np.float64)).max(initial=0)
        worst = np.abs(output.astype(np.float64) - golden.astype(np.float64)).max(initial=0)
        half = where.startswith("half")
        assert worst <= max(tolerance_for(golden.dtype, TOLERANCE), HALF_TOLERANCE * half) * scale, where
    else:
        np.testing.assert_array_equal(output.astype(golden.dtype), golden, where)
