"""The process that holds TensorFlow, as the supervisor sees it; all lanes of a run that want the same have one."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, Final

from job.errors import Internal
from job.processes import descendants, kill_all

TAIL_BYTES: Final = 8192
COULD_NOT_START: Final = "the process that holds TensorFlow could not be started"

_STARTER: Final = ThreadPoolExecutor(1)
"""The one thread that starts zygotes: the kernel ends a child with the thread that it is of (PR_SET_PDEATHSIG)."""


class ZygoteProcess:
    """A running `job.zygote`; one that has ended is started again for the next forkserver."""

    def __init__(self, stages: str, log: Path, environment: Mapping[str, str]) -> None:
        self._stages, self._log, self._environment = stages, log, environment
        self._lock = threading.Lock()  # lanes ask in threads of their own
        self._is_closed = False
        self._process, self._wishes = self._start()

    @property
    def pid(self) -> int:
        """Return its process id."""
        return self._process.pid

    def fork(self, log: Path, environment: Mapping[str, str], descriptors: Sequence[int]) -> "subprocess.Popen[bytes]":
        """Have a forkserver forked that speaks to `log`, with what its environment has of its own; return its parent.

        The descriptors are its pipes, in the order in which `job.zygote` takes them. Whether it comes shows on these.
        Raises `Internal` where no process can be started, or none is to be any more.
        """
        own = {name: value for name, value in environment.items() if self._environment.get(name) != value}
        wish = json.dumps({"log": str(log), "environment": own}).encode()
        with self._lock:
            if self._is_closed:
                raise Internal(f"{COULD_NOT_START}: the run has ended")
            if self._process.poll() is not None or not self._is_sent(wish, descriptors):
                self._end()
                self._process, self._wishes = self._start()
                self._is_sent(wish, descriptors)  # one that ends at once, too, shows it on the pipes
            return self._process

    def last_words(self) -> str:
        """Return the last line that it said; empty where it said nothing."""
        return tail(self._log)

    def end(self, process: "subprocess.Popen[bytes]") -> None:
        """End it where it is still that process, which hangs, and with it all that it has forked."""
        with self._lock:
            if self._process is process:
                self._end()

    def close(self) -> None:
        """End it for ever, and with it all that it has forked."""
        with self._lock:
            self._is_closed = True
            self._end()

    def _end(self) -> None:
        if self._process.poll() is None:  # else its number may be another's
            below = descendants(self.pid)
            self._process.kill()
            kill_all(below)
            self._process.wait()
        self._wishes.close()

    def _is_sent(self, wish: bytes, descriptors: Sequence[int]) -> bool:
        """Send a wish, and tell whether there was still somebody to hear it."""
        try:
            socket.send_fds(self._wishes, [wish], list(descriptors))
        except (BrokenPipeError, ConnectionResetError):
            return False
        except OSError as error:
            raise Internal(f"{COULD_NOT_START}: {error}", remedy="are there too many open files?") from error
        return True

    def _start(self) -> tuple["subprocess.Popen[bytes]", socket.socket]:
        try:
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            with theirs, self._log.open("ab") as log:
                return _STARTER.submit(self._popen, theirs.fileno(), log).result(), ours
        except OSError as error:
            remedy = "are there too many processes or open files, or too little memory?"
            raise Internal(f"{COULD_NOT_START}: {error}", remedy=remedy) from error

    def _popen(self, wishes: int, log: IO[bytes]) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(
            [sys.executable, "-m", "job.zygote", self._stages, str(wishes), str(os.getpid())],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=self._environment,
            cwd=Path(__file__).parent.parent,
            start_new_session=True,
            pass_fds=(wishes,),
        )


def ending(returncode: int) -> str:
    """Say how a process ended; `subprocess` and `os.waitstatus_to_exitcode` count signals below zero."""
    name = next((known.name for known in signal.Signals if known == -returncode), str(-returncode))
    return f"signal {name}" if returncode < 0 else f"status {returncode}"


def tail(path: Path) -> str:
    """Return the last line that a process said; it may have died before it said anything."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - TAIL_BYTES))
            said = file.read(TAIL_BYTES).decode(errors="backslashreplace")
    except OSError:
        return ""
    return next(iter(said.strip().splitlines()[-1:]), "")
