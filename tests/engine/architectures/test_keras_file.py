from pathlib import Path
from typing import Literal

import keras
import numpy as np
import pytest

from job.engine.architectures import reading
from job.engine.architectures.base import Build
from job.engine.architectures.keras_file import OTHERS
from job.engine.proof import reference
from job.engine.proof.verifying import verify
from job.engine.stages import convert, verify_keras, write_keras
from job.records import ArtifactOptions, Format
from job.requests import ConvertRequest, KerasRequest, SourceRequest, VerifyRequest
from tests.architectures import originals
from tests.engine.architectures import nets

TOLERANCE = 1e-5
NONFINITE = ArtifactOptions(allow_nonfinite=True)


def asked(folder: Path, values: nets.Arrays, options: ArtifactOptions | None = None) -> KerasRequest:
    """Write a checkpoint, convert and verify it, so that the baseline's answers are there."""
    originals.write(dict(values), folder / "checkpoint")
    source = SourceRequest(
        format=Format.CHECKPOINT,
        directory=str(folder / "checkpoint"),
        entry="model.ckpt",
        options=options or ArtifactOptions(),
    )
    saved_model, recorded = str(folder / "saved_model"), str(folder / "reference.npz")
    assert convert(ConvertRequest(source=source, saved_model=saved_model)).error is None
    verify(VerifyRequest(source=source, saved_model=saved_model, mode="exact", tolerance=TOLERANCE, reference=recorded))
    return KerasRequest(source=source, file=str(folder / "model.keras"), reference=recorded, tolerance=TOLERANCE)


def know(monkeypatch: pytest.MonkeyPatch, build: Build = nets.network) -> None:
    """Let the small network be the only one that is known."""
    monkeypatch.setattr(reading, "ARCHITECTURES", (nets.family(build),))


def held(request: KerasRequest) -> keras.Model:
    """Write the file, prove it and load it."""
    assert write_keras(request).reason == ""
    proven = verify_keras(request)
    assert (proven.reason, proven.relative is not None) == ("", True)
    return keras.saving.load_model(request.file)


@pytest.mark.parametrize("build", [nets.network, nets.logits], ids=["several outputs", "one output"])
def test_a_recognised_checkpoint_is_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, build: Build) -> None:
    """The file has the checkpoint's values, under the scheme's name, and passes the baseline's gate."""
    know(monkeypatch, build)
    values = nets.values_of()
    model = held(asked(tmp_path, values))
    assert model.name == "tiny"
    np.testing.assert_array_equal(model.get_layer("conv1").kernel.numpy(), values["conv1/kernel"])
    np.testing.assert_array_equal(model.get_layer("head").kernel.numpy(), values["head/kernel"][0, 0])


@pytest.mark.slow
def test_bert_is_held_as_tensorflow_1_ran_it(tmp_path: Path) -> None:
    """Of a real checkpoint, with slots and a configuration, the file gives what TensorFlow 1.15.5 said."""
    case = originals.case("bert_tiny_pretraining")
    case.write(tmp_path / "checkpoint")
    (tmp_path / "checkpoint" / "bert_config.json").write_text(case.config)
    model = held(asked(tmp_path, case.values()))
    recorded = case.recorded()
    said = model({key: recorded[key] for key in case.inputs}, training=False)
    for key, (name,) in case.outputs.items():
        wanted = recorded[name]
        answer = said[key].numpy().reshape(wanted.shape)
        assert np.abs(answer - wanted).max() / np.abs(wanted).max() < TOLERANCE, key


@pytest.mark.parametrize(("ema", "is_average"), [("auto", True), ("off", False)])
def test_the_values_are_those_of_the_conversion(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ema: Literal["auto", "off"], *, is_average: bool
) -> None:
    """Where the conversion takes averages of the weights, the file has them, too."""
    know(monkeypatch)
    values = nets.values_of()
    averages = {f"{name}/ExponentialMovingAverage": array * np.float32(0.9) for name, array in values.items()}
    kernel = held(asked(tmp_path, values | averages, ArtifactOptions(ema=ema))).get_layer("conv1").kernel.numpy()
    stored = averages["conv1/kernel/ExponentialMovingAverage"] if is_average else values["conv1/kernel"]
    np.testing.assert_array_equal(kernel, stored)


def test_values_of_half_precision_are_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keras has float32 alone here, as the graph computes."""
    know(monkeypatch)
    values = nets.values_of()
    assert held(asked(tmp_path, values | {"conv1/kernel": values["conv1/kernel"].astype(np.float16)})) is not None


def test_chosen_outputs_are_not_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A signature that the user made is not the architecture's, whose file would have another."""
    know(monkeypatch)
    wanted = asked(tmp_path, nets.values_of(), ArtifactOptions(outputs={"answer": "probabilities:0"}))
    assert write_keras(wanted).reason == OTHERS
    assert not Path(wanted.file).exists()


def test_other_answers_are_not_proven(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that answers otherwise than the baseline gives the reason."""
    know(monkeypatch)
    wanted = asked(tmp_path, nets.values_of())
    assert write_keras(wanted).reason == ""
    wrong = {key: tuple(array + 1 for array in arrays) for key, arrays in reference.read(wanted.reference).items()}
    reference.write(wanted.reference, ((*key, arrays) for key, arrays in wrong.items()))
    assert "differ" in verify_keras(wanted).reason


def test_what_cannot_be_compared_is_not_proven(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """That both answer NaN says nothing."""
    know(monkeypatch)
    wanted = asked(tmp_path, nets.values_of() | {"conv1/kernel": np.full([3, 3, 3, 4], np.nan, np.float32)}, NONFINITE)
    assert write_keras(wanted).reason == ""
    assert "cannot be compared" in verify_keras(wanted).reason


def test_what_keras_does_not_build_is_not_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What Keras says is the reason, and no crash."""
    know(monkeypatch)
    wanted = asked(tmp_path, nets.values_of())
    monkeypatch.setattr("job.engine.architectures.keras.ATTRIBUTES", {"mean": "nowhere"})
    assert "nowhere" in write_keras(wanted).reason
