import pytest

from job.results import Ratio
from tests.bench.table import Table, ratio_cell, refused, this_machine


def a_table(*rows: tuple[str, ...]) -> Table:
    return Table(name="a", title="A title", measured="So.", machine="a machine", columns=("", "speed"), rows=rows)


def test_markdown() -> None:
    """A table has a heading, says how and where it was measured, and keeps what would break its cells."""
    assert a_table(("one", "5/s"), ("a|b\nc", refused("no server"))).markdown() == (
        "### A title\n\nSo. a machine.\n\n|  | speed |\n| --- | --- |\n| one | 5/s |\n"
        "| a\\|b c | not measured: no server |\n"
    )


def test_rows_are_complete() -> None:
    """A row of another length than the columns is a bug, and no table."""
    with pytest.raises(ValueError, match="a row of 1 cells under 2 columns"):
        a_table(("one",))


def test_ratio() -> None:
    """A ratio never stands without its interval."""
    assert ratio_cell(Ratio(value=1.234, low=1.1, high=1.302)) == "1.23 (1.10 to 1.30)"


def test_machine() -> None:
    """The machine is told by its cores and memory."""
    assert "cores" in this_machine()
    assert "GiB" in this_machine()
