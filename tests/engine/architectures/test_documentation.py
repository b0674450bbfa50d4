from pathlib import Path

from job.engine.architectures.__main__ import table

PAGE = Path(__file__).parents[3] / "docs" / "architectures.md"


def test_the_page_lists_what_is_known() -> None:
    """``python -m job.engine.architectures`` prints the page's table, so that no scheme is told that is not there."""
    assert table() in PAGE.read_text(encoding="utf-8")
