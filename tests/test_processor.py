import os
from pathlib import Path

from job.processor import processor

CPUINFO = "processor\t: 0\nvendor_id\t: GenuineIntel\nmodel name\t: Intel(R) Xeon(R) Platinum 8481C\nflags\t\t: fpu\n"


def written(root: Path, **files: str) -> Path:
    folder = root / "sys/devices/system/cpu/cpu0/cpufreq"
    folder.mkdir(parents=True)
    (root / "proc").mkdir()
    (root / "proc/cpuinfo").write_text(CPUINFO)
    for name, text in files.items():
        (folder / name).write_text(text)
    return root


def test_model_cores_and_frequencies_are_told(tmp_path: Path) -> None:
    """The model's name as Linux has it, the cores that this process may use, the governor and its bounds."""
    told = processor(
        written(tmp_path, scaling_governor="powersave\n", scaling_min_freq="800000\n", scaling_max_freq="3500000")
    )
    assert told == {
        "cpu": f"Intel(R) Xeon(R) Platinum 8481C, {len(os.sched_getaffinity(0))} cores",
        "cpu_frequency": "powersave, 800 MHz to 3500 MHz",
    }


def test_what_is_not_told_is_left_out(tmp_path: Path) -> None:
    """A virtual machine knows no frequencies, and a sandbox may show nothing."""
    assert set(processor(written(tmp_path))) == {"cpu"}
    assert processor(tmp_path / "nothing") == {"cpu": f"{len(os.sched_getaffinity(0))} cores"}
