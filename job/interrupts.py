"""SIGTERM and SIGINT: the first lets the job end in order, the second ends it at once."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from job.errors import Interrupted


@contextmanager
def interruptible() -> Iterator[None]:
    """Turn both signals into `KeyboardInterrupt`, and one that nobody has handled into `Interrupted`.

    A `JobError` raised by a handler would end in whichever ``except JobError`` is just at work;
    a `KeyboardInterrupt` passes them all.
    """
    numbers = (signal.SIGTERM, signal.SIGINT)
    previous = {number: signal.signal(number, _interrupt) for number in numbers}
    try:
        yield
    except KeyboardInterrupt as error:
        raise Interrupted(f"{error} came", remedy="run again: what is committed is skipped") from error
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _interrupt(number: int, _: FrameType | None) -> None:
    for again in (signal.SIGTERM, signal.SIGINT):
        signal.signal(again, _leave)
    raise KeyboardInterrupt(signal.Signals(number).name)


def _leave(*_: object) -> None:
    """Leave without cleaning up: workers end with us, and what is not committed is in nobody's way."""
    os._exit(Interrupted.exit_code)
