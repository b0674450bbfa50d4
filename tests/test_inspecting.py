import json
import os
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from job import inspecting
from job.errors import LocalIOError, NoInput
from job.inspecting import inspect
from job.settings import Settings
from tests.fakes import put, use_fake_stages
from tests.jobs import WITHOUT_TENSORFLOW
from tests.ptys import run_at_terminal
from tests.sources import HTML


@pytest.fixture(autouse=True)
def without_tensorflow(monkeypatch: pytest.MonkeyPatch) -> None:
    use_fake_stages(monkeypatch)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Three artifacts: one that is read well, one that is refused, one that is no model; and a text."""
    directory = tmp_path / "in"
    put(directory, "good.pb", "refused.pb")
    put(directory, "html.pb", data=HTML)
    put(directory, "notes.py", data=b"x")
    return directory


def inspected(source: Path, *, as_json: bool = True, details: bool = True, **chosen: Any) -> int:
    """Inspect a directory."""
    environment = {"PATH": os.environ["PATH"]}
    settings = Settings(source=str(source), sandbox="best-effort", **chosen)
    return inspect(settings, environment, as_json=as_json, details=details)


def test_document_says_what_was_read_or_why_not(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each artifact has its summary or its error; the exit code is the one that a run would end with."""
    assert inspected(source) == 42
    document = json.loads(capsys.readouterr().out)
    said = {
        one["artifact"]["name"]: one["error"]["code_name"] if one["error"] else one["summary"]["node_count"]
        for one in document["artifacts"]
    }
    assert said == {"good.pb": 2, "html.pb": "bad_input", "refused.pb": "refused"}
    assert [one["will_convert"] for one in document["artifacts"]] == [True, False, False]
    assert [left["key"] for left in document["left_alone"]] == ["notes.py"]


def test_listing_alone_starts_nothing(
    source: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """--listing answers at once: no TensorFlow is loaded, and what is known to be broken counts."""
    monkeypatch.setattr(inspecting, "Forkserver", None)
    assert inspected(source, details=False) == 40
    document = json.loads(capsys.readouterr().out)
    assert [one["summary"] for one in document["artifacts"]] == [None, None, None]
    assert [one["will_convert"] for one in document["artifacts"]] == [None, False, None]


def test_people_see_the_listing_and_then_the_details(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What would be done comes first and at once; then each artifact's details, and whether it will convert."""
    assert inspected(source, as_json=False) == 42
    said = capsys.readouterr().out
    assert said.index("what would be done") < said.index("\ngood.pb GraphDef, ")
    assert "\n└── will convert\n" in said[said.index("\ngood.pb GraphDef") : said.index("\nrefused.pb GraphDef")]
    assert "\n└── will not convert, code 42 (refused): op PyFunc; node f; cut above it\n" in said
    assert "\n└── will not convert, code 40 (bad_input): html.pb is an HTML page" in said


@pytest.mark.parametrize("columns", [60, 200])
def test_a_terminal_shows_what_is_read_and_keeps_the_trees(source: Path, columns: int) -> None:
    """The line on what is at work goes, the trees stay whole, and the cursor is back."""
    put(source, "slow.pb")  # what takes no time is not drawn
    seen = run_at_terminal("inspect", str(source), columns=columns, program=WITHOUT_TENSORFLOW)
    lines = seen.screen()
    assert seen.code == 42
    assert "reads " in seen.text
    assert not any("reads " in line for line in lines)
    assert seen.text.count("\x1b[?25l") == 1 == seen.text.count("\x1b[?25h")
    assert [line for line in lines if "will convert" in line] == ["└── will convert"] * 2
    assert lines.index("good.pb GraphDef, 38 B") < lines.index("└── will convert")


def test_what_could_be_read_stands_beside_the_error(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An artifact that will not convert is described as far as it was understood."""
    inspected(source, only="refused.pb")
    (one,) = json.loads(capsys.readouterr().out)["artifacts"]
    assert (one["summary"]["node_count"], one["error"]["remedy"]) == (2, "cut above it")


def test_named_vocabulary_is_looked_for(source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What the manifest names is pulled as a run does it: a key that is not there is told now."""
    (tmp_path / "manifest.yaml").write_text("artifacts: [{match: good.pb, assets: {/gone/vocab.txt: text/words}}]")
    assert inspected(source, only="good.pb", manifest=str(tmp_path / "manifest.yaml")) == 40
    assert "text/words" in capsys.readouterr().out
    put(source, "text/words")
    assert inspected(source, only="good.pb", manifest=str(tmp_path / "manifest.yaml")) == 0


def test_crash_of_one_is_not_the_others(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file that takes TensorFlow down is named, and the next one is read."""
    put(source, "abort.pb")
    with capture_logs():
        assert inspected(source, only="[ag]*") == 47
    document = json.loads(capsys.readouterr().out)
    assert [one["error"]["code_name"] if one["error"] else "" for one in document["artifacts"]] == ["poison", ""]


def test_nothing_there_is_told(tmp_path: Path) -> None:
    """A path that does not exist ends with 43."""
    with pytest.raises(NoInput):
        inspected(tmp_path / "absent")


def test_scratch_that_cannot_be_used_is_told(source: Path) -> None:
    """The flag that names another directory is named."""
    with pytest.raises(LocalIOError, match="--scratch"):
        inspected(source, scratch="/proc")
