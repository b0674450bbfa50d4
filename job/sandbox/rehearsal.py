"""What this machine can confine: tried in a process of its own, before any work."""

import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Final

import structlog

from job.errors import DeviceError
from job.sandbox.confinement import OFF, Sandbox, Setting

log = structlog.get_logger()

TIMEOUT_S: Final = 30
PASSED_ON: Final = ("PATH", "HOME", "LD_LIBRARY_PATH", "PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")
REMEDY: Final = (
    f"this is {platform.system()}: run the image, or accept less with --sandbox best-effort"
    if sys.platform != "linux"
    else "run on Linux 5.19 or newer with Landlock enabled and let the container's seccomp profile allow landlock_* "
    "and seccomp, or accept less with --sandbox best-effort"
)


def settle(setting: Setting) -> Sandbox:
    """Return what will confine the workers of this run.

    Raises `DeviceError` where all of it is required and this machine lacks some; else warns of what is missing.
    """
    if setting == "off":
        return OFF
    sandbox, missing = rehearse()
    if missing and setting == "require":
        raise DeviceError(f"workers cannot be confined here: {missing}", where="--sandbox require", remedy=REMEDY)
    if missing:
        log.warning("sandbox_incomplete", missing=missing, held=str(sandbox), remedy=REMEDY)
    return sandbox


def rehearse() -> tuple[Sandbox, str]:
    """Confine a process that has nothing else to do; return what held, and what did not with the reasons."""
    command = [sys.executable, "-m", "job.sandbox"]
    root = Path(__file__).parent.parent.parent
    try:
        environment = {name: os.environ[name] for name in PASSED_ON if name in os.environ}  # and no credentials
        done = subprocess.run(command, cwd=root, env=environment, capture_output=True, timeout=TIMEOUT_S, check=True)
        told = json.loads(done.stdout)
        return Sandbox(landlock=int(told["landlock"]), seccomp=bool(told["seccomp"])), str(told["missing"])
    except (OSError, subprocess.SubprocessError, ValueError, LookupError) as error:
        return OFF, f"a process that tried ended otherwise ({error})"
