from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from job.engine.proof.verifying import verify
from job.requests import SourceRequest, VerifyRequest
from job.results import ParityResult
from tests.engine.models import Saver, converted, ref, v1

KERNEL = np.linspace(-1, 1, 12, dtype=np.float32).reshape(4, 3)


def linear(kernel: "np.ndarray[Any, Any]") -> Any:
    def build() -> None:
        x = v1.placeholder(tf.float32, [None, 4], name="x")
        tf.matmul(x, ref("kernel", kernel), name="logits")

    return build


@pytest.fixture
def request_with_answers(saved: Saver, tmp_path: Path) -> VerifyRequest:
    """Return a request whose reference holds the baseline's answers, as the exact comparison leaves them."""
    source = saved(linear(KERNEL))
    model = converted(source, tmp_path / "faithful")
    kept = str(tmp_path / "reference.npz")
    wanted = VerifyRequest(
        source=source, saved_model=str(model.directory), mode="exact", tolerance=1e-5, reference=kept
    )
    assert verify(wanted).verdict == "passed"
    return wanted


def held(wanted: VerifyRequest, saved: Saver, tmp_path: Path, kernel: Any, **how: Any) -> ParityResult:
    """Hold a model with another kernel to the class of a variant."""
    source: SourceRequest = saved(linear(kernel))
    model = converted(source, tmp_path / "variant")
    return verify(replace(wanted, saved_model=str(model.directory), **how))


def test_variant_of_reduced_precision_may_be_a_hundredth_off(
    request_with_answers: VerifyRequest, saved: Saver, tmp_path: Path
) -> None:
    """Half a hundredth of the scale passes as reduced, and its tolerance is told; as exact it fails."""
    kernel = KERNEL * np.float32(1.005)
    reduced = held(request_with_answers, saved, tmp_path / "a", kernel, mode="as_run", precision="reduced")
    assert (reduced.verdict, reduced.outputs[0].tolerance) == ("passed", 1e-2)
    exact = held(request_with_answers, saved, tmp_path / "b", kernel, precision="exact")
    assert (exact.verdict, exact.outputs[0].tolerance) == ("failed", 1e-5)
    assert exact.first_diverging is None
    reduced = held(
        request_with_answers,
        saved,
        tmp_path / "c",
        KERNEL * np.float32(1.02),
        mode="as_run",
        precision="reduced",
    )
    assert reduced.verdict == "failed"


def test_variant_of_reduced_precision_must_keep_the_largest_entry(
    request_with_answers: VerifyRequest, saved: Saver, tmp_path: Path
) -> None:
    """An answer that is close and names another class fails, with the share of rows that kept theirs."""
    equal = np.repeat(KERNEL[:, :1], 3, axis=1)
    tilted = equal + np.array([0, 1e-4, 2e-4], np.float32)
    wanted = replace(request_with_answers, source=saved(linear(tilted)), reference=str(tmp_path / "tilted.npz"))
    model = converted(wanted.source, tmp_path / "tilted")
    assert verify(replace(wanted, saved_model=str(model.directory))).verdict == "passed"
    found = held(wanted, saved, tmp_path, equal, mode="as_run", precision="reduced")
    assert found.verdict == "failed"
    assert "keep their largest entry in its place, and 99.5% must" in found.reason


def test_variant_is_held_to_the_answers_that_are_there(
    request_with_answers: VerifyRequest, saved: Saver, tmp_path: Path
) -> None:
    """The baseline is not asked again, and its answers stay as they are."""
    before = Path(request_with_answers.reference).read_bytes()
    wanted = replace(request_with_answers, precision="exact")
    assert held(wanted, saved, tmp_path, KERNEL).verdict == "passed"
    assert Path(request_with_answers.reference).read_bytes() == before
