import io
import sys
from collections.abc import Callable
from dataclasses import replace

import pytest

from job import console
from job.inspection import Inspected
from job.records import Artifact, Format, LeftAlone, Listing, SourceSummary, StoredObject
from tests import samples

LISTING = Listing(
    artifacts=(samples.ARTIFACT, replace(samples.BROKEN.artifact, problem=samples.BROKEN.error)),
    left_alone=(LeftAlone(key="README.md", reason="no model"),),
)


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        """Return True."""
        return True


@pytest.fixture
def on_terminal(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Terminal]:
    """Return what makes a standard stream a wide terminal."""
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)

    def place(name: str) -> Terminal:
        terminal = Terminal()
        monkeypatch.setattr(sys, name, terminal)
        return terminal

    return place


def test_summary_has_a_line_for_each_artifact(capsys: pytest.CaptureFixture[str]) -> None:
    """Name, status, error and ratio stand in one line, and what failed is explained below the table."""
    console.print_summary(samples.REPORTS)
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert " ".join(lines[1].split()) == "vision/resnet50 published 3.1e-07 1.18x (1.15 to 1.21), batch 8"
    assert " ".join(lines[5].split()) == "broken/frozen not published - -"
    assert (
        "broken/frozen: the GraphDef is truncated at byte 1024; s3://models/broken/frozen.pb; upload it again" in lines
    )
    assert err == ""


def test_summary_prints_no_speed_of_what_failed(capsys: pytest.CaptureFixture[str]) -> None:
    """The benchmark of an artifact without parity stays out of the table."""
    console.print_summary([samples.PARITY_FAILED, samples.UNPROVEN])
    assert "x (" not in capsys.readouterr().out


@pytest.mark.parametrize(("count", "words"), [(0, ""), (1, "1 object was"), (1200, "1,200 objects were")])
def test_summary_ends_with_the_way_to_the_reports(capsys: pytest.CaptureFixture[str], count: int, words: str) -> None:
    """A person at a terminal is told where to read on, and that some objects were left alone."""
    console.print_index("out/_runs/r/index-0.html", count)
    why = f"; it says why {words} left alone" if count else ""
    assert capsys.readouterr().out == f"\nAll reports: out/_runs/r/index-0.html{why}\n"


def test_columns_are_aligned(capsys: pytest.CaptureFixture[str]) -> None:
    """Each cell begins below its heading."""
    console.print_summary([samples.PUBLISHED, samples.BROKEN])
    head, first, second = capsys.readouterr().out.splitlines()[:3]
    assert first.index("published") == second.index("not published") == head.index("status")


def test_listing_says_what_would_be_done(capsys: pytest.CaptureFixture[str]) -> None:
    """What can be converted, what cannot with code and remedy, and what is no model with the reason."""
    console.print_listing(LISTING)
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split(maxsplit=4) == ["vision/resnet50", "SavedModel", "102.4", "MB", "convert, verify, publish"]
    assert lines[2].endswith(
        "nothing, code 40: the GraphDef is truncated at byte 1024; s3://models/broken/frozen.pb; upload it again"
    )
    assert lines[-1].split(maxsplit=1) == ["README.md", "no model"]


def test_listing_says_which_checkpoints_have_no_graph(capsys: pytest.CaptureFixture[str]) -> None:
    """Whether it can be converted, only its engine knows; one that borrows a graph is like any other."""
    objects = tuple(StoredObject(key=f"m.{part}", size_bytes=1) for part in ("data-00000-of-00001", "index"))
    bare = Artifact(name="m", format=Format.CHECKPOINT, entry="m", objects=objects)
    lent = replace(bare, name="n", objects=(*objects, StoredObject(key="other.meta", size_bytes=1)))
    console.print_listing(Listing(artifacts=(bare, lent)))
    _, first, second = capsys.readouterr().out.splitlines()
    assert first.endswith("a checkpoint without its graph: convert, if its architecture is known")
    assert second.endswith("convert, verify, publish")


