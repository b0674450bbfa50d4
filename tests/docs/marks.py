"""What a page says to whoever runs it, in HTML comments before a block that its readers do not see.

    <!-- run: first, COMMAND -->   type this before, as the text around the block has asked for it in words
    <!-- run: exit 45 -->          the block ends with this code; 0 where nothing is said
    <!-- run: file models.yaml --> the reader keeps the block in a file of this name
    <!-- run: by tests/test_x.py --> it is not typed here: that file checks or does the same
    <!-- run: no, REASON -->       it is not typed here, and nothing else checks it
    <!-- run: given NAME -->       tests/docs/test_guide_commands.py types it, where a model of given.py lies in `in/`

Without any, a shell's or Python's block is run, YAML and JSON must parse, and ``text`` is only shown.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from tests.docs.blocks import Block

RUN: Final = ("python", "sh", "bash", "shell", "console")
PARSED: Final = ("yaml", "json")
SHOWN: Final = ("text",)
PREFIX: Final = "run:"


@dataclass(frozen=True, kw_only=True)
class Marks:
    """What is to be done with a block."""

    first: tuple[str, ...] = ()
    exit_code: int = 0
    file: str = ""
    by: str = ""
    why_not: str = ""
    given: str = ""


class UnknownMarkError(Exception):
    """A comment begins as a mark does, and is none."""


def marks_of(block: Block) -> Marks:
    """Read the comments before a block; raises `UnknownMarkError`."""
    said = [comment.removeprefix(PREFIX).strip() for comment in block.comments if comment.startswith(PREFIX)]
    words = [_split(mark, block) for mark in said]
    last = dict(words)
    return Marks(
        first=tuple(rest for word, rest in words if word == "first"),
        exit_code=int(last.get("exit", 0)),
        file=last.get("file", ""),
        by=last.get("by", ""),
        why_not=last.get("no", ""),
        given=last.get("given", ""),
    )


def faults_of(block: Block) -> Iterator[str]:
    """Yield what keeps a block from being dealt with: nobody would know what it is, or whether it holds."""
    marks = marks_of(block)
    if not block.language:
        yield "says no language: fence it, as ```sh, ```console, ```python, ```yaml or ```text"
    elif block.language not in (*RUN, *PARSED, *SHOWN) and not (marks.by or marks.file):
        yield f"is in {block.language}, which nothing checks: say `run: by FILE` or `run: file NAME`"
    if len([found for found in (marks.file, marks.by, marks.why_not, marks.given) if found]) > 1:
        yield "is said to be several of: kept in a file, checked elsewhere, not run"


def _split(mark: str, block: Block) -> tuple[str, str]:
    """Split a mark into its word and the rest."""
    word, _, rest = mark.replace(",", " ", 1).partition(" ")
    if word not in ("first", "exit", "file", "by", "no", "given") or not rest.strip():
        raise UnknownMarkError(f"{block.place}: `{PREFIX} {mark}` is no mark; tests/docs/marks.py lists them")
    return word, rest.strip()
