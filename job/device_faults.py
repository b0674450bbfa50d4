"""What CUDA says where a GPU itself has failed, and not the model that ran on it."""

import re
from typing import Final

from job.errors import DeviceError

_FAULTS: Final = re.compile(
    r"[^\n\"\\]{0,80}(?:"
    r"CUDA_ERROR_(?:ECC_UNCORRECTABLE|NVLINK_UNCORRECTABLE|HARDWARE_STACK_ERROR|ILLEGAL_ADDRESS|ILLEGAL_INSTRUCTION"
    r"|MISALIGNED_ADDRESS|LAUNCH_FAILED|LAUNCH_TIMEOUT|CONTEXT_IS_DESTROYED|DEVICE_UNAVAILABLE|EXTERNAL_DEVICE"
    r"|SYSTEM_NOT_READY|DEINITIALIZED|CONTAINED)"
    r"|uncorrectable ECC error|illegal memory access was encountered|unspecified launch failure"
    r"|GPU has fallen off the bus|[Ff]ailed to synchronize|could not synchronize on CUDA context"
    r"|Unexpected Event status"
    r")[^\n\"\\]{0,120}"
)
"""CUresult names (cuda.h, "Data types used by CUDA driver") after which a context is lost, and the words of
TensorFlow's StreamExecutor for them."""


def fault_in(text: str) -> str:
    """Return the line that tells of a failed GPU; empty where there is none."""
    found = _FAULTS.search(text)
    return found[0].strip() if found else ""


def device_error(stage: str, fault: str) -> DeviceError:
    """Return the error of a stage whose GPU failed: the model is not to blame, and another machine may do better."""
    return DeviceError(f"the GPU failed in the {stage} stage: {fault}", remedy="run again on another machine")
