"""How much memory a worker may hold, so that the kernel never has to choose between it and the job.

Where a container's memory ends, Kubernetes lets the kernel end all of its processes at once
(``memory.oom.group``): the job must stop a greedy worker before that.
"""

import os
import resource
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from job.errors import Poison
from job.processes import children_of, held_bytes

SHARE: Final = 0.8
"""Of what the job itself leaves: the rest is for files' pages, and for what a worker takes between two looks."""

NO_LIMIT_BYTES: Final = 2**60
"""Version 1 of cgroups says "no limit" by a number near 2**63."""

GIB: Final = 2**30

OUT_OF_MEMORY: Final = "out of memory"
"""So begins what every error says that ends a stage for lack of memory."""

_given: "list[MemoryCap]" = []
"""What this process may hold, where it is a worker."""


@dataclass(frozen=True, kw_only=True)
class MemoryCap:
    """What a worker may hold, and where the number comes from."""

    limit_bytes: int
    reason: str


def memory_cap(limit_mib: int | None = None, *, part: float = 1.0) -> MemoryCap:
    """Return the share of the container's memory that is left by this process and what it has started, the zygotes.

    `part` of it is the worker's where others are at work beside it. `limit_mib` can only lower it.
    """
    whole, own = container_bytes(), held_bytes([os.getpid(), *children_of(os.getpid())])
    share = max(int(SHARE * part * (whole - own)), 0)
    if limit_mib is not None and limit_mib * 2**20 < share:
        return MemoryCap(limit_bytes=limit_mib * 2**20, reason="--memory-limit-mib")
    reason = f"{SHARE * part:.0%} of the {whole / GIB:.1f} GiB here, less {own / GIB:.1f} GiB for the job itself"
    return MemoryCap(limit_bytes=share, reason=reason)


def give(cap: MemoryCap) -> None:
    """Let this process know what it may hold."""
    _given[:] = [cap]


def check_room(stage: str, needed_bytes: int, what: str) -> None:
    """Raise `Poison` where `what` does not fit beside what this process holds already; it may be given no cap."""
    held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024  # a sandbox may deny /proc
    for cap in _given:
        if held + needed_bytes > cap.limit_bytes:
            raise Poison(
                f"{OUT_OF_MEMORY} in the {stage} stage: {what} {needed_bytes / GIB:.2f} GiB beside "
                f"{held / GIB:.2f} GiB for TensorFlow, and the worker may hold {cap.limit_bytes / GIB:.2f} GiB",
                where=cap.reason,
                remedy="give the job a machine with more memory",
            )


def container_bytes(proc: Path = Path("/proc"), cgroups: Path = Path("/sys/fs/cgroup")) -> int:
    """Return the smallest limit of this process's cgroups, of either version, or the machine's memory."""
    return min(_machine_bytes(proc), *_limits(proc, cgroups))


def _machine_bytes(proc: Path) -> int:
    try:
        first = (proc / "meminfo").read_text().splitlines()[0]  # MemTotal: 24683520 kB
        return int(first.split()[1]) * 1024
    except (OSError, ValueError, IndexError):
        return NO_LIMIT_BYTES


def _limits(proc: Path, cgroups: Path) -> Iterator[int]:
    """Yield every limit from this process's cgroup up to the root, which in a container is the container's own."""
    yield NO_LIMIT_BYTES
    for root, name, path in _memberships(proc, cgroups):
        for group in (path, *path.parents):
            with suppress(OSError, ValueError):  # not visible from within the container, or "max"
                yield int((root / group / name).read_text())


def _memberships(proc: Path, cgroups: Path) -> Iterator[tuple[Path, str, Path]]:
    """Yield where the memory's hierarchies lie, the name of the limit there, and this process's place, relative."""
    try:
        lines = (proc / "self" / "cgroup").read_text().splitlines()
    except OSError:
        return
    for line in lines:  # 0::/kubepods/pod1 or 4:memory:/kubepods/pod1
        _, controllers, path = line.split(":", 2)
        place = Path(path.lstrip("/"))
        if not controllers:
            yield cgroups, "memory.max", place
        elif "memory" in controllers.split(","):
            yield cgroups / "memory", "memory.limit_in_bytes", place
