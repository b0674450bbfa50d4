import re
import sys
import time
from typing import Final

import pytest

from tests.ptys import Seen, run_at_terminal, widest

CURSOR_HIDDEN, CURSOR_SHOWN = b"\x1b[?25l", b"\x1b[?25h"
STOP: Final = b"\x13"  # Ctrl-S
PROGRAM: Final = (sys.executable, "-m", "tests.console.shown")
COLOUR: Final = re.compile(r"\x1b\[[\d;]*3\d[;\dm]")


def show(what: str, columns: int = 80, extra: dict[str, str] | None = None, interrupt_at: str = "") -> Seen:
    """Show a display of `tests.console.shown` at a terminal."""
    return run_at_terminal(what, columns=columns, extra=extra, program=PROGRAM, interrupt_at=interrupt_at)


@pytest.fixture(scope="module")
def seen() -> Seen:
    """What a terminal of 80 columns gets."""
    return show("work")


def test_the_run_says_what_it_is_at_before_there_is_work(seen: Seen) -> None:
    """TensorFlow takes seconds to start."""
    assert re.search(r"^. starts TensorFlow, 0 s$", "\n".join(seen.screen(until="TensorFlow, 0 s")), re.MULTILINE)


def test_a_transfer_is_shown_with_share_rate_and_time_left(seen: Seen) -> None:
    """In the line of its artifact."""
    assert re.search(r"vision/resnet50 +\d s  pull, \d+% of 400\.0 MB, \d s left, \d+\.\d MB/s", seen.text)


def test_a_stage_is_shown_with_what_it_waits_for_or_takes(seen: Seen) -> None:
    """One that waits for its turn is not one that hangs; one that measures has a budget."""
    assert "race variants, waits for its turn" in seen.text
    assert "race variants, 0 s of about 54 s" in seen.text


def test_the_whole_run_has_its_line(seen: Seen) -> None:
    """How many are done, how many failed, and how many are at work."""
    assert "0 of 5 done; 1 at work, " in seen.text
    assert "2 of 5 done, 1 failed; 0 at work, " in seen.text


def test_what_has_ended_stays_and_what_was_at_work_goes(seen: Seen) -> None:
    """The scrollback tells the story: a line for each artifact in the order of their ends, and log lines, whole."""
    lines = seen.screen()
    assert [line[0] for line in lines[-2:]] == ["✓", "✗"]
    assert " ".join(lines[:-2]).count("a crash") == 20
    assert not any("at work" in line for line in lines)


def test_an_event_that_the_display_tells_is_not_logged_as_well(seen: Seen) -> None:
    """It would come between the lines, and say the same."""
    assert "stage_retried" in seen.text
    assert "stage_ended" not in seen.text


@pytest.mark.parametrize("columns", [60, 80, 200])
def test_no_line_wraps(columns: int) -> None:
    """A line that wraps would not be taken back when the next picture is drawn."""
    ended = show("work", columns)
    drawn = re.sub(r"\x1b\[[?\d;]*[a-zA-Z]", "", ended.text).replace("\r", "\n").splitlines()
    assert ended.code == 0
    assert widest(drawn) <= columns
    assert "race variants" in ended.text


def test_a_long_table_is_not_torn_by_the_display() -> None:
    """What is printed above the picture in one piece has its own lines and no others."""
    rows = [line for line in show("long").screen() if "family" in line or "xxx" in line]
    assert len(rows) == 300
    assert all(re.fullmatch(r"family/model-\d{3} +x{40}", line) for line in rows)


def test_a_stopped_terminal_stops_no_run() -> None:
    """After Ctrl-S, or where the line to a terminal hangs, artifacts end, and so does the process."""
    begun_s = time.monotonic()
    assert run_at_terminal("crowd", program=PROGRAM, type_at=("at work", STOP)).code == 0
    assert time.monotonic() - begun_s < 30


def test_a_terminal_that_was_stopped_before_stops_no_run_either() -> None:
    """The first picture waits for the terminal, as all others do, and nothing waits for it."""
    begun_s = time.monotonic()
    assert run_at_terminal("crowd", program=PROGRAM, type_at=("", STOP)).code == 0
    assert time.monotonic() - begun_s < 30


@pytest.mark.slow
def test_two_hundred_artifacts_flood_nothing() -> None:
    """Each leaves one line, and no picture has more lines than there are artifacts at work, and the run's own."""
    ended = show("crowd", columns=100)
    assert sum(line.startswith("✓") for line in ended.screen()) == 200
    heights = [len(re.findall(r"\x1b\[1A", run)) for run in re.findall(r"(?:\r|\x1b\[2K|\x1b\[1A)+", ended.text)]
    assert max(heights) <= 9
    assert len(ended.raw) < 200_000


def test_the_cursor_is_back_after_an_interrupt() -> None:
    """A terminal is left as it was: nothing of the picture, and a cursor."""
    ended = show("interrupted", interrupt_at="0 of 1 done")
    assert ended.code == 75
    assert ended.raw.rindex(CURSOR_HIDDEN) < ended.raw.rindex(CURSOR_SHOWN)
    assert not any("of 1 done" in line for line in ended.screen())


def test_the_cursor_is_back_where_the_process_ends_at_once() -> None:
    """After a second signal nobody takes the picture back; the cursor is shown all the same."""
    ended = show("abandoned")
    assert ended.code == 75
    assert ended.raw.count(CURSOR_HIDDEN) == 1
    assert ended.raw.rstrip().endswith(CURSOR_SHOWN)


def test_no_color_means_none() -> None:
    """https://no-color.org: the picture is drawn, without colours."""
    ended = show("work", extra={"NO_COLOR": "1"})
    assert COLOUR.search(ended.text) is None
    assert CURSOR_HIDDEN in ended.raw
    assert COLOUR.search(show("work").text) is not None


def test_a_dumb_terminal_gets_lines_alone() -> None:
    """One that cannot move its cursor is told what has ended, without a control character."""
    ended = show("work", extra={"TERM": "dumb"})
    assert b"\x1b" not in ended.raw
    assert [line[0] for line in ended.screen() if line[0] in "✓✗"] == ["✓", "✗"]
    assert "at work" not in ended.text
