"""A worker confines itself: once, while it is a single thread, and before it reads anything of an artifact."""

import os
import resource
import tempfile
from contextlib import suppress
from typing import Final

import landlockpy

from job.errors import DeviceError
from job.sandbox import landlock, seccomp
from job.sandbox.confinement import Confinement
from job.sandbox.sonames import by_soname

LARGEST_FILE: Final = 0.9
"""Of the free disk: one file of a worker's leaves something for the others."""


def prepare() -> None:
    """Load what confining needs, once for all children: a confined one may not look for libraries."""
    with by_soname():
        for load in (landlockpy.abi_version, seccomp.library):
            with suppress(OSError):
                load()


def confine(confinement: Confinement) -> None:
    """Take from this process, for good, all but what `confinement` leaves it.

    Its home and its temporary directory are its scratch from here on, with a sandbox and without.
    Raises `DeviceError` where the kernel does not do it: another machine may.
    """
    for name in ("TMPDIR", "HOME"):
        os.environ[name] = confinement.scratch
    os.environ.setdefault("CUDA_CACHE_PATH", os.path.join(confinement.scratch, "cuda"))  # noqa: PTH118 - text to text
    tempfile.tempdir = None
    try:
        _restrict(confinement)
    except OSError as error:
        raise DeviceError(
            f"a worker could not be confined: {error.strerror or error}",
            where=str(confinement.sandbox),
            remedy="try another machine, or --sandbox best-effort",
        ) from error


def _restrict(confinement: Confinement) -> None:
    sandbox = confinement.sandbox
    if sandbox.landlock or sandbox.seccomp:
        _check_alone()
        _limit_files(confinement.scratch)
    if sandbox.landlock:
        landlock.restrict(confinement)
    if sandbox.seccomp:
        seccomp.restrict(confinement)  # last: it denies what the others need


def _check_alone() -> None:
    """Another thread would stay as free as it is."""
    if len(os.listdir("/proc/self/task")) != 1:  # noqa: PTH208 - names are enough
        raise OSError("it has more threads than one")


def _limit_files(scratch: str) -> None:
    """Bound a single file; how many processes a user has is the container's business, and open files harm nobody."""
    disk = os.statvfs(scratch)
    limit = int(disk.f_bavail * disk.f_frsize * LARGEST_FILE)
    _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    if most != resource.RLIM_INFINITY:  # a bound that we were given is ours to lower alone
        limit = min(limit, most)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
