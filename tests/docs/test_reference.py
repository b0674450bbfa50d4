import re
from dataclasses import fields
from pathlib import Path

import pytest

from job.records import ArtifactOptions
from job.settings import knobs
from tests.docs.reference import TABLES, pages, with_tables
from tests.jobs import ROOT


@pytest.mark.parametrize("page", list(pages()), ids=lambda page: page.name)
def test_the_tables_are_what_the_code_says(page: Path) -> None:
    """``python -m tests.docs.reference`` would change nothing."""
    text = page.read_text(encoding="utf-8")
    assert with_tables(text) == text


def test_every_table_is_on_a_page() -> None:
    """What the code can say of itself is read somewhere."""
    said = "".join(page.read_text(encoding="utf-8") for page in pages())
    assert [name for name in TABLES if f"<!-- table: {name} -->" not in said] == []


def test_every_key_of_the_manifest_is_documented() -> None:
    """The page of options has a line for each key, and none for another."""
    text = (ROOT / "docs/options.md").read_text(encoding="utf-8")
    rows = text.partition("## The manifest")[2].partition("\n## ")[0].partition("| key |")[2].splitlines()[2:]
    listed = [key for row in rows if row.startswith("|") for key in re.findall(r"`(\w+)`", row.split("|")[1])]
    assert sorted(listed) == sorted(("match", *(option.name for option in fields(ArtifactOptions))))


def test_every_option_is_documented_with_its_variable() -> None:
    """The page of options leaves out none."""
    text = (ROOT / "docs/options.md").read_text(encoding="utf-8")
    assert [knob.name for knob in knobs() if f"| `JOB_{knob.name.upper()}` |" not in text] == []
