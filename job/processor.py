"""What Linux tells of the processor that a benchmark runs on."""

import os
import re
from pathlib import Path


def processor(root: Path = Path("/")) -> dict[str, str]:
    """Return model name, number of usable cores, and how the frequency is governed; what is not told is left out."""
    cpuinfo = _read(root / "proc/cpuinfo")
    model = re.search(r"^(?:model name|Model|CPU part)\s*:\s*(.+)$", cpuinfo, re.MULTILINE)
    cores = f"{len(os.sched_getaffinity(0))} cores"
    return {"cpu": f"{model[1]}, {cores}" if model else cores} | _frequency(
        root / "sys/devices/system/cpu/cpu0/cpufreq"
    )


def _frequency(cpufreq: Path) -> dict[str, str]:
    governor = _read(cpufreq / "scaling_governor").strip()
    if not governor:
        return {}  # a virtual machine is not told
    bounds = [_read(cpufreq / f"scaling_{name}_freq").strip() for name in ("min", "max")]
    spread = " to ".join(f"{int(bound) // 1000} MHz" for bound in bounds if bound.isdigit())
    return {"cpu_frequency": ", ".join(filter(None, (governor, spread)))}


def _read(path: Path) -> str:
    """Return a file's text; what is not there, or not shown, says nothing."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
