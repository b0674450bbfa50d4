"""The code blocks of a page, as its reader sees them, with what the page says of each in comments that nobody sees."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from markdown_it import MarkdownIt
from markdown_it.token import Token

SHELLS: Final = ("sh", "bash", "shell", "console")
"""What a fence calls commands: ``console`` shows them after a ``$``, with what they print; the others are scripts."""

_COMMENT: Final = re.compile(r"\s*<!--\s*(.*?)\s*-->\s*", re.DOTALL)


@dataclass(frozen=True, kw_only=True)
class Block:
    """One code block of a page."""

    page: Path
    line: int
    """Where it begins on the page, counted from 1."""

    language: str
    """What its fence says, without what follows the first space; empty where it is indented or says nothing."""

    text: str
    heading: str
    """What it stands under; empty before the first heading."""

    comments: tuple[str, ...] = ()
    """The HTML comments directly before it, without their marks."""

    @property
    def place(self) -> str:
        """Name the block as compilers do, by page and line."""
        return f"{self.page}:{self.line}"

    @property
    def is_shell(self) -> bool:
        """Tell whether it holds commands."""
        return self.language in SHELLS

    def commands(self) -> tuple["Command", ...]:
        """Return the commands in order: a script's are one, a console's one for each ``$``."""
        if self.language != "console":
            return (Command(typed=self.text, shown=""),)
        entries = re.split(r"^\$ ", self.text, flags=re.MULTILINE)
        return tuple(_command(entry) for entry in entries if entry.strip())


@dataclass(frozen=True, kw_only=True)
class Command:
    """What a reader types, and what the page says appears then; nothing shown, nothing claimed."""

    typed: str
    shown: str


def blocks_of(page: Path, root: Path) -> tuple[Block, ...]:
    """Return the code blocks of a Markdown file in order; their places are told from `root`."""
    tokens = MarkdownIt().parse(page.read_text(encoding="utf-8"))
    return tuple(_blocks(tokens, page.relative_to(root)))


def _blocks(tokens: Sequence[Token], page: Path) -> Iterator[Block]:
    heading, comments = "", list[str]()
    for token, after in zip(tokens, [*tokens[1:], None], strict=True):
        if token.type == "heading_open" and after:
            heading = after.content
        if token.type in ("fence", "code_block") and token.map:
            yield Block(
                page=page,
                line=token.map[0] + 1,
                language=next(iter(token.info.split()), ""),
                text=token.content,
                heading=heading,
                comments=tuple(comments),
            )
        comments = [*comments, *_COMMENT.findall(token.content)] if token.type == "html_block" else []


def _command(entry: str) -> Command:
    """Split a console's entry: lines that end in a backslash go on, and what comes after is shown."""
    lines = entry.splitlines(keepends=True)
    last = next((number for number, line in enumerate(lines) if not line.endswith("\\\n")), len(lines) - 1)
    return Command(typed="".join(lines[: last + 1]), shown="".join(lines[last + 1 :]))
