"""What workers know of the environment: what TensorFlow and CUDA read, and no credentials."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal, get_args

from job.redaction import is_secret_name

Mode = Literal["exact", "as_run"]
MODES: Final[tuple[Mode, ...]] = get_args(Mode)

PASSED_ON: Final = ("PATH", "HOME", "LANG", "USER", "VIRTUAL_ENV", "LD_LIBRARY_PATH", "LD_PRELOAD")
PASSED_ON_PREFIXES: Final = ("LC_", "CUDA_", "NVIDIA_", "TF_", "XLA_", "PYTHON", "OMP_", "OPENBLAS_", "NCCL_")
"""No credentials, no endpoints."""

KEEPS_FREED: Final = {"MALLOC_MMAP_THRESHOLD_": str(2**28), "MALLOC_TRIM_THRESHOLD_": str(2**30)}
"""Has glibc use up to 1 GiB again of what was freed; larger blocks go back at once (mallopt(3)).

Else each copy of the weights is mapped, filled with zeros and given back: a fifth of what a ResNet-50 costs processors.
"""

NO_ONEDNN: Final = {"TF_ENABLE_ONEDNN_OPTS": "0"}
"""It rounds otherwise; whether TensorFlow uses it is decided while it is imported."""


def environment_of(mode: Mode, scratch: Path, environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a forkserver that works in `scratch`."""
    return {
        **{name: value for name, value in environment.items() if _may_pass(name)},
        "TMPDIR": str(scratch),  # autograph leaves files there, which go with the rest
        "HOME": str(scratch),  # where Keras makes a file when it is imported
        "TF_CPP_MIN_LOG_LEVEL": "2",
        **KEEPS_FREED,
        **(NO_ONEDNN if mode == "exact" else {}),
    }


def _may_pass(name: str) -> bool:
    """Tell whether workers may know a variable; ``TF_TOKEN_...`` is Terraform's, ``NVIDIA_API_KEY`` a registry's."""
    is_secret = is_secret_name(name) or name.startswith("TF_VAR_") or "KEY" in name
    return name in PASSED_ON or (name.startswith(PASSED_ON_PREFIXES) and not is_secret)
