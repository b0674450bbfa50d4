import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from job.engine.assembling import assemble, load
from job.engine.runners import Baseline
from job.records import ArtifactOptions, Finding, Format
from job.requests import SourceRequest
from tests.engine.health.models import asking, said_of, variable
from tests.engine.models import Saver, converted, v1

GOLDENS = Path(__file__).parents[4] / "shared" / "goldens"
X = np.array([[1.0, 2.0]], np.float32)


def restated_network(*averages: float | None) -> Any:
    """Return a builder of ``y = x * 3 * 3 … + 1``, a statistic, with an average for each weight or `None`."""

    def build() -> None:
        y = v1.placeholder(tf.float32, [None, 2], name="x")
        for number, average in enumerate(averages):
            y *= variable(f"w{number}", np.float32(3.0))
            if average is not None:
                variable(f"w{number}/ExponentialMovingAverage", np.float32(average), trainable=False)
        y += variable("bn/moving_mean", np.float32(1.0), trainable=False)
        tf.identity(y, name="y")

    return build


def answered(request: SourceRequest, *, restated: bool = True, **options: Any) -> tuple[Any, dict[str, Finding]]:
    """Return what a model answers to `X` where its graph is ours, and what was said of averages."""
    request = asking(request, **options)
    source = assemble(replace(load(request), restated=restated), request)
    signature = next(one for one in source.signatures if one.key == "serving_default")
    (answer,) = Baseline(source, "exact").run(signature, [X])
    return answer, {one.code: one for one in source.findings if one.code.startswith("averages_")}


def test_a_restated_graph_takes_averages_that_are_complete(saved: Saver) -> None:
    """It may be that the model was never evaluated with them: it is a warning, and ``ema: off`` keeps the weights."""
    request = saved(restated_network(5.0, 7.0))
    answer, said = answered(request)
    np.testing.assert_array_equal(answer, X * 5 * 7 + 1)
    assert list(said) == ["averages_chosen"]
    assert said["averages_chosen"].severity == "warning"
    assert "2 of the 3 variables have the values of their moving averages" in said["averages_chosen"].cause
    assert "2 of the 2 compared differ" in said["averages_chosen"].cause
    assert said["averages_chosen"].remedy == "--ema off takes the weights themselves"
    answer, said = answered(request, ema="off")
    np.testing.assert_array_equal(answer, X * 3 * 3 + 1)
    assert "the variables themselves were taken" in said["averages_unused"].cause


def test_averages_that_are_the_weights_are_no_warning(saved: Saver) -> None:
    """What was taken makes no difference."""
    answer, said = answered(saved(restated_network(3.0)))
    np.testing.assert_array_equal(answer, X * 3 + 1)
    assert [(one.code, one.severity) for one in said.values()] == [("averages_used", "info")]


def test_incomplete_averages_are_taken_on_request_alone(saved: Saver) -> None:
    """A mixture of weights and averages is no model that anybody evaluated; the first without one is named."""
    request = saved(restated_network(5.0, None))
    answer, said = answered(request)
    np.testing.assert_array_equal(answer, X * 3 * 3 + 1)
    assert "1 trained ones have none (first w1)" in said["averages_unused"].cause
    answer, said = answered(request, ema="on")
    np.testing.assert_array_equal(answer, X * 5 * 3 + 1)
    assert list(said) == ["averages_used"]


@pytest.mark.parametrize("ema", ["auto", "on"])
def test_an_average_that_the_graph_reads_is_its_own(saved: Saver, ema: str) -> None:
    """A student and its mean teacher answer together; neither stands in for the other."""

    def build() -> None:
        x = v1.placeholder(tf.float32, [None, 2], name="x")
        teacher = variable("w_ema", np.float32(5.0), trainable=False)
        tf.add(x * variable("w", np.float32(3.0)), 100 * teacher, name="y")

    answer, said = answered(saved(build), ema=ema)
    np.testing.assert_array_equal(answer, X * 3 + 500)
    assert said == {}


def test_averages_that_are_asked_for_and_absent_are_said(saved: Saver) -> None:
    """Else it would be thought that they were taken."""
    request = saved(restated_network(None))
    answer, said = answered(request, ema="on")
    np.testing.assert_array_equal(answer, X * 3 + 1)
    assert [(one.code, one.severity) for one in said.values()] == [("averages_absent", "warning")]
    assert answered(request)[1] == {}


def test_a_graph_of_its_own_decides(saved: Saver) -> None:
    """It reads the weights, however complete the averages are."""
    answer, said = answered(saved(restated_network(5.0)), restated=False)
    np.testing.assert_array_equal(answer, X * 3 + 1)
    assert "the graph reads the variables themselves" in said["averages_unused"].cause


