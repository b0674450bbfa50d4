"""Logs: JSON lines for machines, readable on a terminal, no secret in either.

Modules take ``structlog.get_logger()`` and name events in stable snake_case, with the particulars as fields:
``log.info("artifact_found", artifact=name, format=format)``.
"""

import json
import logging
import math
import numbers
import os
import select
import sys
import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import IO, Any, Final, Literal, TextIO

import structlog
from structlog.typing import EventDict, Processor

from job import events
from job.errors import LocalIOError
from job.redaction import REDACTED, is_secret_name, printable, redacted

EVENT_BYTES: Final = 16_384
"""The longest line: container engines split longer ones (Docker and containerd at 16 KiB)."""

DEEPEST: Final = 6
"""Fields nested deeper are written as text; so is whatever contains itself."""

PATIENCE_S: Final = 5.0
"""How long to wait, once, for a reader of a full pipe before dropping lines."""

CHUNK: Final = 4_000
"""Characters a write; a pipe that is ready takes ``PIPE_BUF`` = 4096 bytes at once (POSIX)."""

LogFormat = Literal["auto", "json", "text"]

_FIRST: Final = ("timestamp", "level", "event", "artifact", "stage")


class Outlet:
    """Writes lines to a stream and never fails: a closed or full pipe must not end the job."""

    def __init__(self, stream: Callable[[], TextIO | None]) -> None:
        self._stream = stream
        self._patience_s = PATIENCE_S
        self._lock = threading.RLock()  # a signal handler may log while a line is being written

    def line(self, text: str) -> None:
        """Write one line, or drop it if nobody takes it."""
        with self._lock:
            stream = self._stream()
            if stream is None:  # Python's own way of saying that the stream was closed before it started
                return
            try:
                self._write(stream, f"{text}\n")
            except BrokenPipeError:
                _detach(stream)
            except (OSError, ValueError, RuntimeError):  # closed is a ValueError, a write within a write a RuntimeError
                return

    debug = info = warning = error = critical = line

    def _write(self, stream: TextIO, text: str) -> None:
        encoding = stream.encoding or "utf-8"
        text = text.encode(encoding, "backslashreplace").decode(encoding)
        chunk = len(text) if is_terminal(stream) else CHUNK  # a display on it tears what does not end with its line
        for start in range(0, len(text), chunk):
            is_taken = takes(stream, self._patience_s)
            self._patience_s = PATIENCE_S if is_taken else 0.0  # after having waited in vain once, only look
            if not is_taken:
                return
            stream.write(text[start : start + chunk])
            stream.flush()


def takes(stream: IO[str], patience_s: float) -> bool:
    """Wait until a stream takes more, and tell whether it does."""
    try:
        descriptor = stream.fileno()
    except (OSError, ValueError, AttributeError):  # a stream in memory takes everything
        return True
    return bool(select.select([], [descriptor], [], patience_s)[1])


def is_terminal(stream: TextIO | None) -> bool:
    """Tell whether a person looks at a standard stream; it may be closed or missing."""
    return stream is not None and not stream.closed and stream.isatty()


def is_drawable(stream: TextIO | None) -> bool:
    """Tell whether a standard stream is a terminal that knows colours and how to move its cursor."""
    return is_terminal(stream) and os.environ.get("TERM", "").lower() not in ("", "dumb", "unknown")


def is_text(log_format: LogFormat) -> bool:
    """Tell whether a person reads what this process says; ``auto`` means: at a terminal."""
    return log_format == "text" or (log_format == "auto" and is_terminal(sys.stderr))


def configure(log_format: LogFormat = "auto", *, is_quiet: bool = False, displayed: Collection[str] = ()) -> None:
    """Send this process's events to stderr; ``auto`` is text on a terminal and JSON lines elsewhere.

    Warnings of Python and of libraries become events too, so that every line has the one form. Of what `is_quiet`
    errors alone are told; `displayed` are events that a person at a terminal sees otherwise. Captures hold all.
    """
    as_text = is_text(log_format)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            events.only_declared,
            _plain_event,
            _copy_to_captures,
            _Selection(is_quiet=is_quiet, displayed=frozenset(displayed if as_text else ())),
            _text_renderer(colors=is_drawable(sys.stderr) and not os.environ.get("NO_COLOR"))
            if as_text
            else _json_renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=_outlet_to_stderr,
        cache_logger_on_first_use=False,
    )
    logging.basicConfig(level=logging.WARNING, handlers=[_FromLibraries()], force=True)
    logging.captureWarnings(capture=True)


@contextmanager
def capture(path: Path, *, artifact: str) -> Iterator[None]:
    """Name `artifact` in all events of this thread meanwhile, and append all events that name it to `path`.

    Another thread's events are caught if they carry the field ``artifact``. Always JSON lines.
    Raises `LocalIOError` if the file cannot be opened.
    """
    with _opened(path) as file, structlog.contextvars.bound_contextvars(artifact=artifact):
        _captures[artifact] = Outlet(lambda: file)
        try:
            yield
        finally:
            del _captures[artifact]


_captures: dict[str, Outlet] = {}
_stderr = Outlet(lambda: sys.stderr)  # looked up at each line: a progress display replaces it meanwhile


