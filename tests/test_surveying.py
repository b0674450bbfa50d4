import os
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from job.errors import UsageError
from job.settings import Settings
from job.surveying import survey
from tests.fakes import put, use_fake_stages
from tests.sources import HTML


@pytest.fixture(autouse=True)
def without_tensorflow(monkeypatch: pytest.MonkeyPatch) -> None:
    use_fake_stages(monkeypatch)


def surveyed(tmp_path: Path, dest: str = "out") -> int:
    """Survey ``in`` into `dest`."""
    settings = Settings(source=str(tmp_path / "in"), dest=str(tmp_path / dest), benchmark="off", sandbox="best-effort")
    with capture_logs():
        return survey(settings, {"PATH": os.environ["PATH"]})


def test_survey_tells_what_became_of_each(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Standard output is the table alone, what converts is published, and the exit code is the run's."""
    put(tmp_path / "in", "good.pb", "refused.pb")
    put(tmp_path / "in", "html.pb", data=HTML)
    assert surveyed(tmp_path) == 42
    out = capsys.readouterr().out
    assert out.startswith("# Survey\n")
    rows = {line.split(" | ")[0].strip("| "): line.split(" | ")[5] for line in out.splitlines()[-3:]}
    assert rows == {"good.pb": "published", "html.pb": "bad_input (40)", "refused.pb": "refused (42)"}
    assert (tmp_path / "out" / "good.pb" / "latest.json").exists()


def test_failed_parity_is_no_fault_of_inspect(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Only a run compares answers: that they differ is in the row, and not held against what was said before."""
    put(tmp_path / "in", "wrong.pb")
    assert surveyed(tmp_path) == 41
    out = capsys.readouterr().out
    assert "`inspect` foresaw what became of each." in out
    assert "| will convert | parity_failed (41) | failed |" in out


def test_destination_in_the_source_is_told_before_any_work(tmp_path: Path) -> None:
    """What ends the run at once does so before everything is inspected."""
    put(tmp_path / "in", "good.pb")
    with pytest.raises(UsageError, match="inside the source"):
        surveyed(tmp_path, dest="in/out")
