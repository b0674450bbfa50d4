"""The migration guide holds what people search for, and every entry of it is built alike."""

import re
from pathlib import Path
from typing import Final

import pytest

from tests.docs import guide
from tests.docs.guide import INDEX, Entry, entries
from tests.docs.marks import marks_of
from tests.docs.searched import SILENT, TEXTS
from tests.jobs import ROOT

SYMPTOMS: Final = ROOT.parent / "shared" / "reference" / "symptoms.md"

NOT_SEARCHED: Final = {
    "Scatter": "an op's name; an op that writes to a constant has a text of its own",
    "[4,3]": "a shape; nothing is raised",
    "[4,7]": "a shape; nothing is raised",
    "load_weights(by_name, skip_mismatch)": "a call; nothing is raised, and the guide shows it with its arguments",
    "x.ckpt.index": "a path; nothing is raised",
    "InvalidVersion '0.12.head'": "abridged: the text is InvalidVersion: Invalid version: '0.12.head'",
    "UnliftableError: Unable to lift tensor … because it depends transitively on placeholder 'is_training'": (
        "abridged: the text names the operation as TensorFlow prints it"
    ),
}
"""Spans of `SYMPTOMS` that are not error texts as they appear, with the reason."""

_VARIES: Final = re.compile(r"…|\.\.\.|<[^>]*>|\*| / ")
"""What stands for something else each time, or between several."""

PARTS: Final = ("**What it means.**", "**Do this.**", "**Watch for.**")


def plain(text: str) -> str:
    """Return a text without code marks, and with one space for many."""
    return " ".join(text.replace("`", "").split())


def lacking(searched: str, text: str) -> str:
    """Return the first part of a text, between what varies, that is not in another after those before; else nothing."""
    for part in _VARIES.split(plain(searched)):
        found = text.find(part.strip())
        if found < 0:
            return part.strip()
        text = text[found:]
    return ""


@pytest.fixture(scope="module")
def pages() -> str:
    """All of the guide."""
    return plain("\n".join(entry.text for entry in entries()))


@pytest.mark.parametrize("searched", [*TEXTS, *SILENT])
def test_what_people_search_for_is_found(searched: str) -> None:
    """Each text stands in one entry, part by part in its order."""
    assert any(not lacking(searched, plain(entry.text)) for entry in entries())


@pytest.mark.skipif(not SYMPTOMS.is_file(), reason="the list of symptoms is not beside the repository")
def test_every_text_of_the_list_of_symptoms_is_found(pages: str) -> None:
    """What the list quotes as an error is in the guide, or is named here with the reason why not."""
    quoted = {span for cell in _symptoms(SYMPTOMS) for span in re.findall(r"`([^`]+)`", cell)}
    assert {span: part for span in sorted(quoted) if (part := _absent(span, pages))}.keys() == NOT_SEARCHED.keys()


def _symptoms(path: Path) -> list[str]:
    """Return the cells that describe symptoms, of every table."""
    rows = [
        line.strip("|").split("|") for line in path.read_text(encoding="utf-8").splitlines() if line.startswith("|")
    ]
    return [cells[1] if cells[0].strip().isdecimal() else cells[0] for cells in rows]


def _absent(span: str, text: str) -> str:
    parts = (part.strip() for part in _VARIES.split(plain(span)))
    return next((part for part in parts if part not in text), "")


@pytest.mark.parametrize("entry", entries(), ids=lambda entry: entry.title)
def test_an_entry_is_built_as_the_others(entry: Entry) -> None:
    """It begins with what is searched for, then says what that means, what to type and what to watch for."""
    assert entry.blocks[0].language == "text"
    places = [entry.text.find(part) for part in PARTS]
    assert -1 not in places
    assert places == sorted(places)
    typed = [block for block in entry.blocks if marks_of(block).given]
    assert typed
    assert {block.language for block in typed} <= {"console", "python"}


@pytest.mark.parametrize("entry", entries(), ids=lambda entry: entry.title)
def test_what_fails_is_said_to_fail(entry: Entry) -> None:
    """A reader who is refused learns it from the page, with the code, before typing."""
    codes = {marks_of(block).exit_code for block in entry.blocks} - {0}
    assert [code for code in codes if not re.search(rf"code {code}\b", entry.text)] == []


def test_the_list_of_texts_is_that_of_the_entries() -> None:
    """`python -m tests.docs.guide` writes it, and every page is in it."""
    page = INDEX.read_text(encoding="utf-8")
    assert guide.with_index(page) == page
    assert {path.stem for path in guide.FOLDER.glob("*.md")} == set(guide.PAGES)


def test_no_two_entries_have_one_title() -> None:
    """Blocks belong to an entry by its heading."""
    titles = [(entry.page, entry.title) for entry in entries()]
    assert len(set(titles)) == len(titles)
