import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from job import codec
from tests import samples
from tests.docs.blocks import blocks_of
from tests.jobs import run_job
from tests.schema.making import DOCUMENTS, ROOT

PAGE: Final = ROOT / "docs" / "report.md"
SCHEMA: Final = DOCUMENTS[0].schema()
_CELLS: Final = re.findall(r"^\| (.*?) \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
NAMED: Final = re.findall(r"`([\w.\[\]]+)`", " ".join(_CELLS))
"""What stands in the first column of the page's tables."""


def inside(schema: Any) -> Iterator[dict[str, Any]]:
    """Yield the records that may be where a schema speaks of something, or of a list of it."""
    if "$ref" in schema:
        yield from inside(SCHEMA["$defs"][schema["$ref"].rpartition("/")[2]])
    for one in (*schema.get("anyOf", ()), *(schema[name] for name in ("items",) if name in schema)):
        yield from inside(one)
    if "properties" in schema:
        yield schema


@pytest.mark.parametrize("path", NAMED)
def test_a_member_that_the_page_tells_of_is_there(path: str) -> None:
    """A member that is renamed or goes takes its line along."""
    found: dict[str, Any] = SCHEMA
    for step in path.split("."):
        (record,) = inside(found)
        found = record["properties"][step.removesuffix("[]")]
        assert step.endswith("[]") == (found.get("type") == "array")


def test_the_page_tells_of_every_member_of_a_report() -> None:
    """Nobody has to guess what a part of the document is."""
    told = {path.partition(".")[0].removesuffix("[]") for path in NAMED}
    assert set(SCHEMA["properties"]) <= told


def test_the_page_s_program_validates_a_report(tmp_path: Path) -> None:
    """It runs as it stands beside a report, and tells a damaged one."""
    (block,) = [one for one in blocks_of(PAGE, ROOT) if one.language == "python"]
    for document, told in ((codec.document(samples.PUBLISHED), ""), (b"{}", "is a required property")):
        (tmp_path / "report.json").write_bytes(document)
        ended = run_job("-c", block.text, program=(sys.executable,), directory=tmp_path)
        assert (ended.code == 0, told in ended.stderr) == (not told, True)
