import io
import re
import sys
from dataclasses import replace
from typing import Literal

import pytest

from job.console import listing
from job.inspection import Inspected
from job.records import Artifact, Format, LeftAlone, Listing, SourceSummary, StoredObject
from tests import samples
from tests.console.conftest import PlaceTerminal

LISTING = Listing(
    artifacts=(samples.ARTIFACT, replace(samples.BROKEN.artifact, problem=samples.BROKEN.error)),
    left_alone=(LeftAlone(key="README.md", reason="no model"),),
)
WHOLE = Inspected(artifact=samples.ARTIFACT, will_convert=True, summary=samples.SUMMARY)
GUIDES = re.compile(r"^[│├└─ ]*")


def test_listing_says_what_would_be_done(capsys: pytest.CaptureFixture[str]) -> None:
    """What can be converted, what cannot with code and remedy, and what is no model with the reason."""
    listing.print_listing(LISTING)
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
    listing.print_listing(Listing(artifacts=(bare, lent)))
    _, first, second = capsys.readouterr().out.splitlines()
    assert first.endswith("a checkpoint without its graph: convert, if its architecture is known")
    assert second.endswith("convert, verify, publish")


def test_an_empty_listing_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing found is said in words and not by an empty table."""
    listing.print_listing(Listing(artifacts=()))
    assert capsys.readouterr().out == "No TF1 model found.\n"


def test_details_are_a_tree(capsys: pytest.CaptureFixture[str]) -> None:
    """Producer, variables, each tensor with key, type and shape, and each finding with its remedy below it."""
    listing.print_details(WHOLE)
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert out.startswith("\nvision/resnet50 SavedModel, 102.4 MB\n├── produced by TensorFlow 1.15.5; 2,346 nodes\n")
    assert "├── 267 variables, 102.2 MB\n" in out
    assert "│   ├── input   image          float32 [?, 224, 224, 3]  input:0\n" in out
    assert "output  probabilities  float32 [?, 1001]         softmax:0\n" in out
    assert (
        "├── warning: is_training was set to False [training_switch]\n│   └── export the model for inference\n" in out
    )
    assert out.endswith("└── will convert\n")


def test_weightiest_findings_come_first(capsys: pytest.CaptureFixture[str]) -> None:
    """What stands in the way is read before what is good to know."""
    weights: tuple[Literal["info", "error", "warning"], ...] = ("info", "error", "warning")
    findings = tuple(replace(samples.SUMMARY.findings[0], severity=one) for one in weights)
    listing.print_details(replace(WHOLE, summary=replace(samples.SUMMARY, findings=findings)))
    lines = (GUIDES.sub("", line).partition(":")[0] for line in capsys.readouterr().out.splitlines())
    assert [line for line in lines if line in weights] == ["error", "warning", "info"]


def test_a_terminal_gets_the_same_tree(on_terminal: PlaceTerminal, capsys: pytest.CaptureFixture[str]) -> None:
    """Colours are all that a wide terminal adds to what a pipe gets."""
    listing.print_details(WHOLE)
    plain = capsys.readouterr().out
    out = on_terminal("stdout")
    listing.print_details(WHOLE)
    assert "\x1b[" in out.getvalue()
    assert re.sub(r"\x1b\[[\d;]*m", "", out.getvalue()) == plain


def test_a_tree_is_drawn_in_ascii_where_there_is_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stream of another encoding gets guides that it can hold."""
    stream = io.TextIOWrapper(paper := io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", stream)
    listing.print_details(WHOLE)
    out = paper.getvalue().decode("ascii")
    assert "+-- produced by TensorFlow 1.15.5" in out
    assert out.endswith("`-- will convert\n")


def test_details_of_what_will_not_convert_say_why(capsys: pytest.CaptureFixture[str]) -> None:
    """The last line has the code that a run would end with, the cause and the remedy; variables were not counted."""
    summary = SourceSummary(format=Format.GRAPH_DEF, producer="GraphDef version 24", node_count=7)
    artifact, error = samples.BROKEN.artifact, samples.BROKEN.error
    listing.print_details(Inspected(artifact=artifact, will_convert=False, summary=summary, error=error))
    *described, refused = capsys.readouterr().out.splitlines()
    assert described == ["", "broken/frozen GraphDef, 102.4 MB", "├── produced by GraphDef version 24; 7 nodes"]
    assert refused.startswith("└── will not convert, code 40 (bad_input): the GraphDef is truncated at byte 1024; s3:")
    assert refused.endswith("; upload it again")


def test_names_steer_no_tree(on_terminal: PlaceTerminal) -> None:
    """What an artifact calls itself is shown, and not obeyed."""
    out = on_terminal("stdout")
    listing.print_details(replace(WHOLE, artifact=replace(samples.ARTIFACT, name="\x1b[2J[bold]a[/bold]\nb")))
    assert "\x1b[2J" not in out.getvalue()
    assert "\\x1b[2J[bold]a[/bold]\\nb" in out.getvalue()
