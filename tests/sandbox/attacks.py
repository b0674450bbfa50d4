"""What a stranger's code would do in a worker, in plain Python: stages for a forkserver without TensorFlow."""

import ctypes
import errno
import fcntl
import mmap
import os
import resource
import socket
import subprocess
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

_PTRACE_SEIZE: Final = 0x4206
_CLONE_NEWUSER: Final = 0x10000000


class Stage(NamedTuple):
    """As in `job.engine.stages`."""

    request: type[Any]
    run: Callable[[Any], Any]


@dataclass(frozen=True, kw_only=True)
class Attack:
    """What to do, and to whom: a directory that is not the worker's, a process, a port, a socket's name, a program."""

    what: str
    outside: str = ""
    pid: int = 0
    port: int = 0
    name: str = ""
    program: str = "/bin/true"
    device: str = "cpu"

    @property
    def victim(self) -> Path:
        """Return a file outside."""
        return Path(self.outside, "victim")

    @property
    def scratch(self) -> Path:
        """Return the worker's own directory."""
        return Path(os.environ["TMPDIR"])


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """The name of the error that an attack met; empty where it met none."""

    error: str = ""


def _syscall(number: int, *arguments: Any) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    found: int = libc.syscall(number, *arguments)
    if found == -1:
        raise OSError(ctypes.get_errno(), "system call")
    return found


def _open(path: Path, flags: int) -> None:
    os.close(os.open(path, flags))


def _rename(source: Path, target: Path) -> None:
    source.rename(target)


def _own(attack: Attack) -> Path:
    mine = attack.scratch / "mine"
    mine.touch()
    return mine


def _connect(family: int, address: Any) -> None:
    with socket.socket(family) as stream:
        stream.settimeout(5)
        stream.connect(address)


def _send(port: int) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
        datagrams.sendto(b"x", ("127.0.0.1", port))


def _fork() -> None:
    if (child := os.fork()) == 0:
        os._exit(0)
    os.waitpid(child, 0)


def _signal_by_pipe(pid: int) -> None:
    """Have the kernel send a signal to another process, which would own a pipe; nothing is written to it."""
    reading, writing = os.pipe()
    try:
        fcntl.fcntl(reading, fcntl.F_SETOWN, pid)
    finally:
        os.close(reading)
        os.close(writing)


def _choose_signal(request: int) -> None:
    with Path("/dev/null").open("rb") as null:
        fcntl.fcntl(null, request, 0)


def _peek(pid: int) -> None:
    """Read another process's memory, at an address that need not be one: a process without the right is told first."""
    room = ctypes.create_string_buffer(8)
    pieces = [(ctypes.c_void_p * 2)(address, 8) for address in (ctypes.addressof(room), id(errno))]
    _syscall(310, pid, ctypes.byref(pieces[0]), 1, ctypes.byref(pieces[1]), 1, 0)  # x86-64


