from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from job import latency
from job.efforts import BUDGETS_S
from job.engine import benchmarking, runtime
from job.engine.benchmarking import Contest, benchmark
from job.engine.runners import Baseline
from job.records import ArtifactOptions, Format, Signature
from job.requests import BenchmarkRequest, SourceRequest
from job.results import BenchmarkResult
from tests.engine.models import Saver, converted, ref, request_of, v1


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Measure for moments, and leave this process's set-up as the other tests need it."""
    monkeypatch.setitem(BUDGETS_S, "quick", 0.3)
    monkeypatch.setattr(runtime, "configure", lambda *_, **__: None)


def measured(saved: Saver, tmp_path: Path, build: Any, **options: Any) -> BenchmarkResult:
    saved(build)
    request = request_of(tmp_path / "source", ArtifactOptions(**options))
    model = converted(request, tmp_path)
    return benchmark(BenchmarkRequest(source=request, saved_model=str(model.directory), effort="quick"))


def linear(rows: int | None = None) -> None:
    x = v1.placeholder(tf.float32, [rows, 4], name="x")
    tf.matmul(x, ref("kernel", np.ones([4, 2], np.float32)), name="y")


def test_both_sides_are_measured_at_each_batch_size(saved: Saver, tmp_path: Path) -> None:
    """Each batch size gives both sides' throughput and latency, and a ratio between its bounds."""
    result = measured(saved, tmp_path, linear)
    assert result.verdict in {"measured", "unstable"}
    assert result.signature == "serving_default"
    first = result.measurements[0]
    assert (first.batch_size, first.feeding) == (1, "host")
    assert first.baseline.throughput_per_s > 0 < first.candidate.throughput_per_s
    assert first.ratio_low <= first.ratio <= first.ratio_high
    assert first.baseline.latency.p50_ms <= first.baseline.latency.p99_ms
    assert set(result.load_ms) == set(result.first_call_ms) == {"baseline", "candidate"}
    assert result.environment["mode"] == "as_run"


def test_first_calls_are_first(saved: Saver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither contender has run when its first call is timed: samples are tried on a baseline of their own."""
    has_run, contests = list[Baseline](), list[Contest]()
    run, first = Baseline.run, benchmarking._measured

    def noted(self: Baseline, *arguments: Any) -> Any:
        has_run.append(self)
        return run(self, *arguments)

    def seen(contest: Contest, *arguments: Any) -> Any:
        contests.append(contest)
        return first(contest, *arguments)

    monkeypatch.setattr(Baseline, "run", noted)
    monkeypatch.setattr(benchmarking, "_measured", seen)
    assert measured(saved, tmp_path, linear, batch_sizes=(2,)).first_call_ms
    assert has_run
    assert contests[0].baseline not in has_run


def test_user_chooses_batch_sizes(saved: Saver, tmp_path: Path) -> None:
    """The manifest's batch sizes are measured, in their order, until throughput stops gaining."""
    result = measured(saved, tmp_path, linear, batch_sizes=(2, 5))
    assert [one.batch_size for one in result.measurements] in ([2, 5], [2])


def test_fixed_batch_is_measured_at_its_own_size(saved: Saver, tmp_path: Path) -> None:
    """A model whose batch is fixed is measured at that batch, and its throughput counts that many examples."""
    result = measured(saved, tmp_path, lambda: linear(3))
    assert [one.batch_size for one in result.measurements] == [3]


def test_model_without_a_sample_is_not_measured(saved: Saver, tmp_path: Path) -> None:
    """Where the TF1 graph accepts no sample there are no figures, and the reason says so."""

    def build() -> None:
        x = v1.placeholder(tf.float32, [None, 4], name="x")
        with tf.control_dependencies([tf.debugging.assert_equal(tf.shape(x)[0], 1000)]):
            tf.identity(x, name="y")

    result = measured(saved, tmp_path, build)
    assert (result.verdict, result.measurements) == ("not_run", ())
    assert result.reason


@pytest.mark.parametrize(
    ("holds", "sizes", "measured_", "said"),
    [
        (4, (2, 9), [2, 4], ["memory ends at batch 9: OOM when allocating"]),
        (4, (9,), [4], ["memory ends at batch 9: OOM when allocating"]),
        (4, (4, 8), [4], ["memory ends at batch 8: OOM when allocating"]),
        (1, (8, 16), [1], ["batch 8: OOM", "batch 4: OOM", "batch 2: OOM"]),
        (0, (2,), [], ["batch 2: OOM", "batch 1: OOM"]),
    ],
)
def test_batch_that_memory_does_not_hold_is_halved(
    monkeypatch: pytest.MonkeyPatch, holds: int, sizes: tuple[int, ...], measured_: list[int], said: list[str]
) -> None:
    """Where memory ends is said beside the figures; the sweep goes on at the half, and ends with that."""

    def at(_: Contest, batch: int) -> Any:
        def call() -> None:
            if batch > holds:
                raise tf.errors.ResourceExhaustedError(None, None, f"OOM when allocating tensor with shape[{batch},9]")

        return call, call

    monkeypatch.setattr(Contest, "at", at)
    monkeypatch.setattr(latency, "saturated", lambda _: False)
    monkeypatch.setattr(benchmarking, "_sizes", lambda *_: sizes)
    signature = Signature(key="s", inputs=(), outputs=())
    contest = Contest(signature=signature, baseline=Any, candidate=Any, sample=Any)  # type: ignore[arg-type]
    source = SourceRequest(format=Format.GRAPH_DEF, directory="d", entry="e")
    result = benchmarking._measured(
        contest, {}, BenchmarkRequest(source=source, saved_model="s", effort="quick", device="cpu")
    )
    assert [one.batch_size for one in result.measurements] == measured_
    assert all(part in result.reason for part in said)
    assert (result.verdict == "not_run") == (not measured_)
