import os
from pathlib import Path

import pytest

from job import machine
from job.machine import MOST, cores_here, cpu_lanes, lane_bytes_here, visible_gpus
from job.memory_cap import GIB, NO_LIMIT_BYTES


@pytest.mark.parametrize(
    ("cores", "memory_bytes", "lanes"),
    [
        (1, 64 * GIB, 1),
        (2, 24 * GIB, 2),
        (4, 4 * GIB, 1),
        (4, 8 * GIB, 3),
        (96, 512 * GIB, MOST),
        (8, NO_LIMIT_BYTES, 1),
    ],
)
def test_as_many_stages_at_once_as_cores_and_memory_allow(cores: int, memory_bytes: int, lanes: int) -> None:
    """One where either is short, or where nobody knows how much memory there is."""
    assert cpu_lanes(cores, memory_bytes) == lanes


def test_lanes_divide_what_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sixteen lanes of 8 GiB have 0.4 GiB each, whatever a stage may want."""
    monkeypatch.setattr(machine, "container_bytes", lambda: 8 * GIB)
    assert lane_bytes_here(16) == pytest.approx(0.4 * GIB)


@pytest.mark.parametrize(
    ("files", "cores"),
    [
        ({}, 64),
        ({"cpu.max": "max 100000"}, 64),
        ({"cpu.max": "250000 100000"}, 2),
        ({"cpu.max": "50000 100000"}, 1),
        ({"pods/one/cpu.max": "400000 100000", "pods/cpu.max": "300000 100000"}, 3),
        ({"cpu/pods/one/cpu.cfs_quota_us": "200000", "cpu/pods/one/cpu.cfs_period_us": "100000"}, 2),
        ({"cpu/pods/one/cpu.cfs_quota_us": "-1", "cpu/pods/one/cpu.cfs_period_us": "100000"}, 64),
    ],
)
def test_container_s_quota_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: dict[str, str], cores: int
) -> None:
    """A container of two processors on a machine of 64 has two, of whichever version its cgroups are."""
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(f"{text}\n")
    (tmp_path / "membership").write_text("4:cpu,cpuacct:/pods/one\n0::/pods/one\n")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(64)))
    assert cores_here(tmp_path, tmp_path / "membership") == cores


@pytest.mark.parametrize(
    ("named", "count", "names"),
    [("", 2, ("0", "1")), ("5,7", 2, ("5", "7")), ("GPU-1, GPU-2", 1, ("GPU-1",)), ("3", 2, ("0", "1"))],
)
def test_gpus_keep_the_names_that_the_user_gave(named: str, count: int, names: tuple[str, ...]) -> None:
    """What a scheduler hands to this process is all that it may use."""
    assert visible_gpus({"CUDA_VISIBLE_DEVICES": named}, count) == names
