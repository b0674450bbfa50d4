"""The models on a GPU: inputs that stay there, absolute times, the share of the peak, the ranking, the load."""

import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from tests.bench import models
from tests.bench.contest import Process, Result, started
from tests.bench.gpu_plan import Peaks, Plan
from tests.bench.preparing import Model, make, versions_of
from tests.bench.table import Table


def model_step(plan: Plan, name: str, scratch: Path, peaks: Peaks) -> Callable[[float], Table]:
    def run(_: float) -> Table:
        model = make(name, scratch / name)
        found = models.ours(model, plan.device, resident=True)
        with started(found.entries, model.directory) as processes:
            swept = models.sweep(processes, model.inputs, plan.batches, models.ROUNDS[True], ())
            notes = _notes(model, swept, processes, plan)
        made = models.table(model, found, swept, rounds=models.ROUNDS[True], versions=versions_of())
        shutil.rmtree(model.directory)
        return _with_shares(made, model, swept, peaks, notes)

    return run


def _with_shares(made: Table, model: Model, swept: models.Sweep, peaks: Peaks, notes: tuple[str, ...]) -> Table:
    """Add what part of the device's highest peak each contender reaches at the largest batch."""
    largest, best = max(swept), max(peaks.peaks.values(), default=0.0)

    def share(name: str) -> str:
        result = swept[largest].get(name)
        if not isinstance(result, Result):
            return ""
        flop_per_s = result.throughput_per_s * model.flop
        return f"{flop_per_s / 1e12:.3g} TFLOP/s" + (f", {flop_per_s / best:.0%}" if best else "")

    host, resident = "fed from host memory", "with inputs that stay on the device"
    return replace(
        made,
        name=f"gpu-{model.name}",
        measured=made.measured.replace(host, resident)
        + f" The last column is of batch {largest}, by {model.flop / 1e9:.2f} GFLOP an example (two for each "
        "multiply-add of convolutions and matrix products, counted as the graph is built), and its share of the "
        "highest measured peak of any precision.",
        columns=(*made.columns, "of the peak"),
        rows=tuple((*row, share(row[0])) for row in made.rows),
        notes=(*made.notes, *notes),
    )


def _notes(model: Model, swept: models.Sweep, processes: dict[str, Process], plan: Plan) -> tuple[str, ...]:
    """Return the ranking at the largest batch, and how busy the GPU was with the slowest and the fastest there."""
    ran = {name: one for name, one in swept[max(swept)].items() if isinstance(one, Result)}
    ranked = sorted(ran, key=lambda name: -ran[name].throughput_per_s)
    ranking = ", ".join(f"{name} {ran[name].ratio.value:.2f}" for name in ranked)
    looks = [
        f"{name}: GPU busy {_busy(processes[name], model.inputs, max(swept), plan)}"
        for name in dict.fromkeys((models.BASELINE, ranked[0]))
    ]
    return (f"Ranking at batch {max(swept)}: {ranking}.", "; ".join(looks) + ".")


def _busy(process: Process, inputs: Path, batch: int, plan: Plan) -> str:
    """Return the mean utilization while one contender runs alone, as the driver samples it."""
    if plan.device == "cpu":
        return "not looked at: no GPU"
    process.bind(inputs, batch)
    calls = max(1, round(plan.busy_s / process.run(3).call_s))
    query = ["nvidia-smi", "--query-gpu=utilization.gpu", "--format=csv,noheader,nounits", "-lms", "200", "-i", "0"]
    with subprocess.Popen(query, stdout=subprocess.PIPE, text=True) as watch:
        process.run(calls)
        watch.terminate()
        said = watch.communicate()[0]
    samples = [float(line) for line in said.splitlines()[2:] if line.strip().isdigit()]  # the first are of before
    return f"{sum(samples) / len(samples):.0f} %" if samples else "not told by the driver"
