"""SIGTERM, SIGINT and the job's own deadline: the first lets the job end in order, within a grace, whatever hangs.

    0 %   nothing new is begun; what is at work is dropped, but for a publication that is likely to end in time
    60 %  such a publication is dropped too, and what is left is the summary
    80 %  the summary is dropped
    95 %  the process ends, wherever it is: a store may not answer, a name may not resolve

A second signal ends it at once. What is committed stays, and what is not is in nobody's way: nothing here
has to succeed for that.
"""

import math
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path
from types import FrameType
from typing import Final, NoReturn

from job.errors import Interrupted

SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)
FINISH, FLUSH, LEAVE = 0.6, 0.8, 0.95
"""The parts of the grace after which a publication, the summary and the process itself are given up."""

_REMINDER: Final = signal.SIGALRM
_LATE, _ENDED = -1, 0  # what `_next` returns beside the numbers of signals
_TOGETHER_S: Final = 0.2  # `timeout` and shells send a signal to the process and to its group: these are one
_UPLOAD_BYTES_PER_S: Final = 25e6  # taken for granted until a publication was measured: a quarter of a gigabit link

STOPPING: Final = threading.Event()
"""Set once what is at work is dropped, for threads that no signal reaches."""


class Interrupts:
    """Whether the job was told to end, and how much of its grace what is at work may still take.

    `cause` is empty until then. `last_act` is done right before the process ends wherever it is.
    """

    def __init__(self, grace_s: float, deadline_s: float = 0) -> None:
        self.cause = ""
        self.last_act: Callable[[], object] = lambda: None
        self._end_s = time.monotonic() + deadline_s if deadline_s else math.inf
        self._grace_s = grace_s
        self._came_s = 0.0
        self._part, self._heeded = 0.0, -1.0  # of the grace: what has passed, and what the main thread knows of
        self._finishing = dict[object, int]()  # the bytes of each publication that is likely to end in time
        self._sizing = threading.Lock()
        self._is_flushing = False
        self._published_bytes, self._bytes_per_s = 0, _UPLOAD_BYTES_PER_S

    @property
    def left_s(self) -> float:
        """Return how long it is until the deadline, infinite where there is none."""
        return self._end_s - time.monotonic()

    def check(self) -> None:
        """Raise `KeyboardInterrupt` once the job was told to end: for threads, which no signal reaches."""
        if self.cause:
            raise KeyboardInterrupt(self.cause)

    @contextmanager
    def finishing(
        self, directory: Path, gate: Callable[[], AbstractContextManager[None]] = nullcontext
    ) -> Iterator[None]:
        """Let the publication of what is below `directory` go on where a signal comes, if it may end in time.

        In whatever thread that is: several share the store's link, and what they bring together is its speed.
        It may wait at a `gate`, which says nothing of that. Raises `KeyboardInterrupt` where a signal has come before.
        """
        self.check()
        mine = object()
        size_bytes = sum(path.lstat().st_size for path in directory.rglob("*"))
        with self._sizing:
            together_bytes = size_bytes + sum(self._finishing.values())
            if together_bytes / self._bytes_per_s < FINISH * self._grace_s:
                self._finishing[mine] = size_bytes
        try:
            with gate():
                start, before_bytes = time.monotonic(), self._published_bytes
                yield
        finally:
            with self._sizing:
                self._finishing.pop(mine, None)
        with self._sizing:
            self._published_bytes += size_bytes
            brought_bytes = self._published_bytes - before_bytes
            self._bytes_per_s = max(1, brought_bytes) / max(1e-3, time.monotonic() - start)

    @contextmanager
    def flushing(self) -> Iterator[None]:
        """Let what tells of the run go on where a signal came or comes."""
        self._is_flushing = True
        try:
            yield
        finally:
            self._is_flushing = False

    def heed(self, number: int, _: FrameType | None = None) -> None:
        """Handle a signal in the main thread; raises `KeyboardInterrupt` unless what is at work may go on.

        A `JobError` would end in whichever ``except JobError`` is just at work; this passes them all.
        """
        self._note(_name(number))
        is_news, self._heeded = self._part > self._heeded, self._part
        if is_news and self._part >= self._allowed():
            STOPPING.set()
            raise KeyboardInterrupt(self.cause)

    def end(self) -> None:
        """Raise no more."""
        self._heeded = LEAVE

    def watch(self, pipe: int) -> None:
        """Keep the times above, in a thread; `pipe` brings the signals' numbers and ends with the run."""
        number = _next(pipe, self._end_s)
        if number == _ENDED:
            return
        self._note(_name(number))
        self._remind(0)
        for part in (FINISH, FLUSH, LEAVE):
            while (number := _next(pipe, self._came_s + part * self._grace_s)) != _LATE:
                if number == _ENDED:
                    return
                if time.monotonic() > self._came_s + _TOGETHER_S:
                    self._leave()
            self._remind(part)
        self._leave()

    def _leave(self) -> NoReturn:
        self.last_act()
        os._exit(Interrupted.exit_code)

    def _allowed(self) -> float:
        """Return the part of the grace that what is at work may take."""
        return FLUSH if self._is_flushing else FINISH if self._finishing else 0.0

    def _note(self, what: str) -> None:
        if not self.cause:
            self._came_s, self.cause = time.monotonic(), f"{what} came"

    def _remind(self, part: float) -> None:
        """Interrupt the main thread, to which the kernel need not have handed the signal, and what it waits for."""
        self._part = part
        signal.pthread_kill(threading.main_thread().ident or 0, _REMINDER)


@contextmanager
def interruptible(grace_s: float = 8, deadline_s: float = 0) -> Iterator[Interrupts]:
    """Heed signals while the context lasts, and turn one that nobody has handled into `Interrupted`.

    The kernel hands a signal to the main thread and, by a pipe, to a thread of its own, since the
    main one may be where Python's handlers do not run.
    """
    interrupts = Interrupts(grace_s, deadline_s)
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    before = {number: signal.signal(number, interrupts.heed) for number in (*SIGNALS, _REMINDER)}
    before_pipe = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    watch = threading.Thread(target=interrupts.watch, args=(reader,), daemon=True)
    watch.start()
    STOPPING.clear()
    try:
        yield interrupts
    except KeyboardInterrupt as error:
        cause = interrupts.cause or f"{error} came"
        raise Interrupted(cause) from error
    finally:
        interrupts.end()
        signal.set_wakeup_fd(before_pipe)
        os.close(writer)
        watch.join()
        os.close(reader)
        for number, handler in before.items():  # only now: the watch may just have sent a reminder
            signal.signal(number, handler)


def leave(code: int) -> NoReturn:
    """End the process with `code`, and wait for none of its threads: a download ahead may take an hour.

    An interrupted one does not wait for readers of what it has said either.
    """
    for stream in (sys.stdout, sys.stderr) if code != Interrupted.exit_code else ():
        with suppress(OSError, ValueError, AttributeError):  # closed by its reader, by us, or before Python started
            stream.flush()
    os._exit(code)


def _name(number: int) -> str:
    return signal.Signals(number).name if number in SIGNALS else "the deadline"


def _next(pipe: int, until_s: float) -> int:
    """Return the number of the next signal, `_LATE` where none came in time, `_ENDED` where none will come."""
    while True:
        timeout_s = None if until_s == math.inf else max(0.0, until_s - time.monotonic())
        if not select.select([pipe], [], [], timeout_s)[0]:
            return _LATE
        number = os.read(pipe, 1)
        if not number:
            return _ENDED
        if number[0] in SIGNALS:
            return number[0]
