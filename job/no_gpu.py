"""Why a machine shows no GPU, as far as can be seen from outside of TensorFlow, and what to do about it."""

import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

OLDEST_DRIVER: Final = 525
"""NVIDIA's driver branch that runs the CUDA 12 of the image: CUDA Compatibility, "Minor Version Compatibility"."""

_DRIVER: Final = re.compile(r"(?<=\s)(\d+)\.\d+(?:\.\d+)?(?=\s)")
_OTHERWISE: Final = "or choose --device cpu"


def remedy(environment: Mapping[str, str], root: Path = Path("/")) -> str:
    """Return what to do where TensorFlow sees no GPU; `root` is the file system's."""
    return f"{_cure(environment, root)}, {_OTHERWISE}"


def _cure(environment: Mapping[str, str], root: Path) -> str:
    driver = _driver(root)
    if environment.get("CUDA_VISIBLE_DEVICES", "0").strip() in ("", "-1"):
        return "unset CUDA_VISIBLE_DEVICES, which hides them all"
    if driver and int(driver.partition(".")[0]) < OLDEST_DRIVER:
        return f"update NVIDIA's driver {driver} to {OLDEST_DRIVER} or later"
    if (root / "dev/nvidiactl").exists():
        return "install CUDA's libraries: `pip install '.[gpu]'`, or the image of --flavour gpu"
    if "KUBERNETES_SERVICE_HOST" in environment:
        return "ask for one by `resources: {limits: {nvidia.com/gpu: 1}}`, as in k8s/base"
    if any((root / mark).exists() for mark in (".dockerenv", "run/.containerenv")):
        return "pass it on: `docker run --gpus all`, with NVIDIA's container toolkit on the host"
    return "install NVIDIA's driver if there is a GPU"


def _driver(root: Path) -> str:
    """Return the version of the kernel's driver; empty where none is loaded, or none may be seen."""
    with suppress(OSError):
        found = _DRIVER.search((root / "proc/driver/nvidia/version").read_text())
        return found[0] if found else ""
    return ""
