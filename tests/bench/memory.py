"""What the job takes in memory and time, stage by stage, against the size of a checkpoint."""

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from job.processes import descendants, held_bytes
from tests.bench.table import Table, refused, this_machine
from tests.jobs import JOB, ROOT, environment

GB: Final = 10**9
SIZES_BYTES: Final = (GB // 10, GB, 4 * GB, 8 * GB)
REHEARSED_BYTES: Final = (GB // 10, 3 * GB // 10)
STAGES: Final = ("convert", "verify", "verify as run")
OPTIONS: Final = ("--device", "cpu", "--benchmark", "off", "--tune-budget", "0", "--log-format", "json")

COPIES: Final = 2.5
"""What a run wants of the disk beside its source: room for what is pulled, made and published, two at a time."""

IN_MEMORY: Final = Path("/dev/shm")  # noqa: S108 - for a source that the disk has no room for
LOOK_S: Final = 0.05


@dataclass(frozen=True, kw_only=True)
class Took:
    """What a run took: `peaks_bytes` and `walls_s` by stage, `held_bytes` by all of its processes at a time."""

    size_bytes: int
    peaks_bytes: Mapping[str, int]
    walls_s: Mapping[str, float]
    held_bytes: int
    wall_s: float

    def row(self) -> tuple[str, ...]:
        """Return the table's row."""
        stages = (f"{_gb(self.peaks_bytes[stage])}, {self.walls_s[stage]:.1f} s" for stage in STAGES)
        return _gb(self.size_bytes), *stages, _gb(self.held_bytes), f"{self.wall_s:.0f} s"


def tables(*, quick: bool, scratch: Path) -> list[Table]:
    """Run the job on one checkpoint of each size."""
    rows, took = list[tuple[str, ...]](), list[Took]()
    for size_bytes in REHEARSED_BYTES if quick else SIZES_BYTES:
        free_bytes = shutil.disk_usage(scratch).free
        if COPIES * size_bytes > free_bytes:
            reason = f"its copies need {_gb(COPIES * size_bytes)} of disk, and {_gb(free_bytes)} are free"
            rows.append((_gb(size_bytes), refused(reason), *[""] * (len(STAGES) + 1)))
            continue
        is_roomy = (COPIES + 1) * size_bytes < free_bytes
        took.append(measured(scratch / "run", scratch / "source" if is_roomy else IN_MEMORY / scratch.name, size_bytes))
        rows.append(took[-1].row())
    return [
        Table(
            name="memory",
            title="Memory and time against the size of a checkpoint",
            measured="A TF1 checkpoint with its MetaGraph, of random numbers: an embedding, of a quarter of it and up "
            "to 1 GiB, and dense layers of 64 MiB. Each stage's peak is the kernel's `ru_maxrss` of its process, "
            "TensorFlow's own 0.3 GB and mapped files included; held is what all processes of the job had at a time "
            "that the kernel cannot take back, pages that two of them share counted for each, looked at 20 times a "
            "second.",
            machine=this_machine(),
            columns=("checkpoint", *STAGES, "the job held", "the job took"),
            rows=tuple(rows),
            notes=tuple(_lines(took)),
        )
    ]


def measured(run: Path, source: Path, size_bytes: int) -> Took:
    """Make a checkpoint at `source` and run the job on it below `run`; both are removed again."""
    try:
        make = [sys.executable, "-m", "tests.engine.big_checkpoint", str(source / "model"), str(size_bytes)]
        subprocess.run(make, check=True, cwd=ROOT, env=environment(), capture_output=True)
        return _job(run, source, size_bytes)
    finally:
        for directory in (run, source):
            shutil.rmtree(directory, ignore_errors=True)


def _job(run: Path, source: Path, size_bytes: int) -> Took:
    (run / "scratch").mkdir(parents=True)
    places = ["--source", str(source), "--dest", str(run / "published"), "--scratch", str(run / "scratch")]
    begin, held = time.monotonic(), 0
    with (run / "log").open("wb") as log:
        job = subprocess.Popen([*JOB, "run", *places, *OPTIONS], cwd=run, env=environment(), stdout=log, stderr=log)
        while job.poll() is None:
            held = max(held, held_bytes([job.pid, *descendants(job.pid)]))
            if source.parent == IN_MEMORY and b"stage_ended" in (run / "log").read_bytes():
                shutil.rmtree(source, ignore_errors=True)  # it was pulled: the memory is the job's
            time.sleep(LOOK_S)
    wall_s = time.monotonic() - begin
    if job.returncode:
        raise RuntimeError(f"the job ended with code {job.returncode}: {(run / 'log').read_text()[-2000:]}")
    timings = _timings(run / "published")
    return Took(
        size_bytes=size_bytes,
        peaks_bytes={one["stage"]: one["peak_memory_bytes"] for one in timings},
        walls_s={one["stage"]: one["wall_s"] for one in timings},
        held_bytes=held,
        wall_s=wall_s,
    )


def _timings(published: Path) -> list[dict[str, Any]]:
    (report,) = published.rglob("report.json")
    found: list[dict[str, Any]] = json.loads(report.read_text(encoding="utf-8"))["timings"]
    return found


def _lines(took: Sequence[Took]) -> Iterator[str]:
    """Say by which straight line each stage's peak grows, and how far the farthest point is from it."""
    if len(took) < 2:
        return
    sizes = np.array([one.size_bytes for one in took])
    for stage in STAGES:
        peaks = np.array([one.peaks_bytes[stage] for one in took])
        slope, least = np.polyfit(sizes, peaks, 1)
        off = np.abs(peaks - (slope * sizes + least)).max()
        yield f"{stage}: {slope:.2f} times the checkpoint + {_gb(least)} by least squares, {_gb(off)} off at most."


def _gb(size_bytes: float) -> str:
    return f"{size_bytes / GB:.2f} GB"
