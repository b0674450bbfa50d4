import json
from pathlib import Path

import pytest

from job import task_files
from job.errors import LocalIOError
from job.task_files import NoRecord, TaskFiles


def test_record_is_read_whole(tmp_path: Path) -> None:
    """What a worker leaves is what the supervisor reads."""
    with TaskFiles(tmp_path / "task") as files:
        files.result.write_text(json.dumps({"result": {"a": 1}}))
        assert files.outcome() == {"result": {"a": 1}}
    assert not (tmp_path / "task").exists()


def test_absent_record_is_said_to_be_absent(tmp_path: Path) -> None:
    """A worker that left nothing has crashed, whatever its status."""
    with TaskFiles(tmp_path / "task") as files, pytest.raises(NoRecord, match="without a result"):
        files.outcome()


def test_record_has_a_largest_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that would fill the supervisor's memory is not read at all."""
    monkeypatch.setattr(task_files, "RESULT_BYTES", 20)
    with TaskFiles(tmp_path / "task") as files:
        files.result.write_text('{"result": "12345"}')
        assert files.outcome() == {"result": "12345"}
        files.result.write_text('{"result": "1234567"}')
        with pytest.raises(NoRecord, match="21 bytes"):
            files.outcome()


@pytest.mark.parametrize(
    "text", ["", "1", "[]", '"result"', "{}", '{"result": 1, "error": 2}', '{"other": 1}', "{", "\0"]
)
def test_only_a_result_or_an_error_is_a_record(tmp_path: Path, text: str) -> None:
    """Anything else is a crash's, however well-formed."""
    with TaskFiles(tmp_path / "task") as files:
        files.result.write_text(text)
        with pytest.raises(NoRecord, match="no record"):
            files.outcome()


def test_log_that_grew_too_long_begins_anew_and_its_end_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A writer that appends goes on at the beginning; the tail is the last of what is there."""
    monkeypatch.setattr(task_files, "LOG_BYTES", 100)
    monkeypatch.setattr(task_files, "TAIL_BYTES", 10)
    with TaskFiles(tmp_path / "task") as files, files.log.open("ab", buffering=0) as log:
        log.write(b"x" * 90 + b"the end")
        files.wind_back()
        assert files.tail() == "xxxthe end"
        log.write(b"y" * 10)
        files.wind_back()
        assert files.tail() == ""
        log.write(b"\xffz")
        assert files.tail() == "\\xffz"


def test_scratch_that_cannot_be_written_is_a_local_fault(tmp_path: Path) -> None:
    """A task that cannot begin is no fault of its artifact."""
    with pytest.raises(LocalIOError, match="local file error"):
        TaskFiles(tmp_path / "absent" / "task")
