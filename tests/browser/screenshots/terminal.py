"""A command as a terminal shows it, as SVG: its last screen, or a moment at which most was going on."""

import codecs
import fcntl
import io
import os
import pty
import re
import select
import struct
import subprocess
import termios
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

_ROWS: Final = 50
_STEPS: Final = re.compile(r"(\r?\n|\r|\x1b\[\d*A|\x1b\[\d*K|\x1b\[\?\d+[hl])")
"""What moves the cursor, shows it or clears a line; colours are none of it."""

_CLEARED: Final = re.compile(r"(?:\x1b\[1A\x1b\[2K)+")
_QUIET_S: Final = 0.03  # what comes in shorter order is drawn at once

_FONT_FACE: Final = re.compile(r"\s*@font-face \{.*?\}", re.DOTALL)
"""Rich's picture fetches its font from elsewhere; ours takes what the reader has."""


@dataclass(kw_only=True)
class Screen:
    """The lines that a terminal shows, colours and all; as much of one as programs need that draw line by line."""

    lines: list[str] = field(default_factory=lambda: [""])
    row: int = 0

    def write(self, written: str) -> None:
        """Show what is written next."""
        for step in _STEPS.split(written):
            if step.endswith("\n"):
                self.row += 1
                self.lines += [""] * (self.row == len(self.lines))
            elif step.startswith("\x1b[") and step.endswith("A"):
                self.row = max(0, self.row - int(step[2:-1] or 1))
            elif step.startswith("\x1b[") and step.endswith("K"):
                self.lines[self.row] = ""
            elif not _STEPS.fullmatch(step):
                self.lines[self.row] += step

    @property
    def text(self) -> str:
        """Return all lines, without empty ones at the end."""
        return "\n".join(self.lines).rstrip()


@dataclass(frozen=True, kw_only=True)
class Recording:
    """All that a command wrote to a terminal of `columns`, in the pieces in which it came, and its exit code.

    `command` is what a picture says was typed.
    """

    command: str
    columns: int
    pieces: tuple[str, ...]
    code: int

    def last(self) -> str:
        """Return what is on the screen at the end."""
        *_, text = "", *self._texts()
        return text

    def busiest(self) -> str:
        """Return what is on the screen before most lines are cleared, half through that: a display at its largest."""
        cleared = [len(max(_CLEARED.findall(piece), default="", key=len)) for piece in self.pieces]
        largest = [number for number, length in enumerate(cleared) if length == max(cleared)]
        return ["", *self._texts()][largest[len(largest) // 2]]

    def svg(self, text: str) -> str:
        """Return a picture of a terminal that shows the command and `text`."""
        typed = Text.assemble(("$ ", "bold green"), (self.command, "bold"))
        console = Console(record=True, width=self.columns, file=io.StringIO(), force_terminal=True)
        console.print(typed, Text.from_ansi(text), "", sep="\n", overflow="fold")
        svg = console.export_svg(title="", theme=MONOKAI)
        return _FONT_FACE.sub("", svg).replace("Fira Code, monospace", "Menlo, DejaVu Sans Mono, Consolas, monospace")

    def _texts(self) -> Iterator[str]:
        """Yield what the screen shows after each piece."""
        screen = Screen()
        for piece in self.pieces:
            screen.write(piece)
            yield screen.text


def record(
    arguments: Sequence[str], *, command: str, columns: int, directory: Path, environment: Mapping[str, str]
) -> Recording:
    """Run a program on a terminal of its own to its end."""
    with _terminal(columns) as (ours, its):
        process = subprocess.Popen(arguments, stdin=its, stdout=its, stderr=its, cwd=directory, env=environment)
        os.close(its)
        pieces = tuple(_read(ours))
        return Recording(command=command, columns=columns, pieces=pieces, code=process.wait())


@contextmanager
def _terminal(columns: int) -> Iterator[tuple[int, int]]:
    ours, its = pty.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", _ROWS, columns, 0, 0))
    try:
        yield ours, its
    finally:
        os.close(ours)


def _read(terminal: int) -> Iterator[str]:
    """Yield what is written until the last writer has gone, in whole characters."""
    decoder, piece = codecs.getincrementaldecoder("utf-8")(), ""
    with suppress(OSError):  # Linux tells the end of a terminal so
        while True:
            piece += decoder.decode(os.read(terminal, 65536))
            if not select.select([terminal], [], [], _QUIET_S)[0]:
                yield piece
                piece = ""
    yield piece
