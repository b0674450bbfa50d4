"""Whether a command printed what its page shows."""

import re
from collections.abc import Iterator
from typing import Final

_VARIES: Final = (
    (r"\d{4}-\d\d-\d\d([ T]\d\d:\d\d(:\d\d)?(\.\d+)?Z?)?", "a date"),
    (r"(?<![\w.])\d+(\.\d+)?(?= ?(s|ms|MB|GB|MiB|GiB|%|h|min)\b)", "a measurement"),
    (r"\b[0-9a-f]{8,}\b", "a digest"),
    (r"\d\.\d+e-\d+", "an error"),
)
"""What may be another on every machine and at every time, and is a number of the same kind there."""

_ANYTHING: Final = ("…", "...")


def missing(shown: str, printed: str) -> str:
    """Return the first line of `shown` that is not in `printed` after those before it; empty where all are.

    Measurements, dates and digests fit others of their kind, ``…`` fits anything, and a line of it alone any lines.
    """
    lines = iter(printed.splitlines())
    for line in shown.splitlines():
        pattern = _pattern(line)
        if line.strip() not in ("", *_ANYTHING) and not _found(pattern, lines):
            return line
    return ""


def _found(pattern: "re.Pattern[str]", lines: Iterator[str]) -> bool:
    return any(pattern.fullmatch(_plain(line)) for line in lines)


def _pattern(line: str) -> "re.Pattern[str]":
    escaped = re.escape(_plain(line))
    for anything in _ANYTHING:
        escaped = escaped.replace(re.escape(anything), ".*")
    return re.compile(escaped.replace("\\ ", r"\s+"))


def _plain(line: str) -> str:
    """Put every measurement's kind in its place, and one space for many."""
    for pattern, kind in _VARIES:
        line = re.sub(pattern, f"<{kind}>", line)
    return " ".join(line.split())
