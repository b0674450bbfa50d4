"""The process that holds TensorFlow, as the supervisor sees it: its start, its end, and the JSON lines between."""

import json
import os
import selectors
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

from job.processes import descendants, kill_all

TAIL_BYTES: Final = 8192
LONGEST_ANSWER_BYTES: Final = 4096
END_TIMEOUT_S: Final = 5

_STARTER: Final = ThreadPoolExecutor(1)
"""The one thread that starts forkservers: the kernel ends a child with the thread that it is of (PR_SET_PDEATHSIG)."""


class Lost(Exception):
    """The process ended, fell silent or talked nonsense; the text says which."""


class ForkserverProcess:
    """A running `job.zygote`; its children prove by `beats` that they live."""

    def __init__(self, stages: str, log: Path, environment: Mapping[str, str]) -> None:
        self._log = log
        self._closing = threading.Lock()
        self._beats, beats = os.pipe()
        with log.open("ab") as errors:
            self._process = _STARTER.submit(
                subprocess.Popen[bytes],
                [sys.executable, "-m", "job.zygote", stages, str(beats)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                bufsize=0,  # a line that waits in a buffer of ours is none that select sees
                stderr=errors,
                env=environment,
                cwd=Path(__file__).parent.parent,
                start_new_session=True,
                pass_fds=(beats,),
            ).result()
        os.close(beats)
        self._heard = b""
        self.beats = 0

    @property
    def pid(self) -> int:
        """Return its process id."""
        return self._process.pid

    @property
    def has_ended(self) -> bool:
        """Tell whether it is gone."""
        return self._process.poll() is not None

    def send(self, message: Mapping[str, Any]) -> None:
        """Send a line; raises `Lost`."""
        assert self._process.stdin is not None  # noqa: S101 - it was asked for
        try:
            self._process.stdin.write(json.dumps(message).encode() + b"\n")
        except (OSError, ValueError) as error:
            raise self._gone() from error

    def receive(self, timeout_s: float, *fields: str) -> tuple[int, ...]:
        """Return the numbers of the next answer; raises `Lost` where none comes, or another one."""
        if not self.has_answer(timeout_s):
            raise Lost(f"said nothing for {timeout_s:g} s")
        line, _, self._heard = self._heard.partition(b"\n")
        try:
            answer = json.loads(line)
            return tuple(int(answer[field]) for field in fields)
        except (ValueError, TypeError, LookupError, RecursionError) as error:
            raise Lost(f"answered {line[:40]!r}") from error

    def has_answer(self, timeout_s: float) -> bool:
        """Wait for a whole line, and count the beats that come meanwhile; raises `Lost`."""
        deadline = time.monotonic() + timeout_s
        while b"\n" not in self._heard:
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                return False
            self._listen(left_s)
        return True

    def how_it_ended(self) -> str:
        """Return how the process ended, once it has."""
        return ending(self._process.wait())

    def last_words(self) -> str:
        """Return the last line that it said, or how it ended."""
        said = _tail(self._log).strip().splitlines()[-1:]
        return said[0] if said else self.how_it_ended()

    def close(self) -> None:
        """End it, and whatever it has started; the thread that uses it may be another one, and do the same."""
        below = descendants(self.pid)
        self._process.kill()
        kill_all(below)
        self._process.wait()
        with self._closing:
            for pipe in (self._process.stdin, self._process.stdout):
                if pipe is not None and not pipe.closed:
                    pipe.close()
            if self._beats >= 0:
                os.close(self._beats)
                self._beats = -1

    def _listen(self, timeout_s: float) -> None:
        assert self._process.stdout is not None  # noqa: S101 - it was asked for
        with selectors.DefaultSelector() as selector:
            with self._closing:
                self._check_open()
                selector.register(self._process.stdout, selectors.EVENT_READ)
                selector.register(self._beats, selectors.EVENT_READ)
            ready = {key.fd for key, _ in selector.select(timeout_s)}
        with self._closing:
            self._check_open()
            if self._beats in ready:
                self.beats += len(os.read(self._beats, 2**16))
            if self._process.stdout.fileno() in ready:
                self._hear(os.read(self._process.stdout.fileno(), 2**16))

    def _check_open(self) -> None:
        if self._beats < 0:
            raise self._gone()

    def _hear(self, heard: bytes) -> None:
        self._heard += heard
        if not heard:
            raise self._gone()
        if len(self._heard) > LONGEST_ANSWER_BYTES:
            raise Lost(f"answered {self._heard[:40]!r}")

    def _gone(self) -> Lost:
        try:
            return Lost(f"ended ({ending(self._process.wait(END_TIMEOUT_S))})")
        except subprocess.TimeoutExpired:
            return Lost("closed its answers")


def ending(returncode: int) -> str:
    """Say how a process ended; `subprocess` and `os.waitstatus_to_exitcode` count signals below zero."""
    name = next((known.name for known in signal.Signals if known == -returncode), str(-returncode))
    return f"signal {name}" if returncode < 0 else f"status {returncode}"


def _tail(path: Path) -> str:
    """Return the end of what a process said; it may have died before it said anything."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - TAIL_BYTES))
            return file.read(TAIL_BYTES).decode(errors="backslashreplace")
    except OSError:
        return ""
