"""What README and docs/ tell their readers to type is typed here, by scripts/test-docs."""

import json
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from job.manifest import load_manifest
from tests.docs.blocks import Block, blocks_of
from tests.docs.marks import PARSED, PREFIX, SHOWN, Marks, faults_of, marks_of
from tests.docs.reader import Ended, Reader
from tests.docs.shown import missing
from tests.jobs import ROOT

pytest_plugins = ["tests.docs.store"]

PAGES: Final = tuple(sorted((ROOT / "README.md", ROOT / "cloud/README.md", *(ROOT / "docs").rglob("*.md"))))
BLOCKS: Final = tuple(block for page in PAGES for block in blocks_of(page, ROOT))

Told = Callable[[str, object], None]


def name_of(page: Path) -> str:
    """Name a page in a test's id."""
    return str(page.relative_to(ROOT))


def uses_store(blocks: Sequence[Block]) -> bool:
    """Tell whether blocks name something in a bucket."""
    return any("s3://" in block.text for block in blocks)


def typed_pages() -> Iterator[Any]:
    """Yield the pages that have blocks."""
    for page in PAGES:
        if blocks_of(page, ROOT):
            yield pytest.param(page, id=name_of(page))


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.place)
def test_every_block_is_dealt_with(block: Block) -> None:
    """A block that is neither run nor said to be something else could be wrong without anybody's knowing."""
    assert list(faults_of(block)) == []
    by = marks_of(block).by
    assert not by or (ROOT / by).is_file()


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_mark_belongs_to_a_block(page: Path) -> None:
    """A mark that drifted away from its block would be of no effect."""
    marks = page.read_text(encoding="utf-8").count(f"<!-- {PREFIX}")
    attached = [comment for block in blocks_of(page, ROOT) for comment in block.comments if comment.startswith(PREFIX)]
    assert marks == len(attached)


@pytest.mark.slow
@pytest.mark.skipif("TF1LIFT_TEST_DOCS" not in os.environ, reason="scripts/test-docs types the pages' commands")
@pytest.mark.parametrize("page", list(typed_pages()))
def test_a_page_s_blocks_do_what_it_says(
    page: Path, tmp_path: Path, request: pytest.FixtureRequest, record_property: Told
) -> None:
    """Every command ends with the code that the page claims, and prints what it shows."""
    blocks = blocks_of(page, ROOT)
    reader = Reader(tmp_path / "home", request.getfixturevalue("pages_store") if uses_store(blocks) else {})
    wrong = [fault for block in blocks for fault in deal_with(block, reader, record_property)]
    if wrong:
        pytest.fail("\n\n".join(wrong), pytrace=False)


def deal_with(block: Block, reader: Reader, tell: Told) -> list[str]:
    """Do with a block what its marks say, tell what was done, and return what is wrong with it."""
    marks = marks_of(block)
    for command in marks.first:
        ended = reader.type(command)
        if ended.code:
            return [f"{block.place}: `{command}` before it ended with {ended.code}:\n{ended.printed}"]
    done, wrong = _done(block, marks, reader)
    tell("block", (block.place, "FAILED" if wrong else done, _title(block)))
    return [f"{block.place}: {fault}" for fault in wrong]


def _done(block: Block, marks: Marks, reader: Reader) -> tuple[str, list[str]]:
    """Return how a block was dealt with, and what is wrong."""
    elsewhere = {
        "not run: ": marks.why_not,
        "checked by ": marks.by,
        "typed by the guide's own test, given ": marks.given,
    }
    if why := next((f"{how}{why}" for how, why in elsewhere.items() if why), ""):
        return why, []
    if marks.file:
        reader.keep(marks.file, block.text)
        return f"kept as {marks.file}", []
    if block.language in PARSED:
        _parse(block)
        return "parsed", []
    if block.language in SHOWN:
        return "shown only", []
    return _typed(block, marks, reader)


def _typed(block: Block, marks: Marks, reader: Reader) -> tuple[str, list[str]]:
    """Type a block's commands, the last of which may be said to fail."""
    checked, wrong = list[str](), list[str]()
    commands = block.commands()
    for command in commands:
        ended = reader.run_python(command.typed) if block.language == "python" else reader.type(command.typed)
        expected = marks.exit_code if command is commands[-1] else 0
        if ended.code != expected:
            wrong.append(f"ended with {ended.code}, not {expected}:\n{command.typed}{_last(ended)}")
            break
        if line := missing(command.shown, ended.printed):
            wrong.append(f"`{command.typed.strip()}` does not print\n  {line}\nbut\n{_last(ended)}")
        checked.append(ended.checked)
    return "; ".join(["ran", *filter(None, checked)]), wrong


def _parse(block: Block) -> None:
    """Read a file that a page shows; a manifest as the job reads it."""
    documents = [json.loads(block.text)] if block.language == "json" else list(yaml.safe_load_all(block.text))
    if any("artifacts" in document for document in documents):
        load_manifest(block.text, block.place)


def _last(ended: Ended) -> str:
    """Return the end of what was printed."""
    return ended.printed[-1500:]


def _title(block: Block) -> str:
    """Return a block's first line that says something."""
    lines = [line.strip() for line in block.text.splitlines() if line.strip() and not line.startswith("#")]
    return lines[0] if lines else ""