def averaged_network(shadow: str, average: float) -> Any:
    """Return a builder of ``y = x * 3`` beside whose weight lies its average."""

    def build() -> None:
        x = v1.placeholder(tf.float32, [None, 2], name="x")
        weight = variable("w", np.float32(3.0))
        variable(f"w{shadow}", np.float32(average), trainable=False)
        tf.multiply(x, weight, name="y")

    return build


@pytest.mark.parametrize("shadow", ["/ExponentialMovingAverage", "/EMA", "_ema"])
def test_averages_take_their_variables_place_on_request(saved: Saver, tmp_path: Path, shadow: str) -> None:
    """With ``ema: on`` baseline and candidate have the average's value, by every name in use; it is said."""
    made = converted(asking(saved(averaged_network(shadow, 5.0)), ema="on"), tmp_path)
    (said,) = Baseline(made.source, "exact").run(made.signature(), [X])
    np.testing.assert_array_equal(said, X * 5)
    np.testing.assert_array_equal(made.answer({"x:0": X})["y:0"], X * 5)
    assert "averages_used" in [finding.code for finding in made.source.findings]


def test_averages_that_are_not_used_are_named(saved: Saver, tmp_path: Path) -> None:
    """Without the request the graph's own variables count, and the finding says that averages differ from them."""
    request = saved(averaged_network("/ExponentialMovingAverage", 5.0))
    (finding,) = said_of(request, "averages_unused")
    assert "1 of the 1 variables" in finding.cause
    assert "1 of the 1 compared differ" in finding.cause
    assert "--ema on" in finding.remedy
    made = converted(asking(request), tmp_path)
    np.testing.assert_array_equal(made.answer({"x:0": X})["y:0"], X * 3)


def test_averages_of_something_else_are_not_mentioned(saved: Saver) -> None:
    """A loss's average, and one of another shape than the variable, are no weights."""

    def build() -> None:
        averaged_network("/ExponentialMovingAverage_unlike", 1.0)()
        variable("loss/ExponentialMovingAverage", np.float32(0.1))
        variable("w/ExponentialMovingAverage", np.array([1.0, 2.0], np.float32))

    assert said_of(saved(build), "averages_unused") == []


@pytest.mark.slow
@pytest.mark.skipif(not GOLDENS.is_dir(), reason="the shared goldens are not beside the repository")
@pytest.mark.parametrize("case", ["slim_resnet_v1_50_train_meta", "slim_resnet_v2_50_train_meta_boolph"])
def test_averages_answer_as_tensorflow_1_did(tmp_path: Path, case: str) -> None:
    """A ResNet-50's averages give what TF 1.15 gave after restoring them into the variables."""
    call = next(
        one for one in json.loads((GOLDENS / case / "case.json").read_text())["calls"] if one["name"] == "ema_weights"
    )
    images, logits = call["feeds"]["images"], call["fetches"]["logits"]
    options = ArtifactOptions(inputs={"images": images["tensor"]}, outputs={"logits": logits["tensor"]}, ema="on")
    entry = next((GOLDENS / case).glob("*.meta")).stem
    request = SourceRequest(format=Format.META_GRAPH, directory=str(GOLDENS / case), entry=entry, options=options)
    with np.load(GOLDENS / case / "golden.npz") as golden:
        fed, recorded = golden[images["npz"]], golden[logits["npz"]]
    (said,) = converted(request, tmp_path).answer({images["tensor"]: fed}).values()
    np.testing.assert_allclose(said, recorded, rtol=1e-5, atol=1e-5 * np.abs(recorded).max())


@pytest.mark.slow
@pytest.mark.skipif(not GOLDENS.is_dir(), reason="the shared goldens are not beside the repository")
def test_a_bare_checkpoint_answers_by_its_averages(tmp_path: Path) -> None:
    """Without its graph and without being asked, slim's ResNet-50 gives what TF 1.15 gave with the averages."""
    golden = GOLDENS / "slim_resnet_v1_50_train_meta"
    bare = tmp_path / "bare"
    bare.mkdir()
    for path in golden.glob("model.ckpt-*"):
        if path.suffix != ".meta":
            shutil.copy(path, bare)
    entry = next(bare.glob("*.index")).stem
    made = converted(SourceRequest(format=Format.CHECKPOINT, directory=str(bare), entry=entry), tmp_path)
    assert "averages_chosen" in [finding.code for finding in made.source.findings]
    (call,) = (one for one in json.loads((golden / "case.json").read_text())["calls"] if one["name"] == "ema_weights")
    with np.load(golden / "golden.npz") as arrays:
        images = arrays[call["feeds"]["images"]["npz"]]
        recorded = arrays[call["fetches"]["logits"]["npz"]]
    (signature,) = made.source.signatures
    answers = dict(zip((spec.key for spec in signature.outputs), made.candidate.run(signature, [images]), strict=True))
    np.testing.assert_allclose(answers["logits"], recorded, rtol=1e-5, atol=1e-5 * np.abs(recorded).max())
