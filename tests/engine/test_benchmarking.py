from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from job.efforts import BUDGETS_S
from job.engine import benchmarking, overheads, runtime
from job.engine.benchmarking import Sweep, benchmark
from job.engine.contest import Contest, GpuMemory
from job.engine.runners import Baseline
from job.latency import Call, Round
from job.records import ArtifactOptions
from job.requests import BenchmarkRequest
from job.results import BatchMeasurement, BenchmarkResult, Contender
from tests.engine.models import Saver, converted, ref, request_of, v1


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Measure for moments, and leave this process's set-up as the other tests need it."""
    monkeypatch.setitem(BUDGETS_S, "quick", 0.3)
    monkeypatch.setattr(runtime, "configure", lambda *_, **__: None)


def measured(
    saved: Saver, tmp_path: Path, build: Any, *, with_fast: bool = False, device: Any = "cpu", **options: Any
) -> BenchmarkResult:
    """Measure a model, with itself as its fast variant where one is wanted."""
    saved(build)
    request = request_of(tmp_path / "source", ArtifactOptions(**options))
    model = str(converted(request, tmp_path).directory)
    fast = model if with_fast else ""
    return benchmark(BenchmarkRequest(source=request, saved_model=model, fast=fast, effort="quick", device=device))


def linear(rows: int | None = None) -> None:
    x = v1.placeholder(tf.float32, [rows, 4], name="x")
    tf.matmul(x, ref("kernel", np.ones([4, 2], np.float32)), name="y")


def test_both_sides_are_measured_at_each_batch_size(saved: Saver, tmp_path: Path) -> None:
    """Each batch size gives both sides' throughput and latency, and a ratio between its bounds."""
    result = measured(saved, tmp_path, linear)
    assert result.verdict in {"measured", "unstable"}
    assert result.signature == "serving_default"
    assert {(one.batch_size, one.feeding) for one in result.measurements} <= {(1, "host"), (8, "host")}
    first = result.measurements[0]
    assert [one.name for one in first.contenders] == ["baseline", "candidate"]
    assert all(one.throughput_per_s > 0 for one in first.contenders)
    assert [one.ratio is None for one in first.contenders] == [True, False]
    for one in first.contenders:
        assert one.latency is not None
        assert one.latency.p50_ms <= one.latency.p99_ms
    assert set(result.load_ms) == set(result.first_call_ms) == {"baseline", "candidate"}
    assert result.environment["mode"] == "as_run"
    assert "core" in result.environment["cpu"]
    assert result.notes[0] == benchmarking.ONE_MEMORY  # the other says that overheads were not stable, where so
    assert result.peak_memory_bytes == {}


def test_the_fast_variant_takes_part(saved: Saver, tmp_path: Path) -> None:
    """It is loaded, called and measured as the others are, and told beside them."""
    result = measured(saved, tmp_path, linear, with_fast=True)
    names = ["baseline", "candidate", "fast"]
    assert all([one.name for one in each.contenders] == names for each in result.measurements)
    assert list(result.load_ms) == list(result.first_call_ms) == names


