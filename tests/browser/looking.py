"""What is wrong with a page, seen by a browser: errors, requests, parts that do not fit, and what axe-core finds."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from typing import Final, Literal, NamedTuple

from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Browser, Page, ViewportSize

Scheme = Literal["light", "dark"]


class View(NamedTuple):
    """How wide a window is, in CSS pixels, and what its user likes."""

    width: int
    scheme: Scheme


SCHEMES: Final[tuple[Scheme, ...]] = ("light", "dark")
VIEWS: Final = tuple(View(width, scheme) for scheme, width in product(SCHEMES, (360, 800, 1600)))
EXTREMES: Final = (VIEWS[0], VIEWS[-1])
_HEIGHT: Final = 900
_PAPER: Final = ViewportSize(width=673, height=987)  # A4 at 96 dots an inch, less the margins that the pages ask for

_WIDER: Final = """() => {
  const root = document.documentElement;
  return root.scrollWidth > root.clientWidth ? [`${root.scrollWidth} px of ${root.clientWidth}`] : [];
}"""

_CUT: Final = """() => [...document.querySelectorAll("main *:not(svg *)")].filter((one) => {
  const style = getComputedStyle(one), box = one.getBoundingClientRect();
  const scrolls = style.overflowX !== "visible" && one.scrollWidth > one.clientWidth + 1;
  return box.width > 1 && (scrolls || box.right > document.documentElement.clientWidth + 1);
}).filter((one, _, all) => !all.some((other) => other !== one && other.contains(one)))
  .map((one) => `<${one.tagName.toLowerCase()}> ${one.textContent.trim().slice(0, 40)}`)"""

_AXE: Final = """async () => (await axe.run({resultTypes: ["violations"]})).violations.map((one) =>
  `${one.id}: ${one.help}: ${one.nodes.slice(0, 3).map((node) => node.target.join(" ")).join(", ")}`)"""


def faults(browser: Browser, file: Path, asked: Sequence[View] = VIEWS) -> list[str]:
    """Return what is wrong with a page in every view and on paper; axe-core looks at the views that are `asked`."""
    page = browser.new_page(viewport={"width": VIEWS[0].width, "height": _HEIGHT})
    try:
        with _noted(page, file.resolve().as_uri()) as noted:
            page.goto(file.resolve().as_uri())
            seen = [*_on_screen(page, asked), *_on_paper(page)]
        return [*noted, *seen]
    finally:
        page.close()


@contextmanager
def _noted(page: Page, address: str) -> Iterator[list[str]]:
    """Note what goes wrong by itself: the console's errors and warnings, and what is asked for beyond the page."""
    noted: list[str] = []
    page.on("console", lambda said: noted.append(f"{said.type}: {said.text}") if said.type != "log" else None)
    page.on("pageerror", lambda error: noted.append(f"error: {error}"))
    page.on("request", lambda asked: noted.append(f"request: {asked.url}") if asked.url != address else None)
    yield noted


def _on_screen(page: Page, asked: Sequence[View]) -> Iterator[str]:
    page.evaluate(AXE_SCRIPT)
    for view in VIEWS:
        page.emulate_media(color_scheme=view.scheme)
        page.set_viewport_size({"width": view.width, "height": _HEIGHT})
        where = f"at {view.width} px, {view.scheme}"
        yield from (f"{where}: the page scrolls sideways: {one}" for one in page.evaluate(_WIDER))
        if view in asked:
            yield from (f"{where}: {one}" for one in page.evaluate(_AXE))


def _on_paper(page: Page) -> Iterator[str]:
    page.emulate_media(media="print", color_scheme="light")
    page.set_viewport_size(_PAPER)
    yield from (f"on paper: cut off: {one}" for one in page.evaluate(_CUT))
