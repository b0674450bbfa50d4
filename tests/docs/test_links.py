"""What the documentation points at is there: pages, headings, files of the repository."""

import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Final

import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token

from tests.jobs import ROOT

PAGES: Final = tuple(
    sorted((*ROOT.glob("*.md"), ROOT / "cloud/README.md", *(ROOT / "docs").rglob("*.md")))  # the root's too
)
FILE: Final = re.compile(r"(?:\.\./)*((?:job|tests|scripts|k8s|cloud|docs)/[\w./*-]*[\w*])")
"""In code between backticks: what begins as a path of this repository, to its end."""


def tokens_of(page: Path) -> Iterator[Token]:
    """Yield what a page's text is made of, without its blocks of code."""
    for token in MarkdownIt().enable("table").parse(page.read_text(encoding="utf-8")):
        yield from token.children or ()


def links_of(page: Path) -> Iterator[str]:
    """Yield what a page links or shows as an image, but for other sites."""
    for token in tokens_of(page):
        target = str(token.attrGet("href" if token.type == "link_open" else "src") or "")
        if token.type in ("link_open", "image") and not re.match(r"[a-z]+:", target):
            yield target


def anchors_of(page: Path) -> set[str]:
    """Return the names by which forges link a page's headings."""
    tokens = MarkdownIt().parse(page.read_text(encoding="utf-8"))
    titles = [after.content for token, after in pairwise(tokens) if token.type == "heading_open"]
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    """A link to a page or heading that was renamed is found here and not by a reader."""
    for link in links_of(page):
        target, _, anchor = link.partition("#")
        place = (page.parent / target).resolve() if target else page
        assert place.exists(), link
        assert not anchor or anchor in anchors_of(place), link


def linked_from(page: Path) -> set[Path]:
    """Return the files that a page links."""
    return {(page.parent / link.partition("#")[0]).resolve() for link in links_of(page)}


def test_every_page_is_reached_from_the_index() -> None:
    """docs/README.md leads to each page, or to one of the same directory that does; what it does not is not found."""
    index = linked_from(ROOT / "docs/README.md")
    reached = index.union(*(linked_from(page) for page in index if page.parent == ROOT / "docs" and page in PAGES))
    pages = {page for page in PAGES if (ROOT / "docs") in page.parents} - {ROOT / "docs/README.md"}
    assert {str(page.relative_to(ROOT)) for page in pages - reached} == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_file_that_is_named_is_there(page: Path) -> None:
    """A path between backticks is that of a file or directory of the repository."""
    named = [found for token in tokens_of(page) if token.type == "code_inline" for found in FILE.findall(token.content)]
    assert [name for name in named if not list(ROOT.glob(name))] == []
