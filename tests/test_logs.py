import contextlib
import io
import json
import logging
import os
import subprocess
import sys
import threading
import warnings
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import structlog

from job import events, logs
from job.errors import LocalIOError

REPOSITORY = Path(__file__).parent.parent
SECRET = "AKIAIOSFODNN7EXAMPLE"


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        """Return True."""
        return True


@pytest.fixture(autouse=True)
def _restored(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let events be of any kind, and give the process its own logging back; `tests.test_events` is about kinds."""
    monkeypatch.setattr(events, "only_declared", lambda _, __, event: event)
    handlers, level = logging.root.handlers[:], logging.root.level
    yield
    structlog.reset_defaults()
    logging.captureWarnings(capture=False)
    logging.root.handlers[:] = handlers
    logging.root.setLevel(level)


class Written:
    """All that went to stderr, which is no terminal, since the test began."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys
        self._text = ""

    def text(self) -> str:
        """Return it as it was written."""
        self._text += self._capsys.readouterr().err
        return self._text

    def events(self) -> list[dict[str, Any]]:
        """Return it line by line as JSON."""
        return [json.loads(line) for line in self.text().splitlines()]


@pytest.fixture
def stderr(capsys: pytest.CaptureFixture[str]) -> Written:
    """Configure logs for a stderr that is no terminal, and return what is written there."""
    logs.configure("auto")
    return Written(capsys)


def test_events_are_json_lines_off_a_terminal(stderr: Written) -> None:
    """One event is one JSON object a line, the event and its level by name, the time in ISO format and UTC."""
    structlog.get_logger().info("artifact_found", artifact="a", size_bytes=7)
    structlog.get_logger().warning("artifact_left")
    first, second = stderr.events()
    assert (first["event"], first["level"], first["artifact"], first["size_bytes"]) == (
        "artifact_found",
        "info",
        "a",
        7,
    )
    assert (second["event"], second["level"]) == ("artifact_left", "warning")
    assert datetime.fromisoformat(first["timestamp"].replace("Z", "+00:00")).utcoffset() == timedelta(0)


def test_events_are_text_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """A person gets a readable, coloured line."""
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    logs.configure("auto")
    structlog.get_logger().info("artifact_found", artifact="resnet")
    assert "artifact_found" in terminal.getvalue()
    assert "\x1b[" in terminal.getvalue()
    assert not terminal.getvalue().startswith("{")


def test_no_color_is_respected(monkeypatch: pytest.MonkeyPatch) -> None:
    """With NO_COLOR a terminal gets no escape sequence."""
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("NO_COLOR", "1")
    logs.configure("auto")
    structlog.get_logger().error("artifact_failed", artifact="resnet")
    assert "artifact=resnet" in terminal.getvalue()
    assert "\x1b" not in terminal.getvalue()


def test_format_can_be_forced(stderr: Written) -> None:
    """``text`` holds off a terminal too, without colours."""
    logs.configure("text")
    structlog.get_logger().info("artifact_found", artifact="resnet")
    assert "artifact=resnet" in stderr.text()
    assert "\x1b" not in stderr.text()


def test_quiet_logs_are_errors(stderr: Written, tmp_path: Path) -> None:
    """Nothing else is told, and everything is written into an artifact's log."""
    logs.configure("auto", is_quiet=True)
    log = structlog.get_logger()
    with logs.capture(tmp_path / "log.jsonl", artifact="a"):
        log.info("artifact_started")
        log.warning("stage_retried")
        log.error("artifact_failed")
    assert [event["event"] for event in stderr.events()] == ["artifact_failed"]
    assert len((tmp_path / "log.jsonl").read_text().splitlines()) == 3


@pytest.mark.parametrize(("log_format", "told"), [("text", 1), ("json", 2)])
def test_what_a_display_tells_is_not_logged_for_people(stderr: Written, log_format: Any, told: int) -> None:
    """Machines get every event."""
    logs.configure(log_format, displayed={"stage_ended"})
    structlog.get_logger().info("stage_ended")
    structlog.get_logger().info("artifact_started")
    assert len(stderr.text().splitlines()) == told


def test_a_dumb_terminal_gets_no_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    """It would show them as characters."""
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "dumb")
    logs.configure("auto")
    structlog.get_logger().info("artifact_found", artifact="resnet")
    assert "artifact=resnet" in terminal.getvalue()
    assert "\x1b" not in terminal.getvalue()


@pytest.mark.parametrize("log_format", ["json", "text"])
def test_names_steer_no_terminal_and_forge_no_line(stderr: Written, log_format: Any) -> None:
    """Control characters in a name are escaped, and a line break in it starts no second line."""
    logs.configure(log_format)
    structlog.get_logger().info("artifact_found", artifact="a\x1b[2J", key="a\n2026 forged")
    assert "\x1b" not in stderr.text()
    assert len(stderr.text().splitlines()) == 1


