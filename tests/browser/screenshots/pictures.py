"""Pages as a browser shows them, as small PNGs."""

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from PIL import Image
from playwright.sync_api import Browser, ViewportSize

from tests.browser.looking import Scheme

LIMIT_BYTES: Final = 84_000
"""What one picture may take in a repository that everybody clones."""

_COLOURS: Final = (256, 128, 64, 32)


@dataclass(frozen=True, kw_only=True)
class Frame:
    """What part of a page is taken, from its top or an element's, in CSS pixels; the picture has `scale` for each."""

    width: int
    height: int
    scale: float
    selector: str = "html"


DESKTOP: Final = Frame(width=1080, height=900, scale=1.5)
PHONE: Final = Frame(width=390, height=1200, scale=1.5)
SPEED: Final = Frame(width=1080, height=900, scale=1.5, selector="#speed")
INDEX: Final = Frame(width=1080, height=700, scale=1.5)


def picture(browser: Browser, file: Path, frame: Frame, scheme: Scheme) -> bytes:
    """Return a page as a PNG of at most `LIMIT_BYTES`, by as many colours as that allows."""
    viewport = ViewportSize(width=frame.width, height=frame.height)
    page = browser.new_page(viewport=viewport, color_scheme=scheme, device_scale_factor=frame.scale)
    try:
        page.goto(file.resolve().as_uri())
        page.locator(frame.selector).evaluate("(one) => one.scrollIntoView()")
        taken = page.screenshot()
    finally:
        page.close()
    made = (_reduced(taken, colours) for colours in _COLOURS)
    return next((small for small in made if len(small) <= LIMIT_BYTES), _reduced(taken, _COLOURS[-1]))


def _reduced(png: bytes, colours: int) -> bytes:
    image, small = Image.open(io.BytesIO(png)).convert("RGB"), io.BytesIO()
    image.quantize(colours, dither=Image.Dither.NONE).save(small, "PNG", optimize=True)
    return small.getvalue()