def _outlet_to_stderr(*_: object) -> Outlet:
    return _stderr


def _opened(path: Path) -> TextIO:
    try:
        return path.open("a", encoding="utf-8")
    except OSError as error:
        raise LocalIOError(
            f"the log cannot be written: {error.strerror}", where=str(path), remedy="choose another --scratch"
        ) from error


def _detach(stream: TextIO) -> None:
    """Point a stream whose reader has gone to nowhere, else flushing it at exit ends the process with code 120."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


class _FromLibraries(logging.Handler):
    """Turns the records of standard logging into events."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            message = record.getMessage()
        except (TypeError, ValueError):  # a library's format string that does not fit its arguments
            message = str(record.msg)
        structlog.get_logger().log(record.levelno, "library_message", library=record.name, message=message)


def _plain_event(_: object, __: str, event: EventDict) -> EventDict:
    """Make every field plain and free of secrets, the ones that every event has in front."""
    order = [key for key in _FIRST if key in event] + [key for key in event if key not in _FIRST]
    return {_plain_text(str(key)): _field(str(key), event[key], DEEPEST) for key in order}


def _field(name: str, value: object, depth: int) -> Any:
    return REDACTED if is_secret_name(name) else _plain(value, depth)


def _plain(value: object, depth: int) -> Any:
    """Turn any object into what JSON can hold; never raises."""
    if value is None or isinstance(value, (bool, numbers.Number)):
        return _plain_number(value)
    if isinstance(value, Enum):
        return _plain(value.value, depth)
    if isinstance(value, Mapping) and depth:
        return {_plain_text(str(key)): _field(str(key), item, depth - 1) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)) and depth:
        return [_plain(item, depth - 1) for item in value]
    if isinstance(value, bytes):
        return _plain_text(value.decode("utf-8", "backslashreplace"))
    return _plain_text(_as_text(value))


def _plain_number(value: Any) -> Any:
    if value is None or isinstance(value, bool):
        return value
    try:
        if isinstance(value, numbers.Integral):
            whole = int(value)
            return whole if abs(whole) < 2**63 else hex(whole)  # Python refuses the decimal digits of a huge one
        real = float(value)
    except (TypeError, OverflowError):  # complex; a fraction beyond all floats
        return _as_text(value)
    return real if math.isfinite(real) else str(real)


def _as_text(value: object) -> str:
    try:
        return str(value)
    except Exception:  # noqa: BLE001 - an object that cannot be written must not end the job
        return f"<{type(value).__name__} that cannot be shown>"


def _plain_text(text: str) -> str:
    return redacted(text.encode("utf-8", "backslashreplace").decode("utf-8"))


@dataclass(frozen=True, kw_only=True)
class _Selection:
    """Leaves out what is not to be told on stderr."""

    is_quiet: bool
    displayed: frozenset[str]

    def __call__(self, _: object, __: str, event: EventDict) -> EventDict:
        """Return the event, or drop it."""
        if event["event"] in self.displayed or (self.is_quiet and event["level"] not in ("error", "critical")):
            raise structlog.DropEvent
        return event


def _copy_to_captures(_: object, __: str, event: EventDict) -> EventDict:
    outlet = _captures.get(str(event.get("artifact")))
    if outlet is not None:
        outlet.line(_json_line(event))
    return event


def _json_renderer(_: object, __: str, event: EventDict) -> str:
    return _json_line(event)


def _json_line(event: EventDict) -> str:
    """Return the event as one line of at most `EVENT_BYTES`: long fields are cut, then all but the first dropped."""
    line = json.dumps(event)
    if len(line) < EVENT_BYTES:
        return line
    line = json.dumps({key: _shortened(value, 4_000) for key, value in event.items()})
    if len(line) < EVENT_BYTES:
        return line
    # 5 fields of at most 256 characters, each of which JSON may write as \uXXXX: below 8 KiB
    kept = {key: _shortened(event[key], 256) for key in _FIRST if key in event}
    return json.dumps({**kept, "dropped_fields": len(event) - len(kept)})


def _shortened(value: object, longest: int) -> object:
    text = value if isinstance(value, str) else json.dumps(value)
    return value if len(text) <= longest else _cut(text, longest)


def _cut(text: str, longest: int) -> str:
    """Keep both ends of a long text: a traceback's cause is in the last line."""
    if len(text) <= longest:
        return text
    half = longest // 2 - 20
    return f"{text[:half]} [{len(text) - 2 * half} characters cut] {text[-half:]}"


def _text_renderer(*, colors: bool) -> Processor:
    renderer = structlog.dev.ConsoleRenderer(
        colors=colors, pad_event_to=24, sort_keys=False, exception_formatter=structlog.dev.plain_traceback
    )

    def render(logger: object, name: str, event: EventDict) -> str:
        return renderer(logger, name, {key: _shown(key, value) for key, value in event.items()})

    return render


def _shown(key: str, value: object) -> str:
    """Escape what would steer the terminal or forge a line; a traceback keeps its lines."""
    text = _cut(value if isinstance(value, str) else json.dumps(value), EVENT_BYTES)
    return "\n".join(map(printable, text.split("\n"))) if key == "exception" else printable(text)
