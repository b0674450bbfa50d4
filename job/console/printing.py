"""Lines, tables and drawings on stdout."""

import io
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from job.logs import Outlet, is_drawable
from job.redaction import printable, redacted

if TYPE_CHECKING:
    from rich.console import RenderableType

Row = tuple[str, ...]

ENDLESS: Final = 100_000
"""Characters in a line of a file or a pipe: nothing is folded there, so that ``cut`` and ``grep`` are of use."""
GAP: Final = 2
UNFOLDED: Final = 16
"""Columns of a terminal up to which a table's column stays as it is: sizes and verdicts read badly in two lines."""


def print_line(text: str) -> None:
    """Print one line of a command's result."""
    print_drawn(safe(text))


def print_table(head: Row, rows: Sequence[Row]) -> None:
    """Print a table; on a terminal it fits into that, elsewhere spaces align its columns."""
    kept = [tuple(map(safe, row)) for row in rows]
    print_drawn(_drawn_table(head, kept) if is_drawable(sys.stdout) else _plain_table(head, kept))


def print_drawn(text: str) -> None:
    """Print what is safe already."""
    _stdout.line(text)


def safe(text: str) -> str:
    """Return a text without secrets, and with what would steer a terminal escaped."""
    return printable(redacted(text))


def drawn(what: "RenderableType") -> str:
    """Draw something of `rich` for stdout: in colours as wide as a terminal, else in plain text of any width."""
    from rich.console import Console  # noqa: PLC0415 - most commands draw nothing

    stream = sys.stdout
    is_terminal = is_drawable(stream)
    paper = io.TextIOWrapper(io.BytesIO(), encoding=getattr(stream, "encoding", None) or "utf-8")
    measured = Console(file=stream)  # knows a terminal's width, its colours and NO_COLOR
    pen = Console(
        file=paper,
        force_terminal=is_terminal,
        color_system="auto" if is_terminal else None,
        width=measured.width if is_terminal else ENDLESS,
        no_color=measured.no_color,
    )
    with pen.capture() as captured:
        pen.print(what, soft_wrap=not is_terminal)
    return "\n".join(line.rstrip() for line in captured.get().splitlines())


def _plain_table(head: Row, rows: Sequence[Row]) -> str:
    lines = [head, *rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    padded = ([cell.ljust(width) for cell, width in zip(line, widths, strict=True)] for line in lines)
    return "\n".join("  ".join(cells).rstrip() for cells in padded)


def _drawn_table(head: Row, rows: Sequence[Row]) -> str:
    """Draw columns in which no word is broken; where they do not fit, a block for each row."""
    from rich.cells import cell_len  # noqa: PLC0415 - only a terminal needs it
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    columns = [*zip(head, *rows, strict=True)]
    words = [max(cell_len(word) for cell in column for word in cell.split() or [""]) for column in columns]
    widths = [max(map(cell_len, column)) for column in columns]
    least = [width if width <= UNFOLDED else word for width, word in zip(widths, words, strict=True)]
    room = Console(file=sys.stdout).width - GAP * (len(head) - 1)
    if sum(least) > room:
        return _drawn_blocks(head, rows)
    table = Table(*head, box=None, pad_edge=False, padding=(0, GAP, 0, 0), header_style="bold")
    for column, width in zip(table.columns, _narrowed(widths, least, room), strict=True):
        column.width, column.overflow = width, "fold"
    for row in rows:
        table.add_row(*map(Text, row))
    return drawn(table)


def _narrowed(widths: Sequence[int], least: Sequence[int], room: int) -> list[int]:
    """Take from the widest columns until all fit."""
    kept = list(widths)
    while sum(kept) > room:
        widest = max(range(len(kept)), key=lambda place: (kept[place] > least[place], kept[place], place))
        kept[widest] -= 1
    return kept


def _drawn_blocks(head: Row, rows: Sequence[Row]) -> str:
    from rich.console import Group, RenderableType  # noqa: PLC0415 - only a terminal needs it
    from rich.padding import Padding  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    blocks = list[RenderableType]()
    for first, *others in rows:
        told = (f"{name}: {cell}" for name, cell in zip(head[1:], others, strict=True))
        blocks += [Text(first, "bold"), *(Padding(Text(one), (0, 0, 0, GAP)) for one in told)]
    return drawn(Group(*blocks))


_stdout = Outlet(lambda: sys.stdout)
