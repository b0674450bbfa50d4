import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from job.engine.runners import Baseline
from job.records import ArtifactOptions, Format
from job.requests import SourceRequest
from tests.engine.health.models import asking, said_of, variable
from tests.engine.models import Saver, converted, v1

GOLDENS = Path(__file__).parents[4] / "shared" / "goldens"
X = np.array([[1.0, 2.0]], np.float32)


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
