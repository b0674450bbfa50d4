import io
import re
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest
from PIL import Image
from playwright.sync_api import Browser

from job import codec
from job.report import render_html
from tests import samples
from tests.browser.screenshots.__main__ import IMAGES, unsettled
from tests.browser.screenshots.models import MODELS, SHOWN, lay_out
from tests.browser.screenshots.pictures import COLOURS, LIMIT_BYTES, REPORT, Frame, picture, reduced
from tests.jobs import GOLDENS

TOTAL_BYTES: Final = 950_000
GREEN: Final = (23, 104, 58)
"""What ``--good`` is in the report's style, #17683a."""
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


@pytest.mark.browser
def test_the_picture_of_a_report_has_its_verdict_and_what_the_model_is(browser: Browser, tmp_path: Path) -> None:
    """Both are wholly in it, and it is small enough with all of its colours."""
    (tmp_path / "report.html").write_text(render_html(samples.PUBLISHED))
    page = browser.new_page(viewport={"width": REPORT.width, "height": REPORT.height})
    page.goto((tmp_path / "report.html").as_uri())
    page.add_style_tag(content=f"{REPORT.hidden} {{ display: none; }}")
    boxes = [page.locator(one).bounding_box() for one in (".verdict", "#model")]
    page.close()
    assert all(box is not None and box["y"] + box["height"] <= REPORT.height for box in boxes)
    taken = picture(browser, tmp_path / "report.html", REPORT, "light")
    assert GREEN in {colour for _, colour in colours_of(taken)}


@pytest.mark.parametrize("colours", COLOURS)
def test_a_thin_bar_keeps_its_colour(colours: int) -> None:
    """Where greys of text are a thousand times as many, the green of a verdict is still that green."""
    image = Image.linear_gradient("L").resize((600, 600)).convert("RGB")
    image.paste(GREEN, (10, 100, 12, 140))
    written = io.BytesIO()
    image.save(written, "PNG")
    found = {colour: count for count, colour in colours_of(reduced(written.getvalue(), colours))}
    assert found[GREEN] == 80
    assert 3 * colours // 4 <= len(found) <= colours


def colours_of(png: bytes) -> list[tuple[int, tuple[int, int, int]]]:
    """Return the colours of a picture, each with how many pixels have it."""
    return Image.open(io.BytesIO(png)).convert("RGB").getcolors(1 << 24) or []  # type: ignore[return-value]


@pytest.mark.skipif(not IMAGES.is_dir(), reason="scripts/screenshots has made no pictures yet")
def test_pictures_are_small_and_fetch_nothing() -> None:
    """Everybody who clones takes them along, and a page that shows them asks nobody else."""
    sizes = {path.name: path.stat().st_size for path in IMAGES.iterdir()}
    assert {name for name, size in sizes.items() if size > LIMIT_BYTES} == set()
    assert sum(sizes.values()) <= TOTAL_BYTES
    drawn = "".join(path.read_text(encoding="utf-8") for path in IMAGES.glob("*.svg"))
    assert "python -m job run" in re.sub(r"<[^>]*>", "", drawn).replace("&#160;", " ")
    assert re.findall(r"url\((?!#)|@import|@font-face|<script", drawn) == []


@pytest.mark.parametrize(("verdict", "is_said"), [("measured", False), ("unstable", True)])
def test_whoever_makes_pictures_hears_of_a_busy_machine(tmp_path: Path, verdict: str, *, is_said: bool) -> None:
    """The speed in them is the run's own, and where it did not settle that is said and not hidden."""
    place = tmp_path / "converted" / SHOWN / "plan" / "attempt"
    place.mkdir(parents=True)
    measured = replace(samples.BENCHMARK, verdict=verdict)  # type: ignore[arg-type]
    (place / "report.json").write_text(codec.dumps(replace(samples.PUBLISHED, benchmark=measured)))
    assert (SHOWN in unsettled(tmp_path)) == is_said


def test_the_model_in_the_pictures_is_one_of_tensorflow_1(tmp_path: Path) -> None:
    """Each model is a golden's and nothing else of that is there; the one that is shown was written by 1.15.5."""
    lay_out(tmp_path)
    assert all((tmp_path / name).exists() for name in MODELS.values())
    assert [path for path in tmp_path.rglob("*") if path.suffix == ".npz" or path.name == "case.json"] == []
    (golden,) = (golden for golden, name in MODELS.items() if name == SHOWN)
    assert "tensorflow 1.15.5" in (GOLDENS / golden).with_name("case.json").read_text()
