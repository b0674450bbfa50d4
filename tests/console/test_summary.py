from dataclasses import replace
from unittest.mock import Mock

import pytest

from job.console import summary
from job.console.printing import drawn
from job.records import LeftAlone
from job.summary import RunSummary
from tests import samples
from tests.console.conftest import PlaceTerminal

RUN = RunSummary(run="r", shard_index=0, shard_count=1, exit_code=40, wall_s=1.0, reports=tuple(samples.REPORTS))
BROKEN = "broken/frozen: the GraphDef is truncated at byte 1024; s3://models/broken/frozen.pb; upload it again"
INDEX = "All reports: out/_runs/r/index-0.html"


def test_summary_has_a_line_for_each_artifact(capsys: pytest.CaptureFixture[str]) -> None:
    """Name, status, error and ratio stand in one line, and what failed is explained below the table."""
    summary.print_end(RUN, "out/")
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert " ".join(lines[1].split()) == "vision/resnet50 published 3.1e-07 1.18x (1.15 to 1.21), batch 8"
    assert " ".join(lines[5].split()) == "broken/frozen not published - -"
    assert BROKEN in lines
    assert err == ""


def test_summary_prints_no_speed_of_what_failed(capsys: pytest.CaptureFixture[str]) -> None:
    """The benchmark of an artifact without parity stays out of the table."""
    summary.print_summary([samples.PARITY_FAILED, samples.UNPROVEN])
    assert "x (" not in capsys.readouterr().out


def test_quiet_summary_is_what_failed_and_the_last_line(capsys: pytest.CaptureFixture[str]) -> None:
    """Whoever wants to hear of failures alone hears of nothing else, but for where to read on."""
    reports = (samples.PUBLISHED, samples.BROKEN)
    summary.print_end(replace(RUN, reports=reports), "out", is_quiet=True)
    out = capsys.readouterr().out
    assert out == f"\n{BROKEN}\n\n1 published, 1 failed, exit code 40. {INDEX}\n"


def test_summary_ends_with_how_many_are_unproven(capsys: pytest.CaptureFixture[str]) -> None:
    """What was published uncompared, now or before, is counted; what failed is not published."""
    before = replace(samples.UNPROVEN, status="already_published")
    failed = replace(samples.UNPROVEN, status="not_published", error=samples.BROKEN.error)
    reports = (samples.PUBLISHED, samples.UNPROVEN, before, failed)
    summary.print_last(replace(RUN, reports=reports), "out")
    told = "2 published, 1 published before, 1 failed, 2 of the published unproven, exit code 40. "
    assert capsys.readouterr().out == f"\n{told}{INDEX}\n"


@pytest.mark.parametrize(("count", "words"), [(0, ""), (1, "1 object was"), (1200, "1,200 objects were")])
def test_summary_ends_with_the_way_to_the_reports(capsys: pytest.CaptureFixture[str], count: int, words: str) -> None:
    """A person is told what became of how many, where to read on, and that some objects were left alone."""
    left_alone = (LeftAlone(key="x", reason="no model"),) * count
    ended = replace(RUN, reports=(samples.PUBLISHED, samples.ALREADY_PUBLISHED), exit_code=0, left_alone=left_alone)
    summary.print_last(ended, "out")
    why = f"; it says why {words} left alone" if count else ""
    assert capsys.readouterr().out == f"\n1 published, 1 published before. {INDEX}{why}\n"


def test_a_terminal_shows_what_to_do_in_a_line_of_its_own(on_terminal: PlaceTerminal) -> None:
    """There the parts of an error stand below each other, indented where they are folded."""
    out = on_terminal("stdout")
    summary.print_failures([samples.BROKEN])
    lines = [line.rstrip() for line in out.getvalue().splitlines()]
    assert "broken/frozen" in lines[1]
    assert lines[2] == "  the GraphDef is truncated at byte 1024; s3://models/broken/frozen.pb"
    assert lines[3].endswith("upload it again")


def test_many_failures_are_drawn_at_once(on_terminal: PlaceTerminal, monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal is measured and a pen made once for all: thousands of failures are told in a second."""
    out = on_terminal("stdout")
    pens = Mock(side_effect=drawn)
    monkeypatch.setattr(summary, "drawn", pens)
    summary.print_failures([samples.BROKEN, samples.PUBLISHED, samples.BROKEN])
    pens.assert_called_once()
    blocks = [line.rstrip() for line in out.getvalue().splitlines()]
    assert blocks[:4] == blocks[4:]
    assert blocks[0] == ""


def test_without_failures_nothing_is_printed(on_terminal: PlaceTerminal) -> None:
    """Not even an empty line."""
    out = on_terminal("stdout")
    summary.print_failures([samples.PUBLISHED])
    assert out.getvalue() == ""
