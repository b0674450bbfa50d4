import ast
import re
from functools import cache
from pathlib import Path

import pytest

from tests.fault_rows import ROWS, Row, table
from tests.jobs import ROOT


@cache
def functions_in(path: str) -> frozenset[str]:
    tree = ast.parse((ROOT / "tests" / path).read_text(encoding="utf-8"))
    return frozenset(node.name for node in tree.body if isinstance(node, ast.FunctionDef))


def test_every_fault_has_its_row() -> None:
    """The 79 faults are all there, in their order, and none twice."""
    assert [row.number for row in ROWS] == list(range(1, 80))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: str(row.number))
def test_every_row_is_held_by_a_test_or_a_reason(row: Row) -> None:
    """A fault that nobody injects is a claim; a test that was renamed or removed holds nothing."""
    assert row.tests or row.reason
    missing = [test for test in row.tests if test.partition("::")[2] not in functions_in(test.partition("::")[0])]
    assert missing == []


def test_documentation_shows_the_table() -> None:
    """docs/reliability.md says what the rows say: ``python -m tests.fault_rows`` prints it."""
    document = Path(ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
    assert re.sub(r"\s+", " ", table()) in re.sub(r"\s+", " ", document)
