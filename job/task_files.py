"""The files between the supervisor and a worker: what it says meanwhile, and the record that it leaves.

A worker may hold a stranger's program. The supervisor opens what it reads itself, follows no
links, and reads no more than a record can be.
"""

import json
import os
import shutil
import stat
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Final

from job.storage.files import local_io

LOG_BYTES: Final = 16 * 2**20
"""A log that has grown beyond this is begun anew; what is said last counts."""

RESULT_BYTES: Final = 16 * 2**20
TAIL_BYTES: Final = 8192


class NoRecord(Exception):
    """There is no result, or what is there is none; the text says what is there."""


class TaskFiles(AbstractContextManager["TaskFiles"]):
    """A directory of one task's own, which ends with it; to make it raises `LocalIOError`."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.result, self.log = directory / "result", directory / "log"
        with local_io(directory):
            directory.mkdir()
            self._log = os.open(self.log, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._log)
        shutil.rmtree(self.directory, ignore_errors=True)

    def wind_back(self) -> None:
        """Empty the log where it has grown too long; its writer appends, so that it goes on at the beginning."""
        if os.fstat(self._log).st_size > LOG_BYTES:
            os.ftruncate(self._log, 0)

    def tail(self) -> str:
        """Return what the worker said last."""
        start = max(0, os.fstat(self._log).st_size - TAIL_BYTES)
        return os.pread(self._log, TAIL_BYTES, start).decode(errors="backslashreplace")

    def outcome(self) -> dict[str, Any]:
        """Return what the worker left; raises `NoRecord`."""
        try:
            outcome = json.loads(self._result())
        except FileNotFoundError as error:
            raise NoRecord("without a result") from error
        except OSError as error:  # a link, which is not followed
            raise NoRecord(f"with a result that cannot be read ({error.strerror})") from error
        except (ValueError, RecursionError) as error:
            raise NoRecord("with a result that is no record") from error
        if not isinstance(outcome, dict) or len(outcome) != 1 or not {"error", "result"} & set(outcome):
            raise NoRecord("with a result that is no record")
        return outcome

    def _result(self) -> bytes:
        file = os.open(self.result, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            found = os.fstat(file)
            if not stat.S_ISREG(found.st_mode) or found.st_size > RESULT_BYTES:
                raise NoRecord(f"with a result that is no record ({_kind(found)})")
            with os.fdopen(os.dup(file), "rb") as opened:
                return opened.read(RESULT_BYTES)
        finally:
            with suppress(OSError):
                os.close(file)


def _kind(found: os.stat_result) -> str:
    return f"{found.st_size} bytes" if stat.S_ISREG(found.st_mode) else "no file"
