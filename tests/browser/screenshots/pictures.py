"""Pages as a browser shows them, as small PNGs."""

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image
from playwright.sync_api import Browser, ViewportSize

from tests.browser.looking import Scheme

LIMIT_BYTES: Final = 140_000
"""What one picture may take in a repository that everybody clones."""

COLOURS: Final = (256, 128, 64)
"""How many a picture may have, as far as `LIMIT_BYTES` allows."""

_VIVID: Final = 64  # between a colour's strongest and weakest part, of 255


@dataclass(frozen=True, kw_only=True)
class Frame:
    """What part of a page is taken, from its top or an element's, in CSS pixels; the picture has `scale` for each.

    What is `hidden` takes no room: a picture of a report's first parts leaves out the one that is long.
    """

    width: int
    height: int
    scale: float
    selector: str = "html"
    hidden: str = ""


REPORT: Final = Frame(width=860, height=980, scale=1.5, hidden="#loading")
SPEED: Final = Frame(width=860, height=900, scale=1.5, selector="#speed")
INDEX: Final = Frame(width=1080, height=700, scale=1.5)


def picture(browser: Browser, file: Path, frame: Frame, scheme: Scheme) -> bytes:
    """Return a page as a PNG of at most `LIMIT_BYTES`, by as many colours as that allows."""
    viewport = ViewportSize(width=frame.width, height=frame.height)
    page = browser.new_page(viewport=viewport, color_scheme=scheme, device_scale_factor=frame.scale)
    try:
        page.goto(file.resolve().as_uri())
        if frame.hidden:
            page.add_style_tag(content=f"{frame.hidden} {{ display: none; }}")
        page.locator(frame.selector).evaluate("(one) => one.scrollIntoView()")
        taken = page.screenshot()
    finally:
        page.close()
    made = [reduced(taken, colours) for colours in COLOURS]
    return next((small for small in made if len(small) <= LIMIT_BYTES), made[-1])


def reduced(png: bytes, colours: int) -> bytes:
    """Return a picture in its own most frequent colours, a quarter of them kept for vivid ones.

    A median cut makes a mean of what is rare, and a thin green bar grey.
    """
    pixels = np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))
    packed = pixels.astype(np.int64) @ (65536, 256, 1)
    values, places, counts = np.unique(packed, return_inverse=True, return_counts=True)
    found = np.stack([values >> 16, values >> 8 & 255, values & 255], axis=1)
    frequent = np.argsort(-counts, kind="stable")
    vivid = frequent[np.ptp(found[frequent], axis=1) > _VIVID][: colours // 4]
    palette = found[[*vivid, *frequent[~np.isin(frequent, vivid)][: colours - len(vivid)]]]
    nearest = np.argmin(((found[:, None] - palette) ** 2).sum(axis=2), axis=1).astype(np.uint8)
    image, small = Image.fromarray(nearest[places].reshape(packed.shape), "P"), io.BytesIO()
    image.putpalette(palette.astype(np.uint8).tobytes())
    image.save(small, "PNG", optimize=True)
    return small.getvalue()