def test_an_empty_listing_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing found is said in words and not by an empty table."""
    console.print_listing(Listing(artifacts=()))
    assert capsys.readouterr().out == "No TF1 model found.\n"


def test_details_show_signatures_and_findings(capsys: pytest.CaptureFixture[str]) -> None:
    """Producer, variables, each tensor with key, type and shape, and each finding with its remedy."""
    console.print_details(Inspected(artifact=samples.ARTIFACT, will_convert=True, summary=samples.SUMMARY))
    out = capsys.readouterr().out
    assert "produced by TensorFlow 1.15.5; 2,346 nodes" in out
    assert "267 variables, 102.2 MB" in out
    assert "input   image          input:0    float32 [?, 224, 224, 3]" in out
    assert "output  probabilities  softmax:0  float32 [?, 1001]" in out
    assert "warning: is_training was set to False; export the model for inference [training_switch]" in out
    assert out.endswith("  will convert\n")


def test_details_of_what_will_not_convert_say_why(capsys: pytest.CaptureFixture[str]) -> None:
    """The last line has the code that a run would end with, the cause and the remedy; variables were not counted."""
    summary = SourceSummary(format=Format.GRAPH_DEF, producer="GraphDef version 24", node_count=7)
    artifact, error = samples.BROKEN.artifact, samples.BROKEN.error
    console.print_details(Inspected(artifact=artifact, will_convert=False, summary=summary, error=error))
    *described, refused = capsys.readouterr().out.splitlines()
    assert described == ["", "broken/frozen: GraphDef, 102.4 MB", "  produced by GraphDef version 24; 7 nodes"]
    assert refused.startswith("  will not convert, code 40 (bad_input): the GraphDef is truncated at byte 1024; s3://")
    assert refused.endswith("; upload it again")


@pytest.mark.parametrize("terminal", [False, True])
def test_names_steer_no_terminal(on_terminal: Callable[[str], Terminal], *, terminal: bool) -> None:
    """Control characters in names and in an error are escaped, and Rich's markup in them means nothing."""
    name = "\x1b[2J[bold]a[/bold]\nb"
    report = replace(samples.BROKEN, artifact=replace(samples.ARTIFACT, name=name))
    out = on_terminal("stdout")
    out.isatty = lambda: terminal  # type: ignore[method-assign] # both kinds of stdout
    console.print_summary([report])
    assert "\x1b[2J" not in out.getvalue()
    assert out.getvalue().splitlines()[1].startswith("\\x1b[2J[bold]a[/bold]\\nb")


def test_secrets_are_not_printed(capsys: pytest.CaptureFixture[str]) -> None:
    """A presigned address in an error loses its query here as in the logs."""
    assert samples.BROKEN.error is not None
    error = replace(samples.BROKEN.error, where="https://host/key?X-Amz-Signature=canary")
    console.print_summary([replace(samples.BROKEN, error=error)])
    assert "canary" not in capsys.readouterr().out


def test_a_terminal_gets_bold_headings(on_terminal: Callable[[str], Terminal]) -> None:
    """On a terminal the table is drawn for people."""
    out = on_terminal("stdout")
    console.print_listing(LISTING)
    assert "\x1b[1m" in out.getvalue()
    assert "convert, verify, publish" in out.getvalue()


def test_a_narrow_terminal_loses_nothing(
    on_terminal: Callable[[str], Terminal], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A long name is folded and not cut off."""
    monkeypatch.setenv("COLUMNS", "40")
    out = on_terminal("stdout")
    name = "".join(chr(ord("a") + place % 26) for place in range(60))
    console.print_listing(Listing(artifacts=(replace(samples.ARTIFACT, name=name),)))
    shown = "".join(line.split(" ")[0] for line in out.getvalue().splitlines()[1:])
    assert name in shown


def test_progress_is_silent_off_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """A log file gets no progress display, whatever is reported to it."""
    with console.progress(1) as progress:
        progress.artifact_started("a")
        progress.stage("a", "convert")
        progress.artifact_finished(samples.PUBLISHED)
    assert capsys.readouterr() == ("", "")


def test_progress_shows_stage_and_count(on_terminal: Callable[[str], Terminal]) -> None:
    """On a terminal the artifact at work is shown with its stage, then counted, on stderr."""
    err = on_terminal("stderr")
    with console.progress(2) as progress:
        progress.artifact_started("vision/resnet50")
        progress.stage("vision/resnet50", "convert")
        progress._bars.refresh()  # type: ignore[attr-defined] # a terminal's progress draws ten times a second
        assert "vision/resnet50" in err.getvalue()
        assert "convert" in err.getvalue()
        progress.artifact_finished(samples.PUBLISHED)
    assert "0 of 2 artifacts done" in err.getvalue()
    assert "1 of 2 artifacts done" in err.getvalue()


def test_progress_takes_artifacts_that_never_started(on_terminal: Callable[[str], Terminal]) -> None:
    """What was already published ends without having begun, and counts."""
    err = on_terminal("stderr")
    with console.progress(1) as progress:
        progress.stage("unknown", "convert")
        progress.artifact_finished(samples.ALREADY_PUBLISHED)
    assert "1 of 1 artifacts done" in err.getvalue()


def test_printing_to_a_closed_stdout_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """The job's work does not depend on somebody reading its summary."""
    closed = io.StringIO()
    closed.close()
    for stream in (closed, None):
        monkeypatch.setattr(sys, "stdout", stream)
        console.print_summary(samples.REPORTS)
    assert closed.closed
