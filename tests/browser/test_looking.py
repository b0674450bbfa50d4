from pathlib import Path
from typing import Final

import pytest
from playwright.sync_api import Browser

from tests.browser.looking import faults

pytestmark = pytest.mark.browser

PAGE: Final = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>A page</title>
<meta name="viewport" content="width=device-width"><link rel="icon" href="data:,"></head>
<body><main><h1>A page</h1>{}</main></body></html>"""

FLAWS: Final = {
    "an error in a script": ("<script>nowhere()</script>", "nowhere is not defined"),
    "a refused request": ('<img alt="" src="nowhere.png">', "request: file:"),
    "another host": ('<img alt="" src="https://host.invalid/a.png">', "request: https://host.invalid/a.png"),
    "a wide table": ('<p style="width: 500px">wide</p>', "at 360 px, light: the page scrolls sideways: 508 px"),
    "an image without words": ('<img src="data:image/gif;base64,R0lGODlhAQABAAAAACwAAAAAAQABAAA=">', "image-alt: "),
    "pale words in the dark": (
        "<style>@media (prefers-color-scheme: dark) { p { color: #ddd } }</style><p>pale</p>",
        "dark: color-contrast: ",
    ),
    "a table cut on paper": (
        '<div tabindex="0" style="overflow-x: auto"><p style="width: 900px">long</p></div>',
        "on paper: cut off: <div> long",
    ),
}


@pytest.mark.parametrize(("flaw", "told"), FLAWS.values(), ids=FLAWS)
def test_a_flaw_is_found(browser: Browser, tmp_path: Path, flaw: str, told: str) -> None:
    """What the reports are held to does find what is wrong, or nothing that it passes would mean a thing."""
    (tmp_path / "page.html").write_text(PAGE.format(flaw))
    found = faults(browser, tmp_path / "page.html")
    assert any(told in one for one in found), found


def test_a_plain_page_has_none(browser: Browser, tmp_path: Path) -> None:
    """Nothing is found where nothing is wrong."""
    (tmp_path / "page.html").write_text(PAGE.format("<p>Fine.</p>"))
    assert faults(browser, tmp_path / "page.html") == []