ATTACKS: Final[dict[str, Callable[[Attack], object]]] = {
    "read": lambda a: a.victim.read_bytes(),
    "list": lambda a: list(Path(a.outside).iterdir()),
    "read_passwords": lambda _: Path("/etc/passwd").read_bytes(),
    "read_own_environment": lambda _: Path("/proc/self/environ").read_bytes(),
    "read_environment": lambda a: Path(f"/proc/{a.pid}/environ").read_bytes(),
    "read_command_line": lambda a: Path(f"/proc/{a.pid}/cmdline").read_bytes(),
    "write": lambda a: Path(a.outside, "new").write_bytes(b"x"),
    "overwrite": lambda a: _open(a.victim, os.O_WRONLY),
    "append": lambda a: _open(a.victim, os.O_WRONLY | os.O_APPEND),
    "truncate": lambda a: os.truncate(a.victim, 0),
    "truncate_reading": lambda a: _open(a.victim, os.O_RDONLY | os.O_TRUNC),
    "truncate_neither": lambda a: _open(a.victim, os.O_ACCMODE | os.O_TRUNC),
    "remove": lambda a: a.victim.unlink(),
    "remove_directory": lambda a: Path(a.outside, "empty").rmdir(),
    "make_directory": lambda a: Path(a.outside, "made").mkdir(),
    "rename": lambda a: _rename(a.victim, Path(a.outside, "renamed")),
    "move_in": lambda a: _rename(a.victim, a.scratch / "taken"),
    "move_out": lambda a: _rename(_own(a), Path(a.outside, "given")),
    "link_in": lambda a: os.link(a.victim, a.scratch / "linked"),
    "link": lambda a: os.link(_own(a), a.scratch / "again"),
    "symlink": lambda a: Path(a.scratch, "way out").symlink_to(a.outside),
    "make_pipe": lambda a: os.mkfifo(a.scratch / "pipe"),
    "make_socket": lambda a: socket.socket(socket.AF_UNIX).bind(str(a.scratch / "socket")),
    "chmod": lambda a: a.victim.chmod(0o777),
    "chown": lambda a: os.chown(a.victim, os.getuid(), os.getgid()),
    "touch": lambda a: os.utime(a.victim, (0, 0)),
    "mark": lambda a: os.setxattr(a.victim, "user.mark", b"x"),
    "tcp": lambda a: _connect(socket.AF_INET, ("127.0.0.1", a.port)),
    "tcp6": lambda _: socket.socket(socket.AF_INET6),
    "udp": lambda a: _send(a.port),
    "netlink": lambda _: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0),
    "vsock": lambda _: socket.socket(40, socket.SOCK_STREAM),
    "abstract_socket": lambda a: _connect(socket.AF_UNIX, f"\0{a.name}"),
    "named_socket": lambda a: _connect(socket.AF_UNIX, str(Path(a.outside, "listening"))),
    "fork": lambda _: _fork(),
    "start": lambda a: subprocess.run([a.program], check=True),
    "execute": lambda _: os.execv("/bin/true", ["true"]),  # noqa: S606 - no shell is what it wants
    "memory_file": lambda _: os.close(os.memfd_create("x")),
    "trace": lambda a: _syscall(101, _PTRACE_SEIZE, a.pid, 0, 0),  # x86-64
    "read_memory": lambda a: _peek(a.pid),
    "signal": lambda a: os.kill(a.pid, 0),
    "signal_all": lambda _: os.kill(-1, 0),
    "signal_by_pipe": lambda a: _signal_by_pipe(a.pid),
    "choose_signal": lambda _: _choose_signal(10),  # F_SETSIG
    "secret_memory": lambda _: os.close(_syscall(447, 0)),
    "watch": lambda a: os.close(_syscall(434, a.pid, 0)),  # pidfd_open
    "limit": lambda a: resource.prlimit(a.pid, resource.RLIMIT_NOFILE),
    "slow_down": lambda a: os.setpriority(os.PRIO_PROCESS, a.pid, 0),
    "stay": lambda _: _syscall(157, 1, 0, 0, 0, 0),  # prctl: PR_SET_PDEATHSIG
    "io_uring": lambda _: os.close(_syscall(425, 1, ctypes.create_string_buffer(128))),
    "user_namespace": lambda _: _syscall(272, _CLONE_NEWUSER),  # unshare, x86-64
    "mount": lambda _: _syscall(165, 0, 0, 0, 0, 0),
    "bpf": lambda _: _syscall(321, 0, 0, 0),
    "keys": lambda _: _syscall(250, 0, -3, 0, 0, 0),
    "page_faults": lambda _: os.close(_syscall(323, 1)),
    "counters": lambda _: _syscall(298, 0, 0, -1, -1, 0),
    "load_kernel": lambda _: _syscall(246, 0, 0, 0, 0),
    "load_module": lambda _: _syscall(175, 0, 0, 0),
    "shared_memory": lambda _: _syscall(29, 0, 4096, 0o600),
    "chmod_by_number": lambda a: _syscall(452, -100, str(a.victim).encode(), 0o777, 0),  # fchmodat2
    "attribute_by_number": lambda _: _syscall(463, 0, 0, 0, 0, 0, 0),
}


def attack(request: Attack) -> Outcome:
    """Try it and say what came of it."""
    try:
        ATTACKS[request.what](request)
    except OSError as error:
        return Outcome(error=errno.errorcode.get(error.errno or 0, repr(error)))
    return Outcome()


def work(request: Attack) -> Outcome:
    """Do what honest workers do."""
    mine = _own(request)
    mine.write_bytes(b"x" * 4096)
    (request.scratch / "deep").mkdir()
    _rename(mine, request.scratch / "deep" / "mine")
    os.truncate(os.open(request.scratch / "deep" / "mine", os.O_RDWR), 1)
    (request.scratch / "deep" / "mine").unlink()
    (request.scratch / "deep").rmdir()
    thread = threading.Thread(target=os.urandom, args=(8,))
    thread.start()
    thread.join()
    Path("/dev/null").write_bytes(b"x")
    for path in ("/proc/cpuinfo", "/proc/meminfo", "/sys/devices/system/cpu/online", errno.__spec__.origin or ""):
        if os.path.exists(path):  # noqa: PTH110 - not all machines have all
            Path(path).read_bytes()
    mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_EXEC).close()
    os.kill(os.getpid(), 0)
    return Outcome()


STAGES: Final = {"attack": Stage(Attack, attack), "work": Stage(Attack, work)}
