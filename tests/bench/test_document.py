import pytest

from tests.bench.__main__ import DOCUMENT, PARTS
from tests.bench.document import filled, places
from tests.bench.models import TITLES
from tests.bench.table import Table

TEXT = "before\n<!-- bench:a -->\nold\n<!-- /bench:a -->\nbetween\n<!-- bench:b -->\n<!-- /bench:b -->\nafter\n"


def a_table(name: str, cell: str = "1") -> Table:
    return Table(name=name, title=name, measured="So.", machine="m", columns=("c",), rows=((cell,),))


def test_only_its_place_changes() -> None:
    """A table takes the place of the old one, and nothing around it changes."""
    text = filled(TEXT, [a_table("a")])
    assert text.startswith("before\n<!-- bench:a -->\n### a\n")
    assert text.endswith("<!-- /bench:a -->" + TEXT.partition("<!-- /bench:a -->")[2])
    assert "old" not in text


def test_filling_again_replaces() -> None:
    """A second run leaves no trace of the first."""
    assert filled(filled(TEXT, [a_table("a", "1")]), [a_table("a", "2")]) == filled(TEXT, [a_table("a", "2")])


def test_no_place() -> None:
    """A table without a place is no silent loss."""
    with pytest.raises(ValueError, match="no place for the table c"):
        filled(TEXT, [a_table("c")])


def test_the_document_has_every_place() -> None:
    """docs/performance.md has a place for each model and each of the other parts, once."""
    expected = [f"models-{name}" for name in TITLES] + [part for part in PARTS if part != "models"]
    assert sorted(places(DOCUMENT.read_text(encoding="utf-8"))) == sorted(expected)
