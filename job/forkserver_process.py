"""A forkserver, as the supervisor sees it: its start, its end, and the JSON lines between."""

import json
import os
import selectors
import signal
import subprocess
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from select import POLLIN, poll
from typing import Any, Final

from job.processes import descendants, kill_all
from job.zygote_process import ZygoteProcess, ending, tail

LONGEST_ANSWER_BYTES: Final = 4096
END_TIMEOUT_S: Final = 5
_LOOK_S: Final = 0.5  # between two looks whether another thread has closed it


class Lost(Exception):
    """The process ended, fell silent or talked nonsense; the text says which."""


class ForkserverProcess:
    """A running `job.forkserver`, or one that is forked as soon as its zygote has imported TensorFlow.

    Its children prove by `beats` that they live. `pid` is 0 until it has said that it is ready.
    """

    def __init__(self, zygote: ZygoteProcess, log: Path, environment: Mapping[str, str]) -> None:
        self._zygote, self._log = zygote, log
        self._closing = threading.RLock()
        (requests, self._requests), (self._answers, answers), (self._beats, beats), (self._end, end) = (
            os.pipe() for _ in range(4)
        )
        self._ended: str | None = None
        self._is_open = True
        self._heard = b""
        self.pid = self.beats = 0
        try:
            self.parent = zygote.fork(log, environment, (requests, answers, beats, end))
        except BaseException:
            self.close()
            raise
        finally:
            for theirs in (requests, answers, beats, end):
                os.close(theirs)

    @property
    def has_ended(self) -> bool:
        """Tell whether it is gone."""
        return self._has_ended_within(0)

    def await_ready(self, timeout_s: float) -> None:
        """Wait until it serves; raises `Lost`."""
        _, self.pid = self.receive(timeout_s, "ready", "pid")

    def send(self, message: Mapping[str, Any]) -> None:
        """Send a line; raises `Lost`."""
        with self._closing:
            requests = os.dup(self._open(self._requests))  # whoever closes ours meanwhile makes its number free
        try:
            with os.fdopen(requests, "wb") as pipe:
                pipe.write(json.dumps(message).encode() + b"\n")
        except OSError as error:
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
            self._listen(min(left_s, _LOOK_S))
        return True

    def how_it_ended(self) -> str:
        """Return how the process ended, once it has; one whose zygote died has ended as that did."""
        with suppress(subprocess.TimeoutExpired):
            if self._has_ended_within(END_TIMEOUT_S):
                return self._ended or ending(self.parent.wait(END_TIMEOUT_S))
        return "nobody knows how"

    def last_words(self) -> str:
        """Return the last line that it, or else its zygote, said, or how it ended."""
        return tail(self._log) or self._zygote.last_words() or self.how_it_ended()

    def close(self) -> None:
        """End it, and whatever it has started; the thread that uses it may be another one, and do the same.

        One that is not forked yet finds its requests at their end when it is.
        """
        if self.pid and not self.has_ended:
            below = descendants(self.pid)
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
            kill_all(below)
            self._has_ended_within(END_TIMEOUT_S)
        with self._closing:
            if self._is_open:
                self._is_open = False
                for pipe in (self._requests, self._answers, self._beats, self._end):
                    os.close(pipe)

    def _has_ended_within(self, timeout_s: float) -> bool:
        """Wait for its end, which the zygote tells, or by its own end lets be known."""
        with self._closing:
            if self._ended is None and self._is_open and _is_ready(self._end, timeout_s):
                told = os.read(self._end, 16).decode()
                self._ended = ending(int(told)) if told else ""
            return self._ended is not None or not self._is_open

    def _listen(self, timeout_s: float) -> None:
        with selectors.DefaultSelector() as selector:
            with self._closing:
                selector.register(self._open(self._answers), selectors.EVENT_READ)
                selector.register(self._open(self._beats), selectors.EVENT_READ)
            ready = {key.fd for key, _ in selector.select(timeout_s)}
        with self._closing:
            if self._open(self._beats) in ready:
                self.beats += len(os.read(self._beats, 2**16))
            heard = os.read(self._answers, 2**16) if self._answers in ready else None
        if heard is not None:
            self._hear(heard)

    def _open(self, pipe: int) -> int:
        if not self._is_open:
            raise self._gone()
        return pipe

    def _hear(self, heard: bytes) -> None:
        self._heard += heard
        if not heard:
            raise self._gone()
        if len(self._heard) > LONGEST_ANSWER_BYTES:
            raise Lost(f"answered {self._heard[:40]!r}")

    def _gone(self) -> Lost:
        if not self._is_open:
            return Lost(f"ended ({self._ended or 'it was closed'})")
        return Lost(f"ended ({self.how_it_ended()})" if self._has_ended_within(END_TIMEOUT_S) else "closed its answers")


def _is_ready(pipe: int, timeout_s: float) -> bool:
    """Wait until a pipe has something to say, be it that it has ended."""
    poller = poll()
    poller.register(pipe, POLLIN)
    return bool(poller.poll(timeout_s * 1000))
