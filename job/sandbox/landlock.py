"""Landlock: which files a process may read, write and execute, and that it speaks to no port and signals no stranger.

`landlockpy` makes the system calls. Of the two bindings on PyPI it is the one that lets its caller say which rights
are handled, and so be held to the kernel's version or, in tests, to that of an older one.
"""

import os
import stat
from collections.abc import Iterator
from itertools import chain
from typing import Final

import landlockpy
from landlockpy import AccessFS, Ruleset, fs_for_abi, net_for_abi, scope_for_abi

from job.sandbox import places
from job.sandbox.confinement import Confinement

OLDEST: Final = 2
"""The first version (Linux 5.19) that can let a file move between directories, as TensorFlow does while it saves."""

NEWEST: Final = 7
"""The last one (Linux 6.15) that these rules were tried with; a newer kernel still speaks it."""

READ: Final = AccessFS.READ_FILE | AccessFS.READ_DIR
EXECUTE: Final = READ | AccessFS.EXECUTE
DEVICE: Final = READ | AccessFS.WRITE_FILE | AccessFS.IOCTL_DEV
WRITE: Final = (
    READ
    | AccessFS.WRITE_FILE
    | AccessFS.TRUNCATE
    | AccessFS.MAKE_REG
    | AccessFS.MAKE_DIR
    | AccessFS.REMOVE_FILE
    | AccessFS.REMOVE_DIR
    | AccessFS.REFER
)
"""No links, pipes, sockets and devices: the supervisor reads what it finds there."""

OF_A_FILE: Final = AccessFS.EXECUTE | AccessFS.READ_FILE | AccessFS.WRITE_FILE | AccessFS.TRUNCATE | AccessFS.IOCTL_DEV
"""The kernel refuses a rule that gives a file the rights of a directory."""

_held = list[int]()


def usable_version() -> int:
    """Return the version of Landlock's rights that this kernel has, or `NEWEST`; raises `OSError` below `OLDEST`."""
    found = landlockpy.abi_version()
    if found < OLDEST:
        raise OSError(f"the kernel has version {found}, and {OLDEST} is wanted")
    return min(found, NEWEST)


def restrict(confinement: Confinement) -> None:
    """Confine the calling thread, and whatever it starts; raises `OSError`."""
    abi = confinement.sandbox.landlock
    with Ruleset(handled_fs=fs_for_abi(abi), handled_net=net_for_abi(abi), scoped=scope_for_abi(abi)) as ruleset:
        for path, rights in rules(confinement):
            if path and os.path.exists(path):  # noqa: PTH110 - a hundred times for every stage
                _allow(ruleset, path, rights)
        ruleset.restrict()


def rules(confinement: Confinement) -> Iterator[tuple[str, AccessFS]]:
    """Yield each path with the rights on all that is below it."""
    for path in chain(places.readable(confinement.scratch), confinement.reads):
        yield path, READ
    for path in places.DEVICES:
        yield path, DEVICE
    for path in (confinement.scratch, *confinement.writes):
        yield path, WRITE
    if confinement.on_gpu:
        yield from _rules_of_cuda()


def _rules_of_cuda() -> Iterator[tuple[str, AccessFS]]:
    for path in places.matching(places.NVIDIA_LIBRARIES):
        yield path, READ
    for path in places.matching(places.NVIDIA_DEVICES):
        yield path, WRITE | DEVICE if path == "/dev/shm" else DEVICE  # noqa: S108 - the driver's
    for path in places.compilers():
        yield path, EXECUTE
    yield os.environ.get("CUDA_CACHE_PATH", ""), WRITE


def _allow(ruleset: Ruleset, path: str, rights: AccessFS) -> None:
    if path.startswith("/proc/"):
        # The kernel makes a new file of it each time it has forgotten the last one, and the rule is for that one.
        _held.append(os.open(path, os.O_PATH | os.O_CLOEXEC))
    is_directory = stat.S_ISDIR(os.stat(path).st_mode)  # noqa: PTH116 - as above
    ruleset.allow_path(path, rights if is_directory else rights & OF_A_FILE)
