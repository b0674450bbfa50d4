import re

import pytest

from job.report.svg import COLOURS, inlined

DOCUMENT = """<?xml version="1.0" encoding="utf-8" standalone="no"?>
<!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN" "http://www.w3.org/Graphics/SVG/1.1/DTD/svg11.dtd">
<svg xmlns:xlink="http://www.w3.org/1999/xlink" width="328pt" height="210pt" viewBox="0 0 328 210" version="1.1">
 <defs>
  <style type="text/css">*{stroke-linejoin: round}</style>
 </defs>
 <g id="figure_1">
  <defs><path id="m1" d="M 0 3"/></defs>
  <use xlink:href="#m1" x="1" y="2" style="fill: COLOUR"/>
  <g clip-path="url(#p2)"/>
  <clipPath id="p2"/>
  <!-- 10 -->
  <text style="font-size: 11px; font-family: 'DejaVu Sans'; text-anchor: end" transform="rotate(-0 46 166)">10</text>
 </g>
</svg>
""".replace("COLOUR", COLOURS["candidate"])


def made(name: str = "errors") -> str:
    return str(inlined(DOCUMENT, name=name, title="a < b", description='"1" & 2'))


def test_what_a_page_has_already_is_left_out() -> None:
    """No prologue, no style for the whole page, no family or size of letters, no comments, no turns by 0."""
    svg = made()
    assert svg.startswith("<svg ")
    assert svg.endswith("</svg>")
    for needless in ("<?xml", "DOCTYPE", "<style", "font-", "<!--", "rotate("):
        assert needless not in svg
    assert '<text style="text-anchor: end">10</text>' in svg


def test_colours_are_those_of_the_page() -> None:
    """A dark page has others, so that only their names are in the plot."""
    assert 'style="fill: var(--candidate)"' in made()
    assert "#0000" not in made()


def test_names_inside_are_unique_in_a_page() -> None:
    """What something leads to has the plot's name before its own, and so has what leads there; no other is kept."""
    svg = made()
    names = re.findall(r' id="([^"]*)"', svg)
    assert names == ["errors-title", "errors-description", "errors-m1", "errors-p2"]
    assert 'xlink:href="#errors-m1"' in svg
    assert 'clip-path="url(#errors-p2)"' in svg
    assert not set(names) & set(re.findall(r' id="([^"]*)"', made("race")))


def test_who_cannot_see_it_is_told() -> None:
    """The plot is one image with a name and a description, which are escaped."""
    svg = made()
    assert 'role="img" aria-labelledby="errors-title errors-description"' in svg
    assert '<title id="errors-title">a &lt; b</title>' in svg
    assert '<desc id="errors-description">&#34;1&#34; &amp; 2</desc>' in svg


def test_it_is_as_large_as_it_was_drawn() -> None:
    """Pixels of the page, so that letters have their size."""
    assert 'width="328" height="210" viewBox="0 0 328 210"' in made()


def test_another_kind_of_document_is_refused() -> None:
    """A matplotlib that writes otherwise is noticed, and its document is not put into pages."""
    with pytest.raises(ValueError, match="viewBox"):
        inlined("<html>", name="n", title="t", description="d")
