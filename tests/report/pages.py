"""Pages as a reader has them: the text, the tags, and whether these are closed in their turn."""

from html.parser import HTMLParser

from job.records import ArtifactReport
from job.report import render_html

VOID = {"meta", "br", "input", "hr", "img", "link"}


class Page(HTMLParser):
    """The text of a page, the tags it is made of, and whether each is closed in its turn."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.words: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self._open: list[str] = []
        self.feed(html)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note a tag."""
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        """Check that the innermost open tag is closed."""
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        """Note text that a reader sees: not that of a style sheet, and not what stands for a plot."""
        if not {"style", "title", "desc"} & {*self._open}:
            self.words.append(data)

    @property
    def text(self) -> str:
        """Return all text on one line."""
        return " ".join(" ".join(self.words).split())

    def all(self, tag: str) -> list[dict[str, str | None]]:
        """Return the attributes of each tag of a kind."""
        return [attributes for name, attributes in self.tags if name == tag]


def page(report: ArtifactReport) -> Page:
    """Return the page of a report."""
    return Page(render_html(report))
