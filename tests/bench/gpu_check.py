"""What a GPU does for the job, in one run: python -m tests.bench.gpu_check [--device gpu|cpu] [--out DIR].

Ends with code 73 and one line where there is no GPU. On the CPU it is a rehearsal of the same code, on
smaller models, whose figures go nowhere but to the standard output.
"""

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Final

from job import codec
from job.errors import DeviceError
from job.records import ArtifactReport, DeviceReport
from job.requests import DeviceRequest
from tests.bench import models
from tests.bench.contest import ROOT, Unable, first_line
from tests.bench.gpu_models import model_step
from tests.bench.gpu_plan import PLANS, Device, Peaks, Plan
from tests.bench.preparing import run_stage
from tests.bench.table import Table, refused, this_machine

PLACE: Final = ROOT / "docs" / "gpu"

LIMIT_S: Final = 480.0
"""The whole check."""

LEAST_S: Final = {"goldens": 60.0, "tests": 20.0}
"""What must be left for a step to begin; one that is left out says so."""

MODEL_LEAST_S: Final = 120.0
"""The same for a model: it is converted, made into variants, and raced."""


@dataclass(frozen=True, kw_only=True)
class Check:
    """What a check came to: ``docs/gpu/….json`` is this record; `failed` names the steps that came to nothing."""

    gpu: str
    date: str
    versions: dict[str, str]
    tables: tuple[Table, ...]
    failed: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Return the name of its files."""
        return f"{re.sub('[^a-z0-9]+', '-', self.gpu.lower()).strip('-')}-{self.date}"

    def markdown(self) -> str:
        """Return all of it for people."""
        title = f"# {self.gpu}, {self.date}" if self.gpu else "# A rehearsal on the CPU: no figures of a GPU"
        told = ", ".join(f"{name} {version}" for name, version in self.versions.items())
        return f"{title}\n\nMade by `scripts/gpu-check`. {told}.\n\n" + "\n".join(
            table.markdown(2) for table in self.tables
        )


def check(plan: Plan, scratch: Path, *, clock: Callable[[], float] = time.monotonic) -> Check:
    """Run all steps that time allows; raises `DeviceError` where there is no GPU."""
    end_s = clock() + LIMIT_S
    placed = placement(plan.device)
    try:
        peaks = measured_peaks(plan)
    except Unable as error:
        peaks = Peaks(peaks={}, versions={"peaks": refused(str(error))})
    steps: list[tuple[str, str, Callable[[float], Table]]] = [
        ("goldens", "The goldens' parity, TF32 off", lambda left_s: goldens_table(plan, scratch, left_s)),
        *((f"gpu-{one}", models.TITLES[one], model_step(plan, one, scratch, peaks)) for one in plan.models),
        ("tests", "The tests marked gpu", tests_table),
    ]
    tables, failed = [_peaks_table(peaks, plan)], [] if peaks.peaks else ["The measured peak"]
    for name, title, run in steps:
        try:
            tables.append(run(_left_s(end_s - clock(), LEAST_S.get(name, MODEL_LEAST_S))))
        except (Unable, subprocess.TimeoutExpired) as error:
            tables.append(_absent(name, title, str(error)))
            failed.append(title)
        sys.stderr.write(f"{title}: {LIMIT_S - (end_s - clock()):.0f} s\n")
    return Check(
        gpu=placed.name,
        date=f"{datetime.now(timezone.utc):%Y-%m-%d}",
        versions={**peaks.versions, **_driver()},
        tables=tuple(tables),
        failed=tuple(failed),
    )


def _left_s(left_s: float, least_s: float) -> float:
    if left_s < least_s:
        raise Unable(f"{max(0, left_s):.0f} s of the check's {LIMIT_S:.0f} were left, and it may take {least_s:.0f}")
    return left_s


def placement(device: Device) -> DeviceReport:
    """Return where models run, as the job proves it; raises `DeviceError` in one line."""
    try:
        return run_stage("probe_device", DeviceRequest(device=device), DeviceReport)
    except Unable as error:
        said = str(error).removeprefix("job.errors.DeviceError: ")
        raise DeviceError(said, remedy="or rehearse by --device cpu") from error


def measured_peaks(plan: Plan) -> Peaks:
    """Multiply large matrices in a process of its own."""
    command = [sys.executable, "-W", "ignore", "-m", "tests.bench.peaks", plan.device, str(plan.matrix)]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)
    if ended.returncode:
        raise Unable(first_line(ended.stderr.strip().splitlines()[-1]))
    return Peaks(**json.loads(ended.stdout.splitlines()[-1]))


def _peaks_table(peaks: Peaks, plan: Plan) -> Table:
    return Table(
        name="peaks",
        title="The measured peak",
        measured=f"The best of five windows of matrix products, {plan.matrix} x {plan.matrix}, which are "
        "2 x side^3 operations each.",
        machine=this_machine(),
        columns=("precision", "TFLOP/s"),
        rows=tuple((name, f"{flop_per_s / 1e12:.3g}") for name, flop_per_s in peaks.peaks.items()),
    )


def goldens_table(plan: Plan, scratch: Path, left_s: float) -> Table:
    """Run the job on some goldens; its gate holds both sides with TF32, Grappler and nondeterminism off."""
    source, dest = scratch / "goldens", scratch / "published"
    for name in plan.goldens:
        shutil.copytree(ROOT / "tests" / "goldens" / name, source / name)
    options = ["--device", plan.device, "--benchmark", "off", "--tune-budget", "0", "--sandbox", "best-effort"]
    job = [sys.executable, "-m", "job", "run", "--source", str(source), "--dest", str(dest), *options]
    ended = subprocess.run(job, cwd=ROOT, capture_output=True, text=True, check=False, timeout=left_s)
    reports = [codec.loads(file.read_text(), ArtifactReport) for file in sorted(dest.rglob("report.json"))]
    if len(reports) < len(plan.goldens):
        last = ended.stderr.strip().splitlines()[-1:] or ["it said nothing"]
        raise Unable(f"the job reported {len(reports)} of {len(plan.goldens)}, code {ended.returncode}: {last[0]}")
    if lost := [f"{one.artifact.name} ({one.error.what})" for one in reports if one.error]:
        raise Unable(f"not published: {', '.join(lost)}")
    return Table(
        name="goldens",
        title="The goldens' parity, TF32 off",
        measured="`python -m job run` on models of this repository that TF 1.15.5 wrote. `exact` is the largest error "
        "of any output relative to its scale, SavedModel against TF1 graph, with TF32, Grappler and nondeterminism "
        "off: the gate; `as run` is the same against that reference with a user's defaults.",
        machine=this_machine(),
        columns=("artifact", "", "exact", "as run"),
        rows=tuple((one.artifact.name, one.status.replace("_", " "), *_parity(one)) for one in reports),
    )


def _parity(report: ArtifactReport) -> tuple[str, str]:
    def told(parity: object) -> str:
        outputs = getattr(parity, "outputs", ())
        far = [output.relative for output in outputs if output.relative is not None]
        return f"{getattr(parity, 'verdict', 'not run')}{f', {max(far):.0e}' if far else ''}".replace("_", " ")

    return told(report.parity), told(report.as_run)


def tests_table(left_s: float) -> Table:
    """Run the tests that are marked gpu."""
    command = [sys.executable, "-m", "pytest", "-q", "-m", "gpu", "-p", "no:cacheprovider"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=left_s)
    lines = [line for line in (ended.stdout + ended.stderr).splitlines() if line.strip()]
    if ended.returncode not in (0, 5):  # 5: there are none
        raise Unable(f"pytest ended with code {ended.returncode}: {lines[-1] if lines else 'it said nothing'}")
    return Table(
        name="tests",
        title="The tests marked gpu",
        measured=f"`pytest -m gpu` ended with code {ended.returncode}{' (there are none)' * (ended.returncode == 5)}.",
        machine=this_machine(),
        columns=("pytest's last line",),
        rows=((lines[-1].strip("= ") if lines else "it said nothing",),),
    )


def _absent(name: str, title: str, reason: str) -> Table:
    cells = ((refused(first_line(reason)),),)
    return Table(name=name, title=title, measured="", machine=this_machine(), columns=("",), rows=cells)


def _driver() -> dict[str, str]:
    query = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader", "-i", "0"]
    try:
        said = subprocess.run(query, capture_output=True, text=True, check=True, timeout=30).stdout
    except (OSError, subprocess.SubprocessError):
        return {}
    return {"driver": said.strip()}


def main(arguments: Sequence[str] | None = None) -> int:
    """Check, write and say where; returns the exit code."""
    parser = argparse.ArgumentParser(prog="scripts/gpu-check", description="Check the job on this machine's GPU.")
    parser.add_argument("--device", choices=PLANS, default="gpu", help="cpu: a rehearsal, which is only printed")
    parser.add_argument(
        "--out", type=Path, default=PLACE, metavar="DIR", help="where the results go; default: docs/gpu"
    )
    said = parser.parse_args(arguments)
    try:
        with tempfile.TemporaryDirectory(prefix="tf1lift-gpu-") as scratch:
            found = check(PLANS[said.device], Path(scratch))
    except DeviceError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    sys.stdout.write(found.markdown())
    if said.device == "gpu":
        said.out.mkdir(parents=True, exist_ok=True)
        (said.out / f"{found.name}.md").write_text(found.markdown(), encoding="utf-8")
        (said.out / f"{found.name}.json").write_text(codec.dumps(found, indent=2) + "\n", encoding="utf-8")
        sys.stderr.write(f"written: {said.out / found.name}.md and .json\n")
    for title in found.failed:
        sys.stderr.write(f"failed, see above: {title}\n")
    return 1 if found.failed else 0


if __name__ == "__main__":
    sys.exit(main())
