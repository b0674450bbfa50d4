import resource
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from job.engine import racing, resident, runtime
from job.engine.racing import race
from job.engine.runners import Candidate
from job.latency import Call
from job.records import ArtifactOptions
from job.requests import RaceRequest
from job.results import RaceResult, Runner
from tests.engine.models import Saver, converted, ref, request_of, v1


@pytest.fixture(autouse=True)
def _set_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave this process's set-up as the other tests need it."""
    monkeypatch.setattr(runtime, "configure", lambda *_, **__: None)
    monkeypatch.setattr(racing, "LOADING_SHARE", 0.9)  # a slow machine loads for seconds


def linear(rows: int | None = None) -> None:
    x = v1.placeholder(tf.float32, [rows, 4], name="x")
    tf.matmul(x, ref("kernel", np.ones([4, 2], np.float32)), name="y")


def raced(saved: Saver, tmp_path: Path, others: dict[str, str], build: Any = linear, **options: Any) -> RaceResult:
    """Race a model against others for a moment."""
    saved(build)
    request = request_of(tmp_path / "source", ArtifactOptions(**options))
    faithful = str(converted(request, tmp_path).directory)
    named = {"faithful": faithful} | {name: path or faithful for name, path in others.items()}
    return race(RaceRequest(source=request, saved_models=named, budget_s=8.0))


def runners(result: RaceResult) -> dict[str, Runner]:
    assert result.reason == ""
    return {one.name: one for one in result.runners}


def test_every_runner_has_a_lap_at_each_batch_size(saved: Saver, tmp_path: Path) -> None:
    """On a CPU the sizes are 1 and 8; the first calls are timed, and the model itself is the measure."""
    found = runners(raced(saved, tmp_path, {"same": ""}))
    assert [lap.batch_size for lap in found["faithful"].laps] == [1, 8]
    assert {lap.ratio for lap in found["faithful"].laps} == {1.0}
    assert [lap.batch_size for lap in found["same"].laps] == [1, 8]
    assert all(0.2 < lap.low <= lap.ratio <= lap.high < 5 for lap in found["same"].laps)
    assert found["same"].first_call_ms > 0


def test_user_chooses_batch_sizes(saved: Saver, tmp_path: Path) -> None:
    """Of the manifest's batch sizes the first and the last are raced at."""
    found = runners(raced(saved, tmp_path, {}, batch_sizes=(2, 3, 5)))
    assert [lap.batch_size for lap in found["faithful"].laps] == [2, 5]


def test_a_fixed_batch_is_raced_at_its_own_size(saved: Saver, tmp_path: Path) -> None:
    """A model whose batch is fixed has one lap."""
    found = runners(raced(saved, tmp_path, {}, lambda: linear(3)))
    assert [lap.batch_size for lap in found["faithful"].laps] == [3]


def test_who_cannot_be_loaded_is_out(saved: Saver, tmp_path: Path) -> None:
    """A directory without a SavedModel costs its runner alone, and the reason is TensorFlow's."""
    found = runners(raced(saved, tmp_path, {"missing": str(tmp_path / "nothing"), "same": ""}))
    assert "is no SavedModel" in found["missing"].reason
    assert not found["missing"].laps
    assert found["same"].laps  # whether it is the faster one is the machine's to say


def test_memory_ends_for_one_runner_alone(saved: Saver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """For the model itself the half of a size is taken; a variant that does not hold that is out."""
    called, entered = resident.resident_call, list[Candidate]()

    def limited(candidate: Candidate, signature: Any, feeds: Any, device: str) -> Call:
        if candidate not in entered:
            entered.append(candidate)
        if len(feeds[0]) > (4, 2)[entered.index(candidate)]:
            raise tf.errors.ResourceExhaustedError(None, None, f"OOM when allocating shape[{len(feeds[0])},4]")
        return called(candidate, signature, feeds, device)

    monkeypatch.setattr(racing, "resident_call", limited)
    found = runners(raced(saved, tmp_path, {"greedy": ""}))
    assert [lap.batch_size for lap in found["faithful"].laps] == [1, 4]
    assert found["greedy"].reason == "OOM when allocating shape[4,4]"


def test_memory_must_be_left(saved: Saver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A variant whose files alone would fill what this process may hold is not loaded; the model itself is."""
    monkeypatch.setattr(resource, "getrlimit", lambda _: (2**20, 2**20))
    found = runners(raced(saved, tmp_path, {"big": ""}))
    assert found["big"].reason == "no memory was left to load it beside the others"
    assert found["faithful"].laps


def test_loading_must_leave_time_to_race(saved: Saver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Variants that come when half of the budget is gone are not loaded."""
    monkeypatch.setattr(racing, "LOADING_SHARE", 0.0)
    found = runners(raced(saved, tmp_path, {"late": ""}))
    assert found["late"].reason == "no time was left to load it"
    assert found["faithful"].laps


def test_model_without_a_sample_is_not_raced(saved: Saver, tmp_path: Path) -> None:
    """Where the TF1 graph accepts no sample there is nothing to feed."""

    def build() -> None:
        x = v1.placeholder(tf.float32, [None, 4], name="x")
        with tf.control_dependencies([tf.debugging.assert_equal(tf.shape(x)[0], 1000)]):
            tf.identity(x, name="y")

    result = raced(saved, tmp_path, {}, build)
    assert (result.runners, result.reason) == ((), "no sample that the TF1 graph accepts could be made")


def test_without_the_faithful_model_there_is_no_race(saved: Saver, tmp_path: Path) -> None:
    """Nothing can be compared to a model that does not load."""
    saved(linear)
    request = request_of(tmp_path / "source")
    result = race(RaceRequest(source=request, saved_models={"faithful": str(tmp_path / "nothing")}, budget_s=1.0))
    assert result.runners == ()
    assert result.reason.startswith("the faithful model does not run: what the convert stage wrote is no SavedModel")


def test_denied_ops_are_not_even_loaded(saved: Saver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A variant that holds an op which the policy denies is out before TensorFlow reads it."""
    module, loaded = tf.Module(), list[str]()
    module.read = tf.function(tf.io.read_file, input_signature=[tf.TensorSpec([], tf.string)])
    tf.saved_model.save(module, str(tmp_path / "bad"))
    load = tf.saved_model.load

    def watched(path: str) -> Any:
        loaded.append(path)
        return load(path)

    monkeypatch.setattr(tf.saved_model, "load", watched)
    found = runners(raced(saved, tmp_path, {"bad": str(tmp_path / "bad")}))
    assert "holds op ReadFile" in found["bad"].reason
    assert len(loaded) == 2  # the faithful one, to be converted and raced
    assert str(tmp_path / "bad") not in loaded
