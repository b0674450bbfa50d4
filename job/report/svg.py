"""matplotlib's SVG as a part of a page: in its colours and fonts, with names that are unique in it."""

import re
from typing import Final

from markupsafe import Markup, escape

_NAMES: Final = ("ink", "soft", "line", "ground", "exact", "as-run", "baseline", "candidate", "fast")

COLOURS: Final = {name: f"#0000{number:02x}" for number, name in enumerate(_NAMES, 1)}
"""What is drawn in these becomes a colour of the page's style sheet: those of a light page, or of a dark one."""

_ROOT: Final = re.compile(r'<svg\b[^>]*\bviewBox="0 0 (?P<width>[\d.]+) (?P<height>[\d.]+)"[^>]*>')
_STYLE: Final = re.compile(r"\s*<style\b.*?</style>\s*", re.DOTALL)
_ID: Final = re.compile(r' id="([^"]*)"')
_USED: Final = re.compile(r'(?:url\(#|href="#)([^")]*)')
_NEEDLESS: Final = re.compile(
    r"""font-family: [^;"]*; |font-size: [^;"]*; | transform="rotate\(-?0 [^"]*\)\"|<!--.*?-->""", re.DOTALL
)
"""A family that a reader need not have, the one size that all texts have, and turns by nothing."""


def inlined(document: str, *, name: str, title: str, description: str) -> Markup:
    """Return a document of matplotlib's as an element for a page, which tells its `description` to who cannot see it.

    `name` is unique in the page, and begins every name inside.
    """
    root = _ROOT.search(document)
    if root is None:
        raise ValueError("matplotlib wrote no <svg> with a viewBox from 0 0 on")
    body = _STYLE.sub("", document[root.end() :])
    body = _NEEDLESS.sub("", _named(body, name))
    for colour, hexadecimal in COLOURS.items():
        body = body.replace(hexadecimal, f"var(--{colour})")
    width, height = (round(float(root[side])) for side in ("width", "height"))
    return Markup(  # noqa: S704 - the figure's own text is escaped by matplotlib
        f'<svg role="img" aria-labelledby="{name}-title {name}-description" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink">'
        f'<title id="{name}-title">{escape(title)}</title><desc id="{name}-description">{escape(description)}</desc>'
        f"{_compact(body)}"
    )


def _named(body: str, name: str) -> str:
    """Prefix the names that something leads to, and take the others away."""
    used = set(_USED.findall(body))
    body = _ID.sub(lambda found: f' id="{name}-{found[1]}"' if found[1] in used else "", body)
    return _USED.sub(lambda found: f"{found[0].removesuffix(found[1])}{name}-{found[1]}", body)


def _compact(body: str) -> str:
    """Leave out the ends of lines, and groups that group nothing."""
    body = re.sub(r"\s*\n\s*", " ", body).replace("> <", "><").strip()
    return body.replace("<defs></defs>", "")
