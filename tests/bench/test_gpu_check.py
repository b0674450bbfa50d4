import sys
from pathlib import Path

import pytest

from job import codec
from job.errors import DeviceError
from job.records import DeviceReport
from tests.bench import gpu_check
from tests.bench.contest import Unable
from tests.bench.gpu_plan import PLANS, Peaks
from tests.bench.table import Table


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps that answer at once, on a GPU that is not there; one cannot."""

    def made(name: str, left_s: float = 1) -> Table:
        assert left_s > 0
        return Table(name=name, title=name, measured="So.", machine="m", columns=("c",), rows=(("1",),))

    def failing(left_s: float) -> Table:
        raise Unable(f"no pytest, with {left_s:.0f} s left")

    monkeypatch.setattr(gpu_check, "placement", lambda device: DeviceReport(device=device, name="NVIDIA H200"))
    monkeypatch.setattr(
        gpu_check, "measured_peaks", lambda plan: Peaks(peaks={plan.device: 2e12}, versions={"cuda": "12"})
    )
    monkeypatch.setattr(gpu_check, "goldens_table", lambda *_: made("goldens"))
    monkeypatch.setattr(gpu_check, "model_step", lambda _, name, *__: lambda left_s: made(name, left_s))
    monkeypatch.setattr(gpu_check, "tests_table", failing)


def test_no_gpu(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Without a GPU the check ends with code 73 and one line, and writes nothing."""

    def none(*_: object) -> DeviceReport:
        raise Unable("job.errors.DeviceError: TensorFlow sees no GPU")

    monkeypatch.setattr(gpu_check, "run_stage", none)
    assert gpu_check.main(["--out", str(tmp_path)]) == DeviceError.exit_code == 73
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1
    assert said.err.startswith("TensorFlow sees no GPU; ")
    assert not any(tmp_path.iterdir())


@pytest.mark.usefixtures("steps")
def test_what_is_written(tmp_path: Path) -> None:
    """A check is kept for people and for programs, under the GPU's name and the day; a failed step says why, by 1."""
    assert gpu_check.main(["--out", str(tmp_path)]) == 1
    names = sorted(path.suffix for path in tmp_path.glob("nvidia-h200-20*"))
    assert names == [".json", ".md"]
    check = codec.loads(next(tmp_path.glob("*.json")).read_text(), gpu_check.Check)
    assert [table.name for table in check.tables] == ["peaks", "goldens", "resnet50", "bert", "tests"]
    assert check.tables[-1].rows[0][0].startswith("not measured: no pytest")
    assert (check.versions["cuda"], check.failed) == ("12", ("The tests marked gpu",))


@pytest.mark.usefixtures("steps")
def test_a_rehearsal_is_no_check(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """On the CPU the same is printed under another title, and nothing is kept."""
    monkey = DeviceReport(device="cpu", name="")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gpu_check, "placement", lambda _: monkey)
        assert gpu_check.main(["--device", "cpu", "--out", str(tmp_path)]) == 1
    assert capsys.readouterr().out.startswith("# A rehearsal on the CPU: no figures of a GPU")
    assert not any(tmp_path.iterdir())


@pytest.mark.usefixtures("steps")
def test_the_check_ends_in_time(tmp_path: Path) -> None:
    """Steps for which too little time is left are left out, and say so."""
    times = iter([0.0, *(second for second in (1.0, 370.0, 475.0, 476.0) for _ in range(2))])
    found = gpu_check.check(PLANS["gpu"], tmp_path, clock=lambda: next(times))
    assert [table.name for table in found.tables] == ["peaks", "goldens", "gpu-resnet50", "gpu-bert", "tests"]
    assert "110 s of the check's 480 were left, and it may take 120" in found.tables[2].rows[0][0]
    assert "4 s of the check's 480 were left, and it may take 20" in found.tables[4].rows[0][0]


def test_a_job_that_reports_too_little_is_a_failed_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that ends before its first report is no table without rows."""
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(Unable, match="the job reported 0 of"):
        gpu_check.goldens_table(PLANS["cpu"], tmp_path, 60)
