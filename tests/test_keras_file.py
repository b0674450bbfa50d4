from dataclasses import replace
from pathlib import Path

import pytest

from job.errors import Poison
from job.keras_file import hold, is_possible
from job.records import Finding, Format, KerasResult
from job.requests import KerasRequest, SourceRequest
from tests import samples


@pytest.fixture
def request_(tmp_path: Path) -> KerasRequest:
    source = SourceRequest(format=Format.KERAS_H5, directory=str(tmp_path), entry="model.h5")
    return KerasRequest(source=source, file=str(tmp_path / "model.keras"), reference="", tolerance=1e-5)


def test_proven_file_stays(request_: KerasRequest) -> None:
    """Both stages are run, and the finding gives the figure."""
    run = list[str]()

    def stage(name: str) -> KerasResult:
        run.append(name)
        Path(request_.file).touch()
        return KerasResult(relative=2e-7)

    finding = hold(request_, stage)
    assert (run, finding.code) == (["write_keras", "verify_keras"], "keras_file")
    assert "2.0e-07" in finding.cause
    assert Path(request_.file).exists()


@pytest.mark.parametrize("crash", [True, False], ids=["crashed", "differs"])
def test_unproven_file_goes(request_: KerasRequest, *, crash: bool) -> None:
    """What cannot be proven is taken away, with the reason; the artifact itself is not lost."""

    def stage(name: str) -> KerasResult:
        Path(request_.file).touch()
        if crash:
            raise Poison("it crashed")
        return KerasResult(reason="its answers differ" if name == "verify_keras" else "")

    finding = hold(request_, stage)
    assert finding.code == "keras_file_left_out"
    assert ("it crashed" if crash else "its answers differ") in finding.cause
    assert not Path(request_.file).exists()


@pytest.mark.parametrize(
    ("form", "code", "possible"),
    [
        (Format.KERAS_H5, "", True),
        (Format.CHECKPOINT, "architecture_recognised", True),
        (Format.CHECKPOINT, "", False),
        (Format.SAVED_MODEL, "", False),
    ],
)
def test_layers_must_be_known(form: Format, code: str, *, possible: bool) -> None:
    """A Keras model has layers, and so has a checkpoint of a known architecture; a graph has none, whoever named it."""
    findings = (Finding(code=code, cause="it was found"),) if code else ()
    assert is_possible(replace(samples.SUMMARY, format=form, findings=findings)) == possible
