import io
import re
from pathlib import Path
from typing import Final

import pytest
from PIL import Image
from playwright.sync_api import Browser

from tests.browser.screenshots.__main__ import IMAGES
from tests.browser.screenshots.pictures import LIMIT_BYTES, Frame, picture

TOTAL_BYTES: Final = 700_000
FRAME: Final = Frame(width=200, height=100, scale=1.5, selector="h2")
PAGE: Final = """<!doctype html><meta name="color-scheme" content="light dark"><title>A page</title>
<h1 style="height: 2000px">Above</h1><h2>Below</h2><p style="height: 2000px">It.</p>"""


@pytest.mark.browser
def test_a_picture_shows_what_was_asked_for(browser: Browser, tmp_path: Path) -> None:
    """It has the frame's size, begins with the element, and is light or dark."""
    (tmp_path / "page.html").write_text(PAGE)
    taken = {scheme: picture(browser, tmp_path / "page.html", FRAME, scheme) for scheme in ("light", "dark")}
    images = {scheme: Image.open(io.BytesIO(png)).convert("L") for scheme, png in taken.items()}
    assert [image.size for image in images.values()] == [(300, 150)] * 2
    assert images["light"].tobytes()[-1] > images["dark"].tobytes()[-1]
    assert min(images["light"].crop((0, 0, 300, 60)).tobytes()) < 128  # the heading's letters


@pytest.mark.skipif(not IMAGES.is_dir(), reason="scripts/screenshots has made no pictures yet")
def test_pictures_are_small_and_fetch_nothing() -> None:
    """Everybody who clones takes them along, and a page that shows them asks nobody else."""
    sizes = {path.name: path.stat().st_size for path in IMAGES.iterdir()}
    assert {name for name, size in sizes.items() if size > LIMIT_BYTES} == set()
    assert sum(sizes.values()) <= TOTAL_BYTES
    drawn = "".join(path.read_text(encoding="utf-8") for path in IMAGES.glob("*.svg"))
    assert "python -m job run" in re.sub(r"<[^>]*>", "", drawn).replace("&#160;", " ")
    assert re.findall(r"url\((?!#)|@import|@font-face|<script", drawn) == []
