"""How a command ends: with an exit code, and with one line on what ended it."""

import sys
from collections.abc import Callable, Collection

import structlog

from job.errors import Internal, Interrupted, JobError, LocalIOError
from job.last_words import leave_words, of_error
from job.logs import LogFormat, Outlet, configure, is_text
from job.redaction import printable, redacted

log = structlog.get_logger()


def ended(
    work: Callable[[], int], log_format: LogFormat, *, is_quiet: bool = False, displayed: Collection[str] = ()
) -> int:
    """Do a command's work and return its exit code; what ends it is told in one line. The rest is as in `configure`."""
    configure(log_format, is_quiet=is_quiet, displayed=displayed)
    try:
        return work()
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - the contract has no code 1
        return _say(error_of(error), log_format)


def error_of(error: BaseException) -> JobError:
    """Return what ended a command, while it is handled, as the error that its user is told; log a bug of ours."""
    if isinstance(error, JobError):
        return error
    if isinstance(error, KeyboardInterrupt):  # before the command has begun to heed signals, or after
        return Interrupted("a signal came")
    if isinstance(error, OSError):
        what, where = f"local file error: {error.strerror or error}", str(error.filename or "")
        return LocalIOError(what, where=where, remedy="check the file system")
    log.exception("bug")  # noqa: LOG004 - both callers handle the exception
    return Internal(f"{type(error).__name__}: {error}", remedy="please report it with the log")


def _say(error: JobError, log_format: LogFormat) -> int:
    leave_words(of_error(error))
    if is_text(log_format):
        _stderr.line(printable(redacted(f"{error.code_name}: {error}")))
    else:
        log.error("job_failed", code=error.exit_code, name=error.code_name, reason=str(error))
    return error.exit_code


_stderr = Outlet(lambda: sys.stderr)
