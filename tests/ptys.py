"""The job at a terminal: a process behind a pty, the bytes that it writes there, and what a person sees of them."""

import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import termios
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rich.cells import cell_len

from tests.jobs import JOB, environment

_LOOKS: Final = ("NO_COLOR", "FORCE_COLOR", "COLUMNS", "LINES")
_MOVES: Final = re.compile(r"\x1b\[(\d*)A|(\x1b\[2K)|\x1b\[\??[\d;]*[mhl]|(\r\n)|(\r)|(\n)|([^\x1b\r\n]+)")


@dataclass(frozen=True, kw_only=True)
class Seen:
    """How a process behind a pty ended, and all that it wrote there."""

    code: int
    raw: bytes

    @property
    def text(self) -> str:
        """Return the bytes as text."""
        return self.raw.decode()

    def screen(self, until: str = "") -> list[str]:
        """Return the lines that are to be seen at the end, or after the first `until`.

        Raises `ValueError` where something is written that no terminal of this file knows.
        """
        text = self.text[: self.text.index(until) + len(until)] if until else self.text
        lines, row, place = [""], 0, 0
        while place < len(text):
            found = _MOVES.match(text, place)
            if found is None:
                raise ValueError(f"this is no plain display: {text[place : place + 20]!r}")
            place = found.end()
            up, erase, newline, _, feed, words = found.groups()
            row -= int(up or 1) if up is not None else 0
            if erase:
                lines[row] = ""
            if newline or feed:
                row += 1
                lines += [""] * (row >= len(lines))
            if words:
                lines[row] += words
        return [line.rstrip() for line in lines if line.strip()]


def widest(lines: Iterable[str]) -> int:
    """Return how many cells the widest line takes."""
    return max(map(cell_len, lines))


def run_at_terminal(
    *arguments: str,
    columns: int = 80,
    extra: Mapping[str, str] | None = None,
    program: Iterable[str] = JOB,
    interrupt_at: str = "",
    type_at: tuple[str, bytes] = ("", b""),
    directory: Path | None = None,
) -> Seen:
    """Run a job with a terminal for its three streams to its end.

    Once it has written something, interrupt it, or type what comes with that; what comes with nothing is typed first.
    """
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    known = {name: value for name, value in environment().items() if name not in _LOOKS}
    known |= {"TERM": "xterm-256color", "PYTHONIOENCODING": "utf-8"} | dict(extra or {})
    if not type_at[0]:
        os.write(ours, type_at[1])
    process = subprocess.Popen(
        [*program, *arguments], stdin=theirs, stdout=theirs, stderr=theirs, env=known, cwd=directory
    )
    os.close(theirs)
    raw = bytearray()
    with suppress(OSError):  # so a pty says that its other end is closed
        while piece := os.read(ours, 65_536):
            raw += piece
            if interrupt_at and interrupt_at.encode() in raw:
                process.send_signal(signal.SIGINT)
                interrupt_at = ""
            if type_at[0] and type_at[0].encode() in raw:
                os.write(ours, type_at[1])
                type_at = ("", b"")
    os.close(ours)
    return Seen(code=process.wait(60), raw=bytes(raw))
