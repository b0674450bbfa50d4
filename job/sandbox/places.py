"""What every worker is let at, beside its own input and scratch; found by watching workers open files."""

import os
import sys
from collections.abc import Iterator
from glob import glob
from pathlib import Path
from typing import Final

LIBRARIES: Final = (
    "/lib",
    "/lib64",
    "/usr/lib",
    "/usr/lib64",
    "/usr/local/lib",
    "/etc/ld.so.cache",  # where the loader finds them
    "/etc/localtime",
    "/usr/share/zoneinfo",
)
"""Shared libraries are opened when they are first needed, which may be late."""

MACHINE: Final = (
    "/proc/cpuinfo",  # oneDNN and Eigen choose their kernels and block sizes by it
    "/proc/meminfo",  # TensorFlow's allocator bounds itself by it
    "/proc/self/cmdline",  # TensorFlow asks for its program while it saves, and aborts where it is not told
    "/proc/sys/vm/overcommit_memory",  # malloc asks
    "/sys/devices/system/cpu",  # cores, caches and their sizes
    "/sys/devices/system/node",  # NUMA
    "/sys/bus/cpu",
    "/sys/bus/node",
    "/sys/kernel/mm",  # huge pages
)
"""What tells of processors and memory. Of a process itself, nothing but how it was started."""

DEVICES: Final = ("/dev/null", "/dev/zero", "/dev/random", "/dev/urandom")

NVIDIA_LIBRARIES: Final = (
    "/usr/local/cuda*",
    "/usr/local/nvidia",  # where some clouds mount the driver's libraries
    "/usr/share/nvidia",  # the driver's profiles of applications
    "/etc/nvidia",
    "/etc/OpenCL",
    "/proc/driver/nvidia*",  # the driver's version and parameters
    "/proc/devices",  # the numbers of its devices
    "/proc/modules",
    "/proc/self/maps",  # CUDA looks for room in its own address space
    "/proc/self/status",
    "/proc/sys/vm/mmap_min_addr",
    "/sys/bus/pci/devices",  # which GPU is near which processor
    "/sys/devices",
    "/sys/module/nvidia*",
    "/var/run/nvidia-persistenced",
)
"""What CUDA reads of driver and machine."""

NVIDIA_DEVICES: Final = (
    "/dev/nvidia*",  # each GPU, the control device, unified memory, and MIG's capabilities
    "/dev/dxg",  # the GPU of Windows' subsystem for Linux
    "/dev/shm",  # noqa: S108 - where the driver shares pinned memory
    "/proc/self/task",  # it names its threads
    "/tmp/nvidia-mps",  # noqa: S108 - where the driver's own daemon listens, by its default
)
"""What CUDA writes to, and commands by ``ioctl``."""

COMPILERS: Final = ("nvidia/*/bin", "triton/backends/nvidia/bin")
"""Where NVIDIA's wheels have ``ptxas`` and ``nvlink``, which XLA starts; relative to ``site-packages``."""

LOADERS: Final = ("/lib64/ld-linux-x86-64.so.2", "/lib/ld-linux-aarch64.so.1")
"""A program is executed by its loader; whatever else that is told to load is as confined as its caller."""


def readable(scratch: str) -> Iterator[str]:
    """Yield what all workers read.

    Python's path is of it but for a directory around the scratch: who reads that reads what all others have written.
    """
    yield from (*LIBRARIES, *MACHINE)
    yield from os.environ.get("LD_LIBRARY_PATH", "").split(os.pathsep)
    for entry in map(Path, (path or os.curdir for path in sys.path)):
        if not Path(scratch).resolve().is_relative_to(entry.resolve()):
            yield str(entry)


def compilers() -> Iterator[str]:
    """Yield the programs that a worker on a GPU may start."""
    yield from LOADERS
    for entry in sys.path:
        yield from (str(found) for pattern in COMPILERS for found in Path(entry).glob(pattern))


def matching(patterns: tuple[str, ...]) -> Iterator[str]:
    """Yield what there is of a table with wildcards."""
    for pattern in patterns:
        yield from glob(pattern)  # noqa: PTH207 - text to text
