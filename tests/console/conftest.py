import io
import sys
from collections.abc import Callable

import pytest


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        """Return True."""
        return True


PlaceTerminal = Callable[[str], Terminal]


@pytest.fixture
def on_terminal(monkeypatch: pytest.MonkeyPatch) -> PlaceTerminal:
    """Return what makes a standard stream a wide terminal."""
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)

    def place(name: str) -> Terminal:
        terminal = Terminal()
        monkeypatch.setattr(sys, name, terminal)
        return terminal

    return place
