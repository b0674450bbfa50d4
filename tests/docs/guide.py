"""The migration guide: its entries by page, and the list of error texts that `docs/migrating.md` begins with.

``python -m tests.docs.guide`` writes that list anew.
"""

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.docs.blocks import Block, blocks_of
from tests.jobs import ROOT

INDEX: Final = ROOT / "docs" / "migrating.md"
FOLDER: Final = ROOT / "docs" / "migrating"
PAGES: Final = ("loading", "restoring", "converting", "calling", "serving", "gpus", "wrong-answers", "sizes")
"""In the order in which one meets them."""

MARKS: Final = ("<!-- the list, by python -m tests.docs.guide -->", "<!-- the end of the list -->")


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One symptom: what is searched for, what it means, what to type."""

    page: Path
    title: str
    text: str
    """All of it, as it is written."""

    blocks: tuple[Block, ...]

    @property
    def searched(self) -> tuple[str, ...]:
        """Return the lines of its first block: error texts, or what a silent error looks like."""
        return tuple(self.blocks[0].text.splitlines())

    @property
    def link(self) -> str:
        """Return where it is, from `INDEX`, with the anchor that forges make of a heading."""
        anchor = re.sub(r"[^\w\- ]", "", self.title.lower()).replace(" ", "-")
        return f"{FOLDER.name}/{self.page.name}#{anchor}"


def entries() -> tuple[Entry, ...]:
    """Return all entries in the order of the pages."""
    return tuple(entry for page in PAGES for entry in _entries(FOLDER / f"{page}.md"))


def _entries(page: Path) -> Iterator[Entry]:
    blocks = blocks_of(page, ROOT)
    for written in re.split(r"^## ", page.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]:
        title = written.splitlines()[0]
        yield Entry(page=page, title=title, text=written, blocks=tuple(one for one in blocks if one.heading == title))


def index() -> str:
    """Return the list of everything that is searched for, by page, as Markdown."""
    parts = [MARKS[0]]
    for page in PAGES:
        path = FOLDER / f"{page}.md"
        title = path.read_text(encoding="utf-8").splitlines()[0].removeprefix("# ")
        parts.append(f"\n## [{title}]({FOLDER.name}/{path.name})\n")
        parts += [f"- [{entry.title}]({entry.link})\n{_listed(entry)}" for entry in _entries(path)]
    return "\n".join([*parts, "", MARKS[1]])


def _listed(entry: Entry) -> str:
    """Write each text as code below its entry, within more backticks than it holds."""
    return "\n".join(
        f"  - {'`` ' if '`' in line else '`'}{line}{' ``' if '`' in line else '`'}" for line in entry.searched
    )


def with_index(page: str) -> str:
    """Return `INDEX` with the list as it must be."""
    before, rest = page.split(MARKS[0])
    return before + index() + rest.split(MARKS[1])[1]


if __name__ == "__main__":
    INDEX.write_text(with_index(INDEX.read_text(encoding="utf-8")), encoding="utf-8")
    sys.stdout.write(f"{len(entries())} entries\n")
