"""What a stranger's program may do in a worker to those around it."""

import ctypes
import json
import mmap
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

MIB: Final = 2**20
MOST_BYTES: Final = 3 * 2**30
"""Where nobody stops them, behaviours that take memory stop themselves: they run on machines that do other work."""


def gorge() -> None:
    """Take memory little by little, and use it."""
    taken = list[bytes]()
    while len(taken) * 16 * MIB < MOST_BYTES:
        taken.append(b"x" * 16 * MIB)
        time.sleep(0.02)  # who looks is to see it before the kernel denies more
    time.sleep(600)


def gorge_shared() -> None:
    """Take memory that belongs to no process alone."""
    shared = mmap.mmap(-1, MOST_BYTES)
    for start in range(0, MOST_BYTES, 16 * MIB):
        shared[start : start + 16 * MIB] = b"x" * 16 * MIB
    time.sleep(600)


def gorge_apart() -> None:
    """Have a daemon take memory."""
    daemon(gorge)
    time.sleep(600)


def daemon(act: Callable[[], object]) -> None:
    """Have a process act that has left the worker's session and has lost its parent."""
    child = os.fork()
    if child:
        os.waitpid(child, 0)
        return
    os.setsid()
    if os.fork():
        os._exit(0)
    note("daemon", os.getpid())
    try:
        act()
    finally:
        os._exit(0)


def outlive() -> None:
    """Leave a daemon behind, once it is there."""
    daemon(lambda: time.sleep(600))
    while not noted("daemon").exists():
        time.sleep(0.01)


def orphan() -> None:
    """End the forkserver, and go on."""
    note("orphan", os.getpid())
    os.kill(os.getppid(), signal.SIGKILL)
    time.sleep(600)


def babble(words: bytes) -> None:
    """Answer in the forkserver's place."""
    pipes = [path for path in Path(f"/proc/{os.getppid()}/fd").iterdir() if str(path.readlink()).startswith("pipe:")]
    answers = min(int(path.name) for path in pipes if int(path.name) > 2 and is_written_to(path))
    os.write(os.open(f"/proc/{os.getppid()}/fd/{answers}", os.O_WRONLY), words)
    time.sleep(600)


def is_written_to(descriptor: Path) -> bool:
    """Tell whether another process's descriptor is the end of a pipe that it writes to."""
    said = (descriptor.parent.parent / "fdinfo" / descriptor.name).read_text()
    flags = next(line.split()[1] for line in said.splitlines() if line.startswith("flags:"))
    return int(flags, 8) & os.O_ACCMODE == os.O_WRONLY


def flood() -> None:
    """Write a gigabyte to the log, and tell how much of it is kept."""
    for _ in range(1024):
        os.write(2, b"x" * MIB)
    end_s = time.monotonic() + 10
    while os.fstat(2).st_size >= 256 * MIB and time.monotonic() < end_s:
        time.sleep(0.05)
    os.environ["KEPT_BYTES"] = str(os.fstat(2).st_size)


def leave(content: bytes) -> None:
    """End with something in the place of a record."""
    (desk() / "result").write_bytes(content)
    os._exit(0)


def leave_much() -> None:
    """End with a record of a gigabyte."""
    (desk() / "result").touch()
    os.truncate(desk() / "result", 2**30)
    os._exit(0)


def leave_link() -> None:
    """End with a link to a good record."""
    (desk() / "other").write_text(json.dumps({"result": {"pid": 1, "environment": {}}}))
    (desk() / "result").symlink_to(desk() / "other")
    os._exit(0)


def leave_pipe() -> None:
    """End with a pipe in the place of a record, from which no end ever comes."""
    os.mkfifo(desk() / "result")
    os._exit(0)


def replace_log() -> None:
    """Put a link to somebody's file in the place of the log, and say much."""
    note("precious", 0)
    (desk() / "log").unlink()
    (desk() / "log").symlink_to(noted("precious"))
    flood()


def desk() -> Path:
    """Return the directory of the task."""
    return Path("/proc/self/fd/2").readlink().parent


def noted(name: str) -> Path:
    """Return where a behaviour tells the test what it has done."""
    return Path(os.environ["TMPDIR"]).parent / name


def note(name: str, number: int) -> None:
    """Tell the test a number, whole or not at all."""
    part = noted(f"{name}.part")
    part.write_text(str(number))
    part.rename(noted(name))


FOREIGN: Final = {"exit_code": 44, "code_name": "denied", "what": "x", "where": "", "remedy": "", "stage": ""}

BEHAVIOURS: Final[dict[str, Callable[[], object]]] = {
    "stopped": lambda: os.kill(os.getpid(), signal.SIGSTOP),
    "holding": lambda: ctypes.PyDLL(None).sleep(600),  # unlike CDLL it keeps the interpreter's lock
    "gorge": gorge,
    "gorge_shared": gorge_shared,
    "gorge_apart": gorge_apart,
    "gulp": lambda: mmap.mmap(-1, MOST_BYTES, flags=mmap.MAP_PRIVATE),
    "outlive": outlive,
    "orphan": orphan,
    "babble": lambda: babble(b"[nonsense]\n"),
    "chatter": lambda: babble(b"x" * 8192),
    "flood": flood,
    "deaf": lambda: os.closerange(0, 256),
    "score": lambda: os.environ.update(SCORE=Path("/proc/self/oom_score_adj").read_text().strip()),
    "garbage": lambda: leave(b'\xff{"result"'),
    "nested": lambda: leave(b"[" * 200_000),
    "list": lambda: leave(b"[1]"),
    "other_record": lambda: leave(b'{"result": {"pid": "one"}}'),
    "foreign_error": lambda: leave(json.dumps({"error": FOREIGN}).encode()),
    "much": leave_much,
    "link": leave_link,
    "pipe": leave_pipe,
    "replace_log": replace_log,
}
