"""The process that a call of `job.library` runs in, as the caller sees it: its start, its log, its end, its answer."""

import json
import logging
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final, TypeVar

from job.errors import Internal, Interrupted, from_record
from job.records import ErrorRecord
from job.settings import COUNT_VARIABLES, ENVIRONMENT_PREFIX, INDEX_VARIABLES, Settings
from job.storage.files import local_io

Result = TypeVar("Result")

MODULE: Final = "job.called"
NOT_PASSED_ON: Final = (*INDEX_VARIABLES, *COUNT_VARIABLES)
"""Variables that would choose a share of the work, as all that begin with ``JOB_`` choose options: a call says all."""

LEEWAY_S: Final = 5.0
"""Over the grace, after which the process ends by itself."""

_log = logging.getLogger("job")


def call(name: str, settings: Settings, kind: type[Result]) -> Result:
    """Make a call in a process of its own and return its result; raises the `JobError` that ended it.

    Whatever interrupts the caller meanwhile ends the process in order, within ``grace_s``, and goes on.
    """
    with local_io(Path(tempfile.gettempdir())), tempfile.TemporaryDirectory(prefix="tf1lift-call-") as directory:
        answer = Path(directory, "answer.json")
        said = ""
        with _process(settings.grace_s) as process:
            _ask(process, {"name": name, "settings": _dumped(settings), "answer": str(answer)})
            for line in filter(str.strip, process.stderr or ()):
                said = line.strip()
                _pass_on(said)
            process.wait()
        return _result(answer, kind, process.returncode, said)


@contextmanager
def _process(grace_s: float) -> Iterator["subprocess.Popen[str]"]:
    process = subprocess.Popen(
        [sys.executable, "-m", MODULE],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        errors="backslashreplace",
        env=_environment(os.environ),
        cwd=Path(__file__).parent.parent,
        start_new_session=True,  # what a terminal sends to its processes comes by way of us
    )
    try:
        yield process
    except BaseException:
        _end(process, grace_s)
        raise
    finally:
        for pipe in (process.stdin, process.stderr):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()


def _environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Return what the process is told; it looks for modules where the caller does, from another directory."""
    found = environment.get("PYTHONPATH")
    looked = {"PYTHONPATH": os.pathsep.join(map(os.path.abspath, found.split(os.pathsep)))} if found else {}
    return looked | {
        name: value
        for name, value in environment.items()
        if not name.startswith(ENVIRONMENT_PREFIX) and name not in (*NOT_PASSED_ON, *looked)
    }


def _end(process: "subprocess.Popen[str]", grace_s: float) -> None:
    """End the process, in order as long as nobody interrupts this too."""
    try:
        process.terminate()
        process.wait(grace_s + LEEWAY_S)
    except subprocess.TimeoutExpired:
        pass
    finally:
        process.kill()
        process.wait()


def _ask(process: "subprocess.Popen[str]", question: Mapping[str, Any]) -> None:
    """Say what is wanted; a process that has ended already will be missed at its answer."""
    asked = json.dumps({**question, "directory": str(Path.cwd()), "caller": os.getpid()})
    with suppress(BrokenPipeError):
        if process.stdin is not None:
            process.stdin.write(asked)
            process.stdin.close()


def _pass_on(line: str) -> None:
    """Hand an event on to whoever has configured `logging` for it; it is redacted already."""
    try:
        event = json.loads(line)
        level, name = logging.getLevelName(str(event["level"]).upper()), event["event"]
    except (ValueError, TypeError, LookupError):  # Python's own words, of a process that did not come so far
        level, name, event = logging.WARNING, line, {}
    if isinstance(level, int) and _log.isEnabledFor(level):
        fields = {key: value for key, value in event.items() if key not in ("timestamp", "level", "event")}
        told = [f"{key}={value if isinstance(value, str) else json.dumps(value)}" for key, value in fields.items()]
        _log.log(level, "%s", " ".join([str(name), *told]), extra={"event": name, "fields": fields})


def _result(answer: Path, kind: type[Result], code: int, said: str) -> Result:
    from job import codec  # noqa: PLC0415 - keeps the import of the library fast

    if not answer.exists():
        if code == Interrupted.exit_code:
            raise Interrupted("the run was told to end")
        how = signal.Signals(-code).name if code < 0 else f"status {code}"
        raise Internal(f"the job's process ended without an answer ({how})", where=said[:200])
    outcome = json.loads(answer.read_text(encoding="utf-8"))
    if "error" in outcome:
        raise from_record(codec.loads(json.dumps(outcome["error"]), ErrorRecord))
    return codec.loads(json.dumps(outcome["result"]), kind)


def _dumped(settings: Settings) -> Any:
    from job import codec  # noqa: PLC0415 - as above

    return codec.dump(settings)