@pytest.mark.parametrize("log_format", ["json", "text"])
def test_no_secret_in_events(stderr: Written, tmp_path: Path, log_format: Any) -> None:
    """Neither by field name nor by pattern, nested or in an exception's text, on stderr or in the file."""
    logs.configure(log_format)
    log = structlog.get_logger()
    with logs.capture(tmp_path / "log.jsonl", artifact="a"):
        log.info("source_opened", session_token="canary", nested={"deep": [{"password": "canary"}]})
        log.info("source_listed", url=f"https://u:canary@h/k?X-Amz-Signature=canary&c={SECRET}", objects=[SECRET])
        try:
            int(f"Authorization: {SECRET}")
        except ValueError:
            log.exception("stage_failed")
    written = stderr.text() + (tmp_path / "log.jsonl").read_text()
    assert written.count("stage_failed") == 2
    assert "canary" not in written
    assert SECRET not in written


def test_exceptions_keep_their_traceback(stderr: Written) -> None:
    """What `exception` logs names file, line and cause."""
    try:
        int("broken")
    except ValueError:
        structlog.get_logger().exception("stage_failed")
    exception = stderr.events()[0]["exception"]
    assert "test_logs.py" in exception
    assert exception.endswith("ValueError: invalid literal for int() with base 10: 'broken'")


class Unprintable:
    """An object whose text cannot be had."""

    def __str__(self) -> str:
        raise RuntimeError("no")


def test_any_value_can_be_logged(stderr: Written) -> None:
    """Lone surrogates, NaN, bytes, huge numbers, paths and what cannot be written at all become JSON."""
    structlog.get_logger().info(
        "odd_values",
        surrogate="a\udc80",
        nan=float("nan"),
        infinite=-float("inf"),
        raw=b"\xff!",
        huge=10**5000,
        complex_number=1j,
        path=Path("a/b"),
        unprintable=Unprintable(),
        nested={1: {Path("k"): (1, {2})}},
    )
    event = stderr.events()[0]
    assert event["surrogate"] == "a\\udc80"
    assert (event["nan"], event["infinite"], event["raw"]) == ("nan", "-inf", "\\xff!")
    assert event["huge"].startswith("0x")
    assert (event["complex_number"], event["path"]) == ("1j", "a/b")
    assert event["unprintable"] == "<Unprintable that cannot be shown>"
    assert event["nested"] == {"1": {"k": [1, [2]]}}


def test_what_contains_itself_can_be_logged(stderr: Written) -> None:
    """A list within itself ends in text at some depth."""
    loop: list[object] = []
    loop.append(loop)
    structlog.get_logger().info("odd_values", loop=loop)
    assert "[...]" in json.dumps(stderr.events()[0]["loop"])


@pytest.mark.parametrize("fields", [{"long": "é" * 99_999}, {f"field_{i}": "é" * 999 for i in range(99)}])
def test_lines_are_bounded(stderr: Written, fields: dict[str, str]) -> None:
    """One huge field is cut, many are dropped and counted; the event stays one line below 16 kB with its name."""
    structlog.get_logger().info("big_event", artifact="a", **fields)
    event = stderr.events()[0]
    assert len(stderr.text().encode()) <= logs.EVENT_BYTES
    assert (event["event"], event["artifact"]) == ("big_event", "a")
    assert "characters cut" in event.get("long", "") or event.get("dropped_fields") == len(fields)


def test_the_end_of_a_long_text_is_kept(stderr: Written) -> None:
    """A traceback's cause is in its last line."""
    structlog.get_logger().info("worker_died", tail="x" * 99_999 + "the cause")
    assert stderr.events()[0]["tail"].endswith("the cause")


def test_capture_takes_the_artifacts_own_events(stderr: Written, tmp_path: Path) -> None:
    """Within the context events name the artifact; the file gets them, and none of another artifact or from after."""
    path = tmp_path / "log.jsonl"
    log = structlog.get_logger()
    with logs.capture(path, artifact="mine"):
        log.info("stage_started", stage="convert")
        log.info("stage_started", artifact="another")
    log.info("run_finished")
    written = [json.loads(line) for line in path.read_text().splitlines()]
    assert [(event["event"], event["artifact"]) for event in written] == [("stage_started", "mine")]
    assert [event.get("artifact") for event in stderr.events()] == ["mine", "another", None]


def test_capture_takes_events_of_other_threads_by_name(stderr: Written, tmp_path: Path) -> None:
    """A transfer's thread that names the artifact is heard."""
    with logs.capture(tmp_path / "log.jsonl", artifact="mine"):
        thread = threading.Thread(target=lambda: structlog.get_logger().info("object_pulled", artifact="mine"))
        thread.start()
        thread.join()
    assert "object_pulled" in (tmp_path / "log.jsonl").read_text()
    assert "object_pulled" in stderr.text()


def test_capture_is_json_even_for_text_logs(stderr: Written, tmp_path: Path) -> None:
    """The published file has one form."""
    logs.configure("text")
    with logs.capture(tmp_path / "log.jsonl", artifact="mine"):
        structlog.get_logger().info("stage_started")
    assert json.loads((tmp_path / "log.jsonl").read_text())["event"] == "stage_started"
    assert not stderr.text().startswith("{")


