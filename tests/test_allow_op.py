"""The op policy from end to end: what is refused, what is left out, and what a user lets run."""

import json
from pathlib import Path
from typing import Any, Final

import pytest

from tests.hostile import FLOAT, FLOAT_INPUT
from tests.jobs import Finished, run_job

WRITES: Final = """
node { name: "path" op: "Const" attr { key: "dtype" value { type: DT_STRING } }
  attr { key: "value" value { tensor { dtype: DT_STRING tensor_shape { } string_val: "/tmp/tf1lift-was-here" } } } }
node { name: "writes" op: "WriteFile" input: "path" input: "path" }
"""
SOURCES: Final = {
    "copies.pbtxt": f'{FLOAT_INPUT}node {{ name: "copy" op: "Copy" input: "x" {FLOAT} }}\n'
    f'node {{ name: "y" op: "Neg" input: "copy" {FLOAT} }}\n',
    "nested.pbtxt": f"""{FLOAT_INPUT}{WRITES}
node {{ name: "hidden" op: "DatasetFromGraph" input: "path" }}
node {{ name: "y" op: "Neg" input: "x" input: "^hidden" {FLOAT} }}
""",
    "trains.pbtxt": f'{FLOAT_INPUT}{WRITES}node {{ name: "y" op: "Neg" input: "x" {FLOAT} }}\n',
}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Lay the models out."""
    folder = tmp_path_factory.mktemp("policy")
    (folder / "in").mkdir()
    for name, text in SOURCES.items():
        (folder / "in" / name).write_text(text)
    return folder


def run(place: Path, *arguments: str, extra: dict[str, str] | None = None) -> Finished:
    """Run the job over all of them, or those that `arguments` choose."""
    paths = ("--source", str(place / "in"), "--dest", str(place / "out"))
    steps = ("--device", "cpu", "--benchmark", "off", "--log-format", "json")
    return run_job("run", *paths, *steps, *arguments, extra=extra)


@pytest.fixture(scope="module")
def denied(place: Path) -> Finished:
    """Run with nothing allowed."""
    return run(place)


def findings(ended: Finished, place: Path, artifact: str) -> dict[str, str]:
    """Return what the report of a published artifact says, by code."""
    (said,) = [one for one in ended.named("artifact_published") if one["artifact"] == artifact]
    report: dict[str, Any] = json.loads((place / "out" / said["place"] / "report.json").read_text())
    return {one["code"]: one["cause"] for one in report["summary"]["findings"]}


def errors(ended: Finished) -> dict[str, dict[str, Any]]:
    """Return the event of each artifact that failed."""
    return {one["artifact"]: one for one in ended.named("artifact_failed")}


def test_denied_op_on_the_way_is_refused_with_its_way(denied: Finished) -> None:
    """Code 42 names op, node and the way from the output; a graph that is hidden in a constant is refused, too."""
    assert denied.code == 42
    failed = errors(denied)
    assert failed.keys() == {"copies.pbtxt", "nested.pbtxt"}
    assert "op Copy (node copy) hands tensors to a debugger" in json.dumps(failed["copies.pbtxt"])
    assert "on the way to an output: y, copy" in json.dumps(failed["copies.pbtxt"])
    assert "op DatasetFromGraph (node hidden)" in json.dumps(failed["nested.pbtxt"])


def test_denied_op_elsewhere_is_left_out_and_told(denied: Finished, place: Path) -> None:
    """A training part that writes files costs nothing: the model is published without it, and the report lists it."""
    assert "WriteFile (writes)" in findings(denied, place, "trains.pbtxt")["host_ops_left_out"]
    assert not Path("/tmp/tf1lift-was-here").exists()  # noqa: S108 - where the hostile graph would write


@pytest.mark.parametrize(
    ("arguments", "extra"), [(("--allow-op", "Copy"), {}), ((), {"JOB_ALLOW_OP": "Copy, ReadFile"})]
)
def test_allowed_op_runs_and_the_report_warns(
    denied: Finished, place: Path, arguments: tuple[str, ...], extra: dict[str, str]
) -> None:
    """The plan is another one with each list of allowed ops, and the finding says what ran."""
    ended = run(place, "--only", "*.pbtxt", *arguments, extra=extra)
    assert errors(ended).keys() == {"nested.pbtxt"}
    assert findings(ended, place, "copies.pbtxt")["op_allowed"].endswith(": Copy (copy)")
    (again,) = [one for one in ended.named("artifact_published") if one["artifact"] == "trains.pbtxt"]
    (before,) = [one for one in denied.named("artifact_published") if one["artifact"] == "trains.pbtxt"]
    assert again["place"] != before["place"]
    assert "op_allowed" not in findings(ended, place, "trains.pbtxt")


@pytest.mark.parametrize(
    ("op", "said"), [("Coppy", "did you mean 'Copy'?"), ("PyFunc", "its Python code is not in the file")]
)
def test_op_that_cannot_be_allowed_is_wrong_usage(place: Path, op: str, said: str) -> None:
    """A misspelt op is answered with the one that was meant, a Python body with why that cannot be: code 2."""
    ended = run(place, "--only", "trains.pbtxt", "--allow-op", op)
    assert ended.code == 2
    assert said in ended.stderr
    assert ended.named("device_chosen") == []  # before TensorFlow is asked for anything
