from pathlib import Path

import pytest

from job.engine.proof import reference
from job.engine.proof.verifying import verify
from job.engine.stages import convert, verify_keras, write_keras
from job.requests import ConvertRequest, KerasRequest, SourceRequest, VerifyRequest
from tests.engine.keras.models import GOLDENS, dense, golden, sequential, write

TOLERANCE = 1e-5


def asked(source: SourceRequest, folder: Path) -> KerasRequest:
    """Convert and verify, so that the baseline's answers are there."""
    saved_model, recorded = str(folder / "saved_model"), str(folder / "reference.npz")
    assert convert(ConvertRequest(source=source, saved_model=saved_model)).error is None
    verify(VerifyRequest(source=source, saved_model=saved_model, mode="exact", tolerance=TOLERANCE, reference=recorded))
    return KerasRequest(source=source, file=str(folder / "model.keras"), reference=recorded, tolerance=TOLERANCE)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["2.2.4/shared_and_nested", "2.2.4-tf/shared_and_nested"])
def test_keras_3_holds_the_model(tmp_path: Path, name: str) -> None:
    """A file for Keras 3 is written and gives the baseline's answers, inputs and outputs in their places."""
    wanted = asked(golden(GOLDENS / f"{name}.h5", tmp_path), tmp_path)
    assert write_keras(wanted).reason == ""
    proven = verify_keras(wanted)
    assert (proven.reason, proven.relative is not None) == ("", True)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("2.2.4/masked_words", "hard_sigmoid"),
        ("2.2.4/stateful", "stateful"),
        ("2.2.4/bilinear", "LegacyUpSampling2D"),
        ("1.2.2/merged_1", "MaxoutDense"),
    ],
)
def test_what_keras_3_changed_is_not_held(tmp_path: Path, name: str, reason: str) -> None:
    """A model with a function or layer that Keras 3 redefined or lost is not written, and the reason names it."""
    wanted = KerasRequest(
        source=golden(GOLDENS / f"{name}.h5", tmp_path), file=str(tmp_path / "model.keras"), reference="", tolerance=0
    )
    assert reason in write_keras(wanted).reason
    assert not Path(wanted.file).exists()


@pytest.mark.slow
def test_what_does_not_run_here_is_not_proven(tmp_path: Path) -> None:
    """Keras 3 leaves channels first to kernels that a CPU does not have: not proven, and no crash."""
    wanted = asked(golden(GOLDENS / "1.2.2" / "theano_order_1.h5", tmp_path), tmp_path)
    assert write_keras(wanted).reason == ""
    assert "Conv2D" in verify_keras(wanted).reason


@pytest.mark.slow
def test_other_answers_are_not_proven(tmp_path: Path) -> None:
    """A file that answers otherwise than the baseline gives the reason."""
    wanted = asked(write(tmp_path, sequential(dense())), tmp_path)
    assert write_keras(wanted).reason == ""
    wrong = {key: tuple(array + 1 for array in arrays) for key, arrays in reference.read(wanted.reference).items()}
    reference.write(wanted.reference, ((*key, arrays) for key, arrays in wrong.items()))
    assert "differ" in verify_keras(wanted).reason


def test_nothing_to_compare_is_not_proven(tmp_path: Path) -> None:
    """Without an answer of the baseline nothing is proven."""
    wanted = KerasRequest(
        source=write(tmp_path, sequential(dense())),
        file=str(tmp_path / "model.keras"),
        reference=str(tmp_path / "reference.npz"),
        tolerance=TOLERANCE,
    )
    assert "no answer" in verify_keras(wanted).reason
