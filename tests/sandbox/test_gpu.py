import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from landlockpy import AccessFS

from job.sandbox import Confinement, places
from job.sandbox.landlock import rules
from job.workers import Forkserver, Limits
from tests.jobs import environment
from tests.sandbox.attacks import Attack, Outcome
from tests.sandbox.machine import FULL, needs_newest

CPU, GPU = (Confinement(scratch="/s", sandbox=FULL, on_gpu=on_gpu) for on_gpu in (False, True))


@pytest.fixture
def compiler(tmp_path: Path) -> Path:
    """Put a program where NVIDIA's wheels have theirs."""
    program = tmp_path / "site" / "nvidia" / "cuda_nvcc" / "bin" / "ptxas"
    program.parent.mkdir(parents=True)
    shutil.copy("/bin/true", program)
    return program


@pytest.fixture
def forkserver(tmp_path: Path, compiler: Path) -> Iterator[Forkserver]:
    """Start one that has NVIDIA's wheels on its path."""
    site = environment({"PYTHONPATH": f"{Path.cwd()}{os.pathsep}{compiler.parents[3]}"})
    with Forkserver("as_run", tmp_path, site, "tests.sandbox.attacks", Limits(sandbox=FULL)) as forkserver:
        yield forkserver


def tried(forkserver: Forkserver, what: str, *, program: Path, device: str = "gpu") -> str:
    """Have a worker try something; return the error that it met."""
    attack = Attack(what=what, program=str(program), device=device, outside=str(program.parent), pid=os.getpid())
    return forkserver.run("attack", attack, Outcome, timeout_s=30)[0].error


@needs_newest
def test_gpu_worker_starts_cudas_compilers_alone(forkserver: Forkserver, compiler: Path) -> None:
    """XLA starts ``ptxas``; another copy of the same program is not executed, nor is any on the CPU."""
    elsewhere = compiler.parents[3] / "ptxas"
    shutil.copy(compiler, elsewhere)
    assert tried(forkserver, "start", program=compiler) == ""
    assert tried(forkserver, "start", program=elsewhere) == "EACCES"
    assert tried(forkserver, "start", program=compiler, device="cpu") == "EPERM"


@needs_newest
@pytest.mark.parametrize(
    "what",
    [
        *("tcp", "tcp6", "udp", "netlink", "read_passwords", "read_environment", "write", "chmod", "symlink", "signal"),
        *("trace", "watch", "io_uring", "user_namespace", "mount", "bpf", "stay"),
    ],
)
def test_gpu_worker_is_as_confined_otherwise(forkserver: Forkserver, compiler: Path, what: str) -> None:
    """What CUDA needs opens neither network nor files nor other processes."""
    assert tried(forkserver, what, program=compiler) in ("EPERM", "EACCES")


def test_only_cudas_worker_gets_at_gpus(monkeypatch: pytest.MonkeyPatch, compiler: Path) -> None:
    """Its devices are written and commanded, its tables read, its compilers executed, and nothing of it on the CPU."""
    monkeypatch.setattr(sys, "path", [str(compiler.parents[3])])
    monkeypatch.setattr(places, "matching", iter)  # as if all of it were there
    given = dict(rules(GPU))
    assert given["/dev/nvidia*"] == AccessFS.READ_FILE | AccessFS.READ_DIR | AccessFS.WRITE_FILE | AccessFS.IOCTL_DEV
    assert given["/proc/driver/nvidia*"] == AccessFS.READ_FILE | AccessFS.READ_DIR
    assert {path for path, rights in given.items() if AccessFS.EXECUTE in rights} == {
        str(compiler.parent),
        *places.LOADERS,
    }
    on_cpu = dict(rules(CPU))
    assert not any(AccessFS.EXECUTE in rights for rights in on_cpu.values())
    assert not {*places.NVIDIA_DEVICES, *places.NVIDIA_LIBRARIES, *places.LOADERS} & on_cpu.keys()


def test_cache_that_a_user_names_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compiling for a GPU that TensorFlow was not built for takes half an hour: ``CUDA_CACHE_PATH`` outlasts one."""
    monkeypatch.setenv("CUDA_CACHE_PATH", "/var/cache/cuda")
    assert AccessFS.MAKE_REG in dict(rules(GPU))["/var/cache/cuda"]
    assert "/var/cache/cuda" not in dict(rules(CPU))
