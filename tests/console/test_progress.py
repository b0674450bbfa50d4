import pytest

from job.console import progress
from job.console.progress import DISPLAYED, Progress
from job.events import EVENTS
from tests import samples
from tests.console.conftest import PlaceTerminal


def tell(shown: Progress) -> None:
    """Tell a display all that there is to tell."""
    shown.phase("lists a")
    shown.expect(1)
    shown.stage("unknown", "convert")
    shown.artifact_started("vision/resnet50")
    shown.stage("vision/resnet50", "convert", waits=True)
    shown.transfer("vision/resnet50", "publish", 1, lambda: 1)
    shown.archive_opened("a.zip", 3)
    shown.artifact_finished(samples.PUBLISHED)


def test_progress_is_silent_off_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """A log file gets no progress display, whatever is reported to it."""
    with progress(is_shown=True) as shown:
        tell(shown)
        shown.abandon()
    assert capsys.readouterr() == ("", "")


def test_progress_that_is_not_to_be_shown_is_silent(on_terminal: PlaceTerminal) -> None:
    """A terminal too gets nothing of a quiet run, nor between JSON lines."""
    err = on_terminal("stderr")
    with progress(is_shown=False) as shown:
        tell(shown)
    assert err.getvalue() == ""


def test_progress_takes_whatever_comes(on_terminal: PlaceTerminal) -> None:
    """What never started has a stage and an end, and counts."""
    err = on_terminal("stderr")
    with progress(is_shown=True) as shown:
        tell(shown)
    assert "vision/resnet50" in err.getvalue()


def test_what_comes_after_the_end_is_not_shown(on_terminal: PlaceTerminal) -> None:
    """Threads that were left behind when the job was told to end write into nobody's terminal."""
    err = on_terminal("stderr")
    with progress(is_shown=True) as shown:
        pass
    before = err.getvalue()
    tell(shown)
    assert err.getvalue() == before


def test_displayed_events_are_events() -> None:
    """One that was renamed would come between the lines again."""
    assert set(EVENTS) >= DISPLAYED