def test_capture_continues_a_file(stderr: Written, tmp_path: Path) -> None:
    """A second stage of an artifact adds to what the first wrote."""
    for event in ("first", "second"):
        with logs.capture(tmp_path / "log.jsonl", artifact="mine"):
            structlog.get_logger().info(event)
    assert len((tmp_path / "log.jsonl").read_text().splitlines()) == len(stderr.events()) == 2


def test_capture_into_nowhere_is_an_error_of_ours(tmp_path: Path) -> None:
    """A file that cannot be opened is named, with what to do."""
    with (
        pytest.raises(LocalIOError, match=r"the log cannot be written: No such file.*absent.*--scratch"),
        logs.capture(tmp_path / "absent" / "log.jsonl", artifact="mine"),
    ):
        pass


def test_libraries_speak_in_events(stderr: Written) -> None:
    """A library's warning and one of Python's are JSON lines too, redacted, and debug chatter is none."""
    logging.getLogger("urllib3").warning("retrying %s", f"/k?X-Amz-Credential={SECRET}")
    logging.getLogger("botocore").debug("secret headers")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("careful", stacklevel=1)
    retry, careful = stderr.events()
    assert (retry["event"], retry["library"], retry["level"]) == ("library_message", "urllib3", "warning")
    assert SECRET not in retry["message"]
    assert "careful" in careful["message"]


def test_a_librarys_broken_message_is_still_an_event(stderr: Written) -> None:
    """A format string that does not fit its arguments is logged as it stands."""
    record = logging.LogRecord("library", logging.ERROR, "file.py", 1, "%d objects", ("no number",), None)
    logs._FromLibraries().handle(record)
    assert stderr.events()[0]["message"] == "%d objects"


def test_a_closed_stream_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Logging to a stream that somebody closed does nothing."""
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    stream.close()
    logs.configure("auto")
    structlog.get_logger().info("run_finished")
    assert not logs.is_terminal(stream)


def test_a_missing_stream_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Python has no stderr where it was closed before the start."""
    monkeypatch.setattr(sys, "stderr", None)
    logs.configure("auto")
    structlog.get_logger().info("run_finished")
    assert not logs.is_terminal(sys.stderr)


def test_an_event_within_an_event_does_not_hang(monkeypatch: pytest.MonkeyPatch) -> None:
    """A signal handler may log while a line is being written."""
    interrupted: list[str] = []

    class Interrupting(io.StringIO):
        def write(self, text: str) -> int:
            if not interrupted:
                interrupted.append(text)
                structlog.get_logger().info("signal_received")
            return super().write(text)

    stream = Interrupting()
    monkeypatch.setattr(sys, "stderr", stream)
    logs.configure("json")
    thread = threading.Thread(target=lambda: structlog.get_logger().info("run_started"), daemon=True)
    thread.start()
    thread.join(timeout=5)
    assert "signal_received" in stream.getvalue()


def test_a_full_pipe_does_not_stop_the_job() -> None:
    """Where nobody reads, a line waits once and is dropped, the next ones are dropped at once."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    with open(reading, "rb"), open(writing, "w") as pipe:  # noqa: PTH123 - descriptors, not paths
        with contextlib.suppress(BlockingIOError):
            while os.write(writing, b"x" * 4096):
                pass
        os.set_blocking(writing, True)
        outlet = logs.Outlet(lambda: pipe)
        outlet._patience_s = 0.05
        outlet.line("dropped after waiting")
        outlet.line("dropped at once")
        assert outlet._patience_s == 0
        os.read(reading, 65_536)
        outlet.line("taken")
        assert b"taken\n" in os.read(reading, 65_536)


def test_a_reader_that_went_does_not_fail_the_process() -> None:
    """With stderr and stdout cut off, the process works on and ends with code 0."""
    program = (
        "import sys, structlog; from job import logs; logs.configure('json');"
        "[structlog.get_logger().info('still_here') for _ in range(3)];"
        "logs.Outlet(lambda: sys.stdout).line('summary'); print('somebody else prints')"
    )
    reading, writing = os.pipe()
    os.close(reading)
    ended = subprocess.run(
        [sys.executable, "-c", program], cwd=REPOSITORY, stdout=writing, stderr=writing, timeout=60, check=False
    )
    os.close(writing)
    assert ended.returncode == 0


def test_text_that_a_stream_cannot_encode_is_escaped(tmp_path: Path) -> None:
    """An ASCII terminal gets the line, with what it cannot show escaped."""
    with (tmp_path / "out").open("w", encoding="ascii") as stream:
        logs.Outlet(lambda: stream).line("modèle")
    assert (tmp_path / "out").read_text() == "mod\\xe8le\n"


def test_importing_logs_imports_nothing_heavy() -> None:
    """Neither TensorFlow nor NumPy comes with the logs."""
    program = (
        "import sys, job.logs, job.console; print([m for m in ('tensorflow', 'numpy', 'jinja2') if m in sys.modules])"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program], cwd=REPOSITORY, capture_output=True, text=True, timeout=60, check=True
    )
    assert ended.stdout.strip() == "[]"
