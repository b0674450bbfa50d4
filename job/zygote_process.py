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
from contextlib import suppress
from pathlib import Path
from typing import Final

from job.processes import descendants, kill_all

TAIL_BYTES: Final = 8192

_STARTER: Final = ThreadPoolExecutor(1)
"""The one thread that starts zygotes: the kernel ends a child with the thread that it is of (PR_SET_PDEATHSIG)."""


class ZygoteProcess:
    """A running `job.zygote`; one that has ended is started again for the next forkserver."""

    def __init__(self, stages: str, log: Path, environment: Mapping[str, str]) -> None:
        self._stages, self._log, self._environment = stages, log, environment
        self._lock = threading.Lock()  # lanes ask in threads of their own
        self._process, self._wishes = self._start()

    @property
    def pid(self) -> int:
        """Return its process id."""
        return self._process.pid

    def fork(self, log: Path, environment: Mapping[str, str], descriptors: Sequence[int]) -> "subprocess.Popen[bytes]":
        """Have a forkserver forked that speaks to `log`, with what its environment has of its own; return its parent.

        The descriptors are its pipes, in the order in which `job.zygote` takes them. Whether it comes shows on these.
        """
        own = {name: value for name, value in environment.items() if self._environment.get(name) != value}
        wish = json.dumps({"log": str(log), "environment": own}).encode()
        with self._lock:
            if self._process.poll() is not None:
                self._wishes.close()
                self._process, self._wishes = self._start()
            with suppress(OSError):  # it ends just now
                socket.send_fds(self._wishes, [wish], list(descriptors))
            return self._process

    def last_words(self) -> str:
        """Return the last line that it said; empty where it said nothing."""
        return tail(self._log)

    def close(self) -> None:
        """End it, and with it all forkservers that it has forked."""
        with self._lock:
            below = descendants(self.pid)
            self._process.kill()
            kill_all(below)
            self._process.wait()
            self._wishes.close()

    def _start(self) -> tuple["subprocess.Popen[bytes]", socket.socket]:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs, self._log.open("ab") as log:
            process = _STARTER.submit(
                subprocess.Popen[bytes],
                [sys.executable, "-m", "job.zygote", self._stages, str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self._environment,
                cwd=Path(__file__).parent.parent,
                start_new_session=True,
                pass_fds=(theirs.fileno(),),
            ).result()
        return process, ours


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