def test_the_overhead_of_a_tiny_model_is_told_apart(
    saved: Saver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Multiplying four numbers is all entry: what is left for the graph is less than the call, for each contender."""
    monkeypatch.setattr(overheads, "settled", lambda rounds: (rounds[3:], True))
    told = measured(saved, tmp_path, linear, with_fast=True).own_times
    assert [one.name for one in told] == ["baseline", "candidate", "fast"]
    assert all(one.overhead_ms > 0 for one in told)
    assert all(one.own_ms == pytest.approx(one.call_ms - one.overhead_ms) for one in told)
    assert told[1].overhead_ms == told[2].overhead_ms != told[0].overhead_ms
    assert told[0].ratio is None


def test_an_overhead_that_is_not_stable_is_not_told(
    saved: Saver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every call is held to the rule, the empty ones too; where one is not stable, a note is what is told."""
    seen = set[str]()

    def restless(rounds: Sequence[Round]) -> tuple[Sequence[Round], bool]:
        seen.update(rounds[0])
        return rounds, False

    monkeypatch.setattr(overheads, "settled", restless)
    result = measured(saved, tmp_path, linear, batch_sizes=(2,))
    assert seen == {"baseline", "candidate", overheads.EMPTY_SESSION, overheads.EMPTY_MODEL}
    assert result.own_times == ()
    assert "the overhead of a call could not be measured: windows differ by more than 10 %" in result.notes


def told(batch_size: int, throughput_per_s: float, *, stable: bool = True, feeding: Any = "host") -> BatchMeasurement:
    contenders = (Contender(name="baseline", throughput_per_s=throughput_per_s),)
    return BatchMeasurement(batch_size=batch_size, feeding=feeding, contenders=contenders, stable=stable)


def test_saturation_is_told_of_what_is_stable_alone() -> None:
    """From the first size on that is not stable, nothing is said; before it, all is."""
    assert benchmarking.saturation_told((told(1, 100.0), told(2, 101.0))) == {"baseline": 1}
    assert benchmarking.saturation_told((told(1, 100.0), told(2, 101.0, stable=False))) == {}
    assert benchmarking.saturation_told((told(1, 100.0, stable=False), told(2, 101.0))) == {}
    assert benchmarking.saturation_told(()) == {}


def test_saturation_is_of_one_feeding() -> None:
    """Where the device feeds, its figures count; where it failed on the way, the host's do, and they never mix."""
    first = (told(1, 100.0), told(1, 300.0, feeding="device"))
    assert benchmarking.saturation_told((*first, told(2, 200.0), told(2, 301.0, feeding="device"))) == {"baseline": 1}
    assert benchmarking.saturation_told((*first, told(2, 200.0))) == {}


def test_overhead_that_does_not_matter_is_not_told(
    saved: Saver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a call is long, no empty one is measured beside it."""
    monkeypatch.setattr(overheads, "matters", lambda *_: False)
    assert measured(saved, tmp_path, linear).own_times == ()


def test_on_a_gpu_inputs_may_be_there_already(saved: Saver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each size is measured twice, and what stays on the device has no latencies; here the CPU plays the GPU."""
    monkeypatch.setattr(Contest, "feedings", ("host", "device"))
    settled = list[str]()
    monkeypatch.setattr(benchmarking, "settling", lambda _: lambda: settled.append("waited"))
    result = measured(saved, tmp_path, linear, with_fast=True, batch_sizes=(4,))
    assert [(one.batch_size, one.feeding) for one in result.measurements] == [(4, "host"), (4, "device")]
    assert [one.latency is None for one in result.measurements[1].contenders] == [True] * 3
    assert settled


def test_a_feeding_that_fails_costs_itself_alone(saved: Saver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is left out from then on, and a note says why."""

    def failing(_: Contest) -> Any:
        raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating")

    monkeypatch.setattr(Contest, "feedings", ("host", "device"))
    monkeypatch.setattr(Contest, "_resident_baseline", property(failing))
    result = measured(saved, tmp_path, linear, batch_sizes=(2, 4))
    assert {one.feeding for one in result.measurements} == {"host"}
    assert "batch 2 does not run when fed from device: OOM when allocating" in result.notes


def test_memory_of_a_gpu_is_weights_and_one_call(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is what loading took, and what a call's peak adds to what was held before it; the largest batch counts."""
    monkeypatch.setattr(benchmarking, "gpu_memory_bytes", lambda *_, **__: GpuMemory(current=100, peak=130))
    sweep: Any = Sweep.__new__(Sweep)
    sweep._contest, sweep._request = SimpleNamespace(weights_bytes={"fast": 40}), SimpleNamespace(device="gpu")
    sweep._peak_bytes = {"fast": 60}
    sweep._called_ms("fast", lambda: None)
    sweep._contest.weights_bytes["fast"] = 1
    sweep._called_ms("fast", lambda: None)
    assert sweep._peak_bytes == {"fast": 70}


def test_first_calls_are_first(saved: Saver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither contender has run when its first call is timed: samples are tried on a baseline of their own."""
    has_run, contests = list[Baseline](), list[Contest]()
    run, first = Baseline.run, Sweep._fitting

    def noted(self: Baseline, *arguments: Any) -> Any:
        has_run.append(self)
        return run(self, *arguments)

    def seen(sweep: Sweep, size: int) -> Any:
        contests.append(sweep._contest)
        assert sweep._contest.baseline not in has_run
        return first(sweep, size)

    monkeypatch.setattr(Baseline, "run", noted)
    monkeypatch.setattr(Sweep, "_fitting", seen)
    assert measured(saved, tmp_path, linear, batch_sizes=(2,)).first_call_ms
    assert has_run
    assert contests


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
def test_batch_that_memory_does_not_hold_is_halved(  # noqa: PLR0917 - fixtures and a case
    saved: Saver,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    holds: int,
    sizes: tuple[int, ...],
    measured_: list[int],
    said: list[str],
) -> None:
    """Where memory ends is said beside the figures; the sweep goes on at the half, and ends with that."""

    def calls(_: Contest, batch: int, _feeding: str = "host") -> dict[str, Call]:
        def call() -> None:
            if batch > holds:
                raise tf.errors.ResourceExhaustedError(None, None, f"OOM when allocating tensor with shape[{batch},9]")

        return {"baseline": call, "candidate": call}

    monkeypatch.setattr(Contest, "calls", calls)
    monkeypatch.setattr(Sweep, "_own_times", lambda *_: ())
    monkeypatch.setattr(benchmarking, "_saturation", lambda _: {})
    result = measured(saved, tmp_path, linear, batch_sizes=sizes)
    assert [one.batch_size for one in result.measurements] == measured_
    assert all(part in result.reason for part in said)
    assert (result.verdict == "not_run") == (not measured_)


def test_sweep_goes_on_while_anybody_gains(saved: Saver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The baseline is saturated at 1 and the variant at 4: 8 is the last size measured, and both are named."""
    gains = {"baseline": {1: 100.0}, "candidate": {1: 100.0}, "fast": {1: 100.0, 2: 200.0, 4: 400.0, 8: 401.0}}

    def played(sweep: Sweep, size: int, feeding: Any) -> Any:
        told = measure(sweep, size, feeding)
        throughputs = {name: by_size.get(size, 100.0) for name, by_size in gains.items()}
        contenders = tuple(replace(one, throughput_per_s=throughputs[one.name]) for one in told.contenders)
        return replace(told, contenders=contenders, stable=True)

    measure = Sweep._measured
    monkeypatch.setattr(Sweep, "_measured", played)
    result = measured(saved, tmp_path, linear, with_fast=True, batch_sizes=(1, 2, 4, 8, 16))
    assert [one.batch_size for one in result.measurements] == [1, 2, 4, 8]
    assert result.saturation == {"baseline": 1, "candidate": 1, "fast": 4}
