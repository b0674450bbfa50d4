"""A verdict for every signature: what one of them needs and this job cannot run costs that one alone."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from job.errors import BadInput, JobError, Refused
from job.records import Finding

Found = TypeVar("Found")
Make = Callable[[tuple[str, ...]], Found]
"""Makes what is wanted of the signatures of these keys; raises `BadInput` or `Refused`."""


def with_the_good_ones(keys: Sequence[str], make: Make[Found]) -> tuple[Found, tuple[Finding, ...]]:
    """Return what `make` makes of all keys, or of those that it takes alone, with a finding for every other one.

    Where it takes none, its first error counts.
    """
    try:
        return make(tuple(keys)), ()
    except (BadInput, Refused):
        refused = {key: reason for key in keys if (reason := _refusal(make, key)) is not None}
        good = tuple(key for key in keys if key not in refused)
        if not good or not refused:
            raise
        return make(good), tuple(_finding(key, reason) for key, reason in refused.items())


def _refusal(make: Make[Found], key: str) -> JobError | None:
    try:
        make((key,))
    except (BadInput, Refused) as error:
        return error
    return None


def _finding(key: str, error: JobError) -> Finding:
    return Finding(
        code="signature_refused" if isinstance(error, Refused) else "signature_broken",
        cause=f"signature {key} was left out: {error.what}",
        remedy=error.remedy,
        severity="warning",
    )
