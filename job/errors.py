"""The error tree, the exit-code contract and what a user is told.

    JobError
    ├─ UsageError           2   flags or manifest are wrong
    ├─ BadInput            40   corrupt, truncated or unsupported artifact
    │  └─ Incomplete       40   part of it is not there: weights, graph, vocabulary
    ├─ ParityFailed        41   the conversion exceeds its tolerance
    ├─ Refused             42   policy: host-touching, custom or unknown op, limits
    ├─ NoInput             43   nothing under the source, or nothing matched
    ├─ Denied              44   bucket missing, no permission, wrong region
    ├─ DestinationConflict 45   the destination holds what must not be touched
    ├─ Poison              47   an artifact crashed, hung or exhausted its worker
    └─ Transient                worth another try, perhaps elsewhere
       ├─ Internal         70   a bug of ours
       ├─ LocalIOError     71   disk full, read-only or unreadable file system
       ├─ DeviceError      73   no GPU where one is required, or a kernel that cannot confine
       ├─ StorageError     74   the store failed after all retries
       ├─ Interrupted      75   a signal or deadline came with work left
       └─ CredentialsExpired 77 and could not be refreshed

``4x`` is permanent and ``7x`` may be retried, so that one glob covers each class
in a batch engine's retry rule (AWS Batch ``onExitCode: "7*"``).
"""

from collections.abc import Iterable
from typing import ClassVar, Final

from job.records import ErrorRecord


class JobError(Exception):
    """Say in one line what happened, where, and what to do next."""

    exit_code: ClassVar[int] = 70
    code_name: ClassVar[str] = "internal"

    def __init__(self, what: str, *, where: str = "", remedy: str = "") -> None:
        super().__init__(what)
        self.what = _one_line(what)
        self.where = _one_line(where)
        self.remedy = _one_line(remedy)

    def __str__(self) -> str:
        return "; ".join(part for part in (self.what, self.where, self.remedy) if part)

    def to_record(self, *, stage: str = "") -> ErrorRecord:
        """Return the error as plain data that can cross a process border."""
        return ErrorRecord(
            exit_code=self.exit_code,
            code_name=self.code_name,
            what=self.what,
            where=self.where,
            remedy=self.remedy,
            stage=stage,
        )


class UsageError(JobError):
    """A flag, a ``JOB_*`` variable or the manifest cannot be used."""

    exit_code = 2
    code_name = "usage"


class BadInput(JobError):
    """The artifact is corrupt, incomplete or of no format that we read."""

    exit_code = 40
    code_name = "bad_input"


class Incomplete(BadInput):
    """Some of the artifact is not there: it may convert once its owner has put it beside the rest."""

    code_name = "incomplete"


class ParityFailed(JobError):
    """The candidate's answers differ from the baseline's by more than the tolerance, or a required proof is missing."""

    exit_code = 41
    code_name = "parity_failed"


class Refused(JobError):
    """The artifact asks for something that policy does not allow."""

    exit_code = 42
    code_name = "refused"


class NoInput(JobError):
    """The source is empty, or nothing in it matched."""

    exit_code = 43
    code_name = "no_input"


class Denied(JobError):
    """The store refused us, or the bucket does not exist."""

    exit_code = 44
    code_name = "denied"


class DestinationConflict(JobError):
    """The destination holds something that must not be touched."""

    exit_code = 45
    code_name = "dest_conflict"


class Poison(JobError):
    """One artifact hung, ran out of memory, or crashed its worker twice."""

    exit_code = 47
    code_name = "poison"


class Transient(JobError):
    """A failure that another attempt may not meet."""


class Internal(Transient):
    """A bug of ours; please report it with the log."""

    exit_code = 70
    code_name = "internal"


class LocalIOError(Transient):
    """The local file system failed: full, read-only or not permitted."""

    exit_code = 71
    code_name = "local_io"


class DeviceError(Transient):
    """The machine lacks what is required: a GPU that can be used, or a kernel that confines workers."""

    exit_code = 73
    code_name = "device"


class StorageError(Transient):
    """The object store failed after all retries."""

    exit_code = 74
    code_name = "storage"


class Interrupted(Transient):
    """A signal or the job's deadline came while work was left."""

    exit_code = 75
    code_name = "interrupted"

    def __init__(self, what: str, *, where: str = "", remedy: str = "run again: what is committed is skipped") -> None:
        super().__init__(what, where=where, remedy=remedy)


class CredentialsExpired(Transient):
    """Credentials ran out during the run and could not be refreshed."""

    exit_code = 77
    code_name = "creds_expired"


ERRORS: Final[tuple[type[JobError], ...]] = (
    UsageError,
    BadInput,
    Incomplete,
    ParityFailed,
    Refused,
    NoInput,
    Denied,
    DestinationConflict,
    Poison,
    Internal,
    LocalIOError,
    DeviceError,
    StorageError,
    Interrupted,
    CredentialsExpired,
)

PRECEDENCE: Final = (44, 2, 77, 75, 74, 73, 71, 70, 47, 45, 43, 42, 41, 40)
"""Which code a run ends with when its artifacts ended differently; first wins."""


def from_record(record: ErrorRecord) -> JobError:
    """Rebuild the error that a worker sent as plain data."""
    kind = next((error for error in ERRORS if error.code_name == record.code_name), Internal)
    return kind(record.what, where=record.where, remedy=record.remedy)


def exit_code_of(codes: Iterable[int]) -> int:
    """Return the one exit code of a run whose artifacts ended with `codes`; 0 if and only if all are 0."""
    seen = set(codes)
    return next((code for code in PRECEDENCE if code in seen), max(seen, default=0))


def _one_line(text: str) -> str:
    return " ".join(text.split())
