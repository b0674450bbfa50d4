"""Prints after the tests what was done with every block of the documentation."""

from typing import Any, Final

import pytest

_WIDTHS: Final = (34, 60)


def pytest_terminal_summary(terminalreporter: "pytest.TerminalReporter") -> None:
    """Print a line for each block: where it is, what it begins with, and what was done with it."""
    reports = [report for kind in ("passed", "failed") for report in terminalreporter.stats.get(kind, ())]
    rows: list[Any] = [value for report in reports for name, value in report.user_properties if name == "block"]
    if rows:
        terminalreporter.section("the documentation's blocks")
    for place, done, title in sorted(rows, key=lambda row: (row[0].split(":")[0], int(row[0].split(":")[1]))):
        terminalreporter.write_line(f"{place:<{_WIDTHS[0]}} {title[: _WIDTHS[1]]:<{_WIDTHS[1]}} {done}")
