"""seccomp: which system calls a process may make, where Landlock has no say or the kernel's Landlock is too old.

What is denied answers ``EPERM``, as a call without permission does, so that TensorFlow ends with an error of its
own and not with a signal. `pyseccomp` speaks to the system's libseccomp, which knows the calls of each architecture.
"""

import errno
import os
import socket
from types import ModuleType
from typing import Any, Final

from job.sandbox.confinement import Confinement

DENIED: Final = {
    "look into other processes, or steer them": (
        "ptrace process_vm_readv process_vm_writev process_madvise process_mrelease kcmp pidfd_open pidfd_getfd "
        "pidfd_send_signal tkill rt_sigqueueinfo rt_tgsigqueueinfo migrate_pages move_pages setpriority ioprio_set "
        "sched_setscheduler sched_setparam sched_setattr setsid setpgid"
    ),
    "outlive the process in the kernel's memory": (
        "shmget shmat shmctl semget semctl semop semtimedop msgget msgctl msgsnd msgrcv mq_open mq_unlink"
    ),
    "change what Landlock does not guard: modes, owners, times, attributes; make links and devices": (
        "chmod fchmod fchmodat chown fchown lchown fchownat utime utimes futimesat utimensat setxattr "
        "lsetxattr fsetxattr removexattr lremovexattr fremovexattr truncate link linkat symlink symlinkat mknod mknodat"
    ),
    "run programs in the kernel, or hand it work behind this filter's back": (
        "bpf perf_event_open userfaultfd io_uring_setup io_uring_enter io_uring_register keyctl add_key request_key "
        "fanotify_init fanotify_mark lookup_dcookie"
    ),
    "be another user, or see another system": (
        "setuid setgid setreuid setregid setresuid setresgid setfsuid setfsgid setgroups capset unshare setns chroot "
        "pivot_root mount umount2 move_mount fsopen fsconfig fsmount fspick open_tree mount_setattr swapon swapoff "
        "open_by_handle_at name_to_handle_at personality"
    ),
    "command the machine, where the job runs as root": (
        "kexec_load kexec_file_load init_module finit_module delete_module reboot sethostname setdomainname "
        "settimeofday clock_settime clock_adjtime adjtimex acct quotactl quotactl_fd syslog iopl ioperm modify_ldt "
        "vhangup nfsservctl"
    ),
}
"""System calls by what they would let a model do."""

NEWER: Final = {
    "memfd_secret": 447,  # its memory is counted as nobody's
    "fchmodat2": 452,
    "setxattrat": 463,
    "removexattrat": 466,
    "open_tree_attr": 467,
    "file_setattr": 469,
}
"""Those of them that a libseccomp of today may not know; since 424, all architectures number alike."""

DENIED_ON_CPU: Final = "execve execveat fork vfork memfd_create"
"""CUDA and XLA use these; Landlock says what may be executed."""

ABSENT: Final = ("clone3", "openat2")
"""Their arguments lie in memory, which a filter cannot read. Libraries that find them absent use the older ones."""

_THREAD: Final = 0x10000  # CLONE_THREAD, linux/sched.h
_NAMESPACES: Final = (0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000)  # CLONE_NEW*
_PR_SET_PDEATHSIG: Final = 1  # linux/prctl.h
_TYPING: Final = (0x5412, 0x541C)  # TIOCSTI and TIOCLINUX type into a terminal
_OWNING: Final = (0x8901, 0x8902)  # FIOSETOWN and SIOCSPGRP, asm-generic/sockios.h
_SIGNALLING: Final = (8, 10, 15)  # F_SETOWN, F_SETSIG and F_SETOWN_EX, asm-generic/fcntl.h
"""Whoever owns a pipe is sent any signal that was chosen for it, SIGKILL too, when the pipe is written to."""
_INT: Final = 0xFFFFFFFF
"""The kernel reads only this much of an ``int``, and a filter sees the whole register."""


def library() -> ModuleType:
    """Return `pyseccomp`; raises `OSError` where the system has no libseccomp."""
    try:
        import pyseccomp  # noqa: PLC0415 - it raises where its library is absent
    except (RuntimeError, ImportError, AttributeError, OSError) as error:
        raise OSError(errno.ENOENT, "libseccomp is not installed") from error
    module: ModuleType = pyseccomp
    return module


def restrict(confinement: Confinement) -> None:
    """Filter the system calls of the calling thread, and of whatever it starts; raises `OSError`."""
    seccomp = library()
    calls = seccomp.SyscallFilter(seccomp.ALLOW)
    if seccomp.get_api() >= 4:
        calls.set_attr(seccomp.Attr.CTL_SSB, 1)  # else the kernel slows memory down for all that is filtered
    denied = seccomp.ERRNO(errno.EPERM)
    names = " ".join(DENIED.values()).split() + DENIED_ON_CPU.split() * (not confinement.on_gpu)
    for call in (*(name for name in names if _is_known(seccomp, name)), *NEWER.values()):
        calls.add_rule(denied, call)
    for name in ABSENT:
        calls.add_rule(seccomp.ERRNO(errno.ENOSYS), name)
    for name, *arguments in _by_argument(seccomp.Arg, seccomp, on_gpu=confinement.on_gpu):
        if _is_known(seccomp, name):
            calls.add_rule(denied, name, *arguments)
    calls.load()


def _is_known(seccomp: ModuleType, name: str) -> bool:
    """Whether this architecture has the call: newer ones have no ``fork``."""
    return bool(seccomp.resolve_syscall(seccomp.Arch.NATIVE, name) >= 0)


def _by_argument(argument: Any, is_: ModuleType, *, on_gpu: bool) -> list[tuple[Any, ...]]:
    """Return the calls that are denied for some arguments: a call's name, and conditions that must all hold."""
    me = os.getpid()
    opening = os.O_ACCMODE | os.O_TRUNC
    return [
        ("socket", argument(0, is_.NE, socket.AF_UNIX)) if on_gpu else ("socket",),  # CUDA asks for a daemon by one
        *([] if on_gpu else [("clone", argument(0, is_.MASKED_EQ, _THREAD, 0))]),
        *(("clone", argument(0, is_.MASKED_EQ, flag, flag)) for flag in _NAMESPACES),
        ("kill", argument(0, is_.NE, me)),
        ("tgkill", argument(0, is_.NE, me)),
        ("prlimit64", argument(0, is_.NE, 0)),
        ("sched_setaffinity", argument(0, is_.NE, 0)),
        ("prctl", argument(0, is_.MASKED_EQ, _INT, _PR_SET_PDEATHSIG)),  # which ends it with its parent
        *(("ioctl", argument(1, is_.MASKED_EQ, _INT, command)) for command in (*_TYPING, *_OWNING)),
        *(("fcntl", argument(1, is_.MASKED_EQ, _INT, command)) for command in _SIGNALLING),
        # To truncate while one reads, and to open for neither, are rights that Landlock has since its version 3 only.
        ("open", argument(1, is_.MASKED_EQ, opening, os.O_TRUNC)),
        ("openat", argument(2, is_.MASKED_EQ, opening, os.O_TRUNC)),
        ("open", argument(1, is_.MASKED_EQ, os.O_ACCMODE, os.O_ACCMODE)),
        ("openat", argument(2, is_.MASKED_EQ, os.O_ACCMODE, os.O_ACCMODE)),
    ]
