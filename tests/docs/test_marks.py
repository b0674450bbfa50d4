from pathlib import Path

import pytest

from tests.docs.blocks import Block
from tests.docs.marks import Marks, UnknownMarkError, faults_of, marks_of


def block(language: str, *comments: str) -> Block:
    """A block of a page."""
    return Block(page=Path("page.md"), line=3, language=language, text="x\n", heading="", comments=comments)


def test_marks_are_read() -> None:
    """Each mark is found, in order, and other comments are none."""
    found = marks_of(block("sh", "run: first, mkdir in", "made by hand", "run: first, cd in", "run: exit 40"))
    assert found == Marks(first=("mkdir in", "cd in"), exit_code=40)
    assert marks_of(block("yaml", "run: file models.yaml")) == Marks(file="models.yaml")
    assert marks_of(block("sh", "run: no, it needs a GPU")) == Marks(why_not="it needs a GPU")
    assert marks_of(block("sh", "run: by scripts/test-image")) == Marks(by="scripts/test-image")


@pytest.mark.parametrize("comment", ["run: skip", "run: no", "run: no,", "run: exit", "run:"])
def test_a_mark_that_says_nothing_is_refused(comment: str) -> None:
    """A misspelt mark, or one without its reason, does not pass for none."""
    with pytest.raises(UnknownMarkError, match=r"page\.md:3"):
        marks_of(block("sh", comment))


@pytest.mark.parametrize("dealt_with", [block("sh"), block("text"), block("yaml"), block("go", "run: by go.mod")])
def test_what_is_known_how_to_deal_with_passes(dealt_with: Block) -> None:
    """A shell is run, a file is read, text is shown, and for the rest the page says who checks it."""
    assert list(faults_of(dealt_with)) == []


@pytest.mark.parametrize(
    ("stray", "says"),
    [
        (block(""), "no language"),
        (block("go"), "nothing checks"),
        (block("sh", "run: no, why", "run: by scripts/test"), "several"),
    ],
)
def test_nothing_is_skipped_in_silence(stray: Block, says: str) -> None:
    """A block that nobody would run or check is a fault of its page."""
    assert [says in fault for fault in faults_of(stray)] == [True]
