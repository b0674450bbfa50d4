import os
from pathlib import Path

import pytest

from job import memory_cap as memory
from job.memory_cap import GIB, container_bytes, memory_cap
from job.processes import held_bytes

UNLIMITED = "9223372036854771712"


def machine(tmp_path: Path, membership: str, files: dict[str, str], gib: int = 16) -> int:
    """Return the limit that a machine of so much memory has, by the files of its control groups."""
    proc, cgroups = tmp_path / "proc", tmp_path / "cgroup"
    (proc / "self").mkdir(parents=True)
    (proc / "self" / "cgroup").write_text(membership)
    (proc / "meminfo").write_text(f"MemTotal:       {gib * 2**20} kB\nMemFree: 1 kB\n")
    for name, text in files.items():
        (cgroups / name).parent.mkdir(parents=True, exist_ok=True)
        (cgroups / name).write_text(text + "\n")
    return container_bytes(proc, cgroups)


@pytest.mark.parametrize(
    ("membership", "files", "limit_gib"),
    [
        ("0::/\n", {"memory.max": str(4 * GIB)}, 4),
        ("0::/\n", {"memory.max": "max"}, 16),
        ("0::/pods/one\n", {"pods/memory.max": str(3 * GIB), "pods/one/memory.max": "max"}, 3),
        ("0::/pods/one\n", {"pods/memory.max": str(3 * GIB), "pods/one/memory.max": str(2 * GIB)}, 2),
        ("0::/pods/unseen\n", {"memory.max": str(5 * GIB)}, 5),
        ("4:memory:/pods/one\n0::/\n", {"memory/pods/one/memory.limit_in_bytes": str(2 * GIB)}, 2),
        ("4:memory:/docker/unseen\n", {"memory/memory.limit_in_bytes": str(2 * GIB)}, 2),
        ("4:cpu,memory:/\n", {"memory/memory.limit_in_bytes": UNLIMITED}, 16),
        ("0::/\n", {"memory.max": str(64 * GIB)}, 16),
        ("0::/\n", {"memory.max": "nonsense"}, 16),
        ("", {}, 16),
    ],
)
def test_limit_is_the_smallest_that_holds(
    tmp_path: Path, membership: str, files: dict[str, str], limit_gib: int
) -> None:
    """Both versions of control groups, any level of them, or the machine; a container sees its group as the root."""
    assert machine(tmp_path, membership, files) == limit_gib * GIB


def test_machine_that_tells_nothing_sets_no_limit(tmp_path: Path) -> None:
    """Without ``/proc`` there is nothing to go by."""
    assert container_bytes(tmp_path, tmp_path) == memory.NO_LIMIT_BYTES


def test_worker_gets_a_share_of_what_the_job_leaves(monkeypatch: pytest.MonkeyPatch) -> None:
    """The supervisor and all that it has started come first: the container ends when they do."""
    monkeypatch.setattr(memory, "container_bytes", lambda: 10 * GIB)
    cap = memory_cap()
    assert cap.limit_bytes <= 0.8 * (10 * GIB - held_bytes([os.getpid()])) + 2**26
    assert cap.limit_bytes > 4 * GIB
    assert cap.reason.startswith("80% of the 10.0 GiB here, less ")


@pytest.mark.parametrize(("mib", "limit"), [(512, 512 * 2**20), (2**20, None)])
def test_setting_lowers_the_limit_and_never_raises_it(
    monkeypatch: pytest.MonkeyPatch, mib: int, limit: int | None
) -> None:
    """More than there is cannot be had by asking for it."""
    monkeypatch.setattr(memory, "container_bytes", lambda: 10 * GIB)
    cap = memory_cap(mib)
    assert cap.limit_bytes == limit if limit else cap.limit_bytes < 8 * GIB
    assert (cap.reason == "--memory-limit-mib") == bool(limit)
