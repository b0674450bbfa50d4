import io
import re
import sys

import pytest

from job.console import printing
from tests.console.conftest import PlaceTerminal

HEAD = ("a", "bb")
ROWS = [("long name", "1"), ("x", "\x1b[2J[bold]y[/bold]\nz")]


def test_columns_are_aligned_by_spaces(capsys: pytest.CaptureFixture[str]) -> None:
    """In a file or a pipe each cell begins below its heading, in lines that end with no space."""
    printing.print_table(HEAD, [ROWS[0]])
    assert capsys.readouterr().out == "a          bb\nlong name  1\n"


@pytest.mark.parametrize("term", ["xterm", "dumb"])
def test_names_steer_no_terminal(on_terminal: PlaceTerminal, monkeypatch: pytest.MonkeyPatch, term: str) -> None:
    """Control characters in a cell are escaped, and Rich's markup in it means nothing."""
    out = on_terminal("stdout")
    monkeypatch.setenv("TERM", term)
    printing.print_table(HEAD, ROWS)
    assert "\x1b[2J" not in out.getvalue()
    assert "\\x1b[2J[bold]y[/bold]\\nz" in out.getvalue()


def test_a_terminal_gets_bold_headings(on_terminal: PlaceTerminal) -> None:
    """On a terminal the table is drawn for people."""
    out = on_terminal("stdout")
    printing.print_table(HEAD, ROWS)
    assert "\x1b[1m" in out.getvalue()


def test_a_dumb_terminal_gets_plain_text(on_terminal: PlaceTerminal, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that knows no control characters gets none."""
    out = on_terminal("stdout")
    monkeypatch.setenv("TERM", "dumb")
    printing.print_table(HEAD, ROWS[:1])
    assert out.getvalue() == "a          bb\nlong name  1\n"


def plain(text: str) -> str:
    return re.sub(r"\x1b\[[\d;]*m", "", text)


def test_a_narrow_terminal_loses_nothing(on_terminal: PlaceTerminal, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that is longer than a line is folded and not cut off."""
    out = on_terminal("stdout")
    monkeypatch.setenv("COLUMNS", "40")
    name = "".join(chr(ord("a") + place % 26) for place in range(60))
    printing.print_table(HEAD, [(name, "1")])
    assert plain(out.getvalue()) == f"{name[:40]}\n{name[40:]}\n  bb: 1\n"


@pytest.mark.parametrize("columns", [24, 30, 40, 60, 80])
def test_no_word_is_broken(on_terminal: PlaceTerminal, monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    """Whatever a terminal's width, lines fit into it and words are whole; where columns do not fit, rows are blocks."""
    out = on_terminal("stdout")
    monkeypatch.setenv("COLUMNS", str(columns))
    row = ("family/model.ckpt-0", "14.3 kB", "nothing, code 40: the GraphDef is truncated at byte 1024")
    printing.print_table(("artifact", "size", "what would be done"), [row, row])
    lines = plain(out.getvalue()).splitlines()
    assert max(map(len, lines)) <= columns
    assert all("".join(lines).count(name) == 2 for name in (row[0], row[1], "truncated"))
    assert (lines[0] == row[0]) == (columns <= 30)


def test_secrets_are_not_printed(capsys: pytest.CaptureFixture[str]) -> None:
    """A presigned address loses its query here as in the logs."""
    printing.print_line("https://host/key?X-Amz-Signature=canary")
    assert "canary" not in capsys.readouterr().out


def test_printing_to_a_closed_stdout_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """The job's work does not depend on somebody reading its summary."""
    closed = io.StringIO()
    closed.close()
    for stream in (closed, None):
        monkeypatch.setattr(sys, "stdout", stream)
        printing.print_table(HEAD, ROWS)
    assert closed.closed
