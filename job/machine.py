"""How much of this machine a run may use at once: its processors, its memory, its GPUs."""

import math
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from job.memory_cap import GIB, NO_LIMIT_BYTES, SHARE, container_bytes

LANE_BYTES: Final = 2 * GIB
"""A stage of a small artifact holds 0.4 GiB and its forkserver 0.2; a ResNet-50's some 1.5 GiB."""

MOST: Final = 8
"""More lanes than these would wait for the supervisor."""


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a worker is, and beside whom: its share of the memory, and its GPU as ``CUDA_VISIBLE_DEVICES`` names it.

    Without a name it sees all of them.
    """

    share: float = 1.0
    gpu: str = ""


WHOLE: Final = Place()
"""Where nothing else is at work."""


def cpu_lanes(cores: int, memory_bytes: int) -> int:
    """Return how many stages may compute at once on so many processors, in a container with so much memory."""
    if memory_bytes >= NO_LIMIT_BYTES:  # nobody knows
        return 1
    return max(1, min(cores, MOST, int(SHARE * memory_bytes / LANE_BYTES)))


def lanes_here() -> int:
    """Return how many stages may compute at once on this machine's processors."""
    return cpu_lanes(cores_here(), container_bytes())


def lane_bytes_here(count: int) -> float:
    """Return the memory of each of so many lanes, were it divided among them."""
    return SHARE * container_bytes() / count


def visible_gpus(environment: Mapping[str, str], count: int) -> tuple[str, ...]:
    """Return what to call each of `count` GPUs in ``CUDA_VISIBLE_DEVICES``, which may name them already."""
    named = [name.strip() for name in environment.get("CUDA_VISIBLE_DEVICES", "").split(",") if name.strip()]
    return tuple(named[:count]) if len(named) >= count else tuple(map(str, range(count)))


def cores_here(cgroups: Path = Path("/sys/fs/cgroup"), membership: Path = Path("/proc/self/cgroup")) -> int:
    """Return the processors that this process may use: by its affinity, and by its container's quota."""
    return max(1, math.floor(min([len(os.sched_getaffinity(0)), *_quotas(cgroups, membership)])))


def _quotas(cgroups: Path, membership: Path) -> Iterator[float]:
    """Yield what each cgroup of ours, of either version, lets us use, in processors."""
    for group in _groups(membership):
        with suppress(OSError, ValueError):  # absent, or "max 100000"
            quota_us, period_us = (cgroups / group / "cpu.max").read_text().split()
            yield int(quota_us) / int(period_us)
        with suppress(OSError, ValueError):
            quota, period = (int((cgroups / "cpu" / group / f"cpu.cfs_{one}_us").read_text()) for one in _CFS)
            if quota > 0:
                yield quota / period


_CFS: Final = ("quota", "period")


def _groups(membership: Path) -> Iterator[Path]:
    """Yield this process's cgroups and those above, relative to the root, which in a container is its own."""
    yield Path()
    with suppress(OSError):
        for line in membership.read_text().splitlines():  # 0::/kubepods/pod1 or 4:cpu,cpuacct:/kubepods/pod1
            _, controllers, path = line.split(":", 2)
            if not controllers or "cpu" in controllers.split(","):
                place = Path(path.lstrip("/"))
                yield from (place, *place.parents)
