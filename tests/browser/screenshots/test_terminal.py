import os
import re
import sys

import pytest

from tests.browser.screenshots.terminal import Recording, Screen, record

LIVE = """
import sys, time
from rich.console import Console
from rich.live import Live
from rich.text import Text
with Live("one", console=Console(), auto_refresh=False, transient=True) as live:
    for text in ("one\\ntwo\\nthree", "one\\ntwo\\nfour", "one \\u2588"):
        live.update(Text(text, style="green"), refresh=True)
        time.sleep(0.6)
print("the end", sys.stdin.isatty(), *"abcdef", sep="\\n")
sys.exit(3)
"""


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Recording:
    """Record a program with a live display."""
    arguments, environment = (sys.executable, "-c", LIVE), {"PATH": os.environ["PATH"], "TERM": "xterm-256color"}
    directory = tmp_path_factory.mktemp("terminal")
    return record(arguments, command="watch", columns=40, directory=directory, environment=environment)


def plain(text: str) -> str:
    return re.sub(r"\x1b\[[\d;]*m", "", text)


def test_a_program_believes_in_its_terminal(recording: Recording) -> None:
    """It is shown as its users see it: a live display at its largest, and at the end what is left of it."""
    assert recording.code == 3
    assert plain(recording.busiest()) == "one\ntwo\nfour"
    assert recording.last() == "the end\nTrue\na\nb\nc\nd\ne\nf"


def test_a_picture_is_text_and_fetches_nothing(recording: Recording) -> None:
    """What was typed and what was shown can be found in the SVG, and no font comes from elsewhere."""
    svg = recording.svg(recording.busiest())
    words = re.sub(r"<[^>]*>", " ", svg)
    assert all(one in words for one in ("watch", "one", "two", "four"))
    assert re.findall(r"url\((?!#)|@import|@font-face|https?://(?!www\.w3\.org/|www\.textualize\.io)", svg) == []


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("one\r\ntwo\r\n", "one\ntwo"),
        ("one\n\x1b[2K\x1b[1A\x1b[2Ktwo", "two"),
        ("\x1b[?25lone\r\x1b[2Ktwo\x1b[?25h", "two"),
        ("\x1b[1mone\x1b[0m", "\x1b[1mone\x1b[0m"),
        ("\x1b[A\x1b[Kone", "one"),
    ],
)
def test_the_screen_shows_what_was_not_cleared(written: str, shown: str) -> None:
    """Lines that are cleared and written again are there once, with their colours."""
    screen = Screen()
    screen.write(written)
    assert screen.text == shown
