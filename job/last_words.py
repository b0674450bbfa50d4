"""The few lines that a batch engine shows of a container that has ended: Kubernetes' termination message.

``kubectl describe pod`` prints what lies at ``terminationMessagePath``, by default `TERMINATION_LOG`, up to 4,096
bytes (https://kubernetes.io/docs/tasks/debug/debug-application/determine-reason-pod-failure/).
"""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from job.errors import JobError, from_record
from job.records import ArtifactReport
from job.redaction import printable, redacted
from job.summary import counts, unproven

TERMINATION_LOG: Final = Path("/dev/termination-log")
MOST_BYTES: Final = 4096


def leave_words(lines: Sequence[str], path: Path = TERMINATION_LOG) -> None:
    """Write what ended the job where the engine looks for it; where there is no such file, nobody looks."""
    if not path.is_file():  # the engine makes it
        return
    text = "\n".join(printable(redacted(line)) for line in lines)
    with suppress(OSError):
        path.write_bytes(text.encode("utf-8", "backslashreplace")[:MOST_BYTES])


def of_run(reports: Sequence[ArtifactReport], exit_code: int) -> list[str]:
    """Return a run's counts, and why artifacts failed: the first ones, as many as there is room for."""
    told = counts(reports) | ({"unproven": unproven(reports)} if unproven(reports) else {})
    counted = ", ".join(f"{count} {status}" for status, count in told.items())
    failed = [f"{report.artifact.name}: {from_record(report.error)}" for report in reports if report.error is not None]
    return [f"exit code {exit_code}: {counted}", *failed]


def of_error(error: JobError) -> list[str]:
    """Return what ended a job before its artifacts."""
    return [f"exit code {error.exit_code}, {error.code_name}: {error}"]
