"""What S3 stores answer, and what keeps them from answering, as `JobError`s of one line."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from typing import Final

from botocore import exceptions
from botocore.exceptions import BotoCoreError, ClientError
from s3transfer.exceptions import CancelledError, RetriesExceededError

from job.errors import BadInput, CredentialsExpired, Denied, Interrupted, JobError, StorageError, UsageError

Told = tuple[type[JobError], str, str]
"""An error, what happened, and what to do."""

_NEW_CREDENTIALS: Final = "renew the credentials; those of a role are renewed by boto3 itself"
_ALLOW: Final = "allow s3:{action} there, or use other credentials"
_REGION: Final = "set AWS_REGION{region}"
_NO_KEY: Final = "allow kms:{kms} for the key that it is encrypted with, or enable that key"

EXPIRED: Final = frozenset({"ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired"})
SKEWED: Final = "RequestTimeTooSkewed"

_NO_BUCKET: Final[Told] = (
    Denied,
    "the bucket does not exist",
    "{bucket}create it, or check its name and AWS_ENDPOINT_URL_S3",
)
_ANSWERS: Final[dict[str, Told]] = {
    "NoSuchBucket": _NO_BUCKET,
    **dict.fromkeys(EXPIRED, (CredentialsExpired, "the credentials have expired", _NEW_CREDENTIALS)),
    "InvalidAccessKeyId": (Denied, "the store does not know the access key", "check AWS_ACCESS_KEY_ID"),
    "SignatureDoesNotMatch": (Denied, "the secret key is wrong", "check AWS_SECRET_ACCESS_KEY"),
    "InvalidToken": (Denied, "the session token is wrong", "check AWS_SESSION_TOKEN"),
    SKEWED: (StorageError, "this machine's clock and the store's differ", "set the clock"),
    "PermanentRedirect": (Denied, "the bucket is in another region", _REGION),
    "AuthorizationHeaderMalformed": (Denied, "the bucket is in another region", _REGION),
    "IllegalLocationConstraintException": (Denied, "the bucket is in another region", _REGION),
    "301": (Denied, "the bucket is in another region", _REGION),
    "400": (
        Denied,
        "the endpoint does not understand the request",
        "write https:// in AWS_ENDPOINT_URL_S3 if it speaks TLS, or check that an S3 server answers there",
    ),
    "404": _NO_BUCKET,
    "NoSuchKey": (
        Denied,
        "the endpoint knows no buckets",
        "write AWS_ENDPOINT_URL_S3 without a bucket's name or a path",
    ),
}
_OBJECT_ANSWERS: Final[dict[str, Told]] = {
    "NoSuchKey": (BadInput, "the object is not there", "check its key, or whether it was deleted meanwhile"),
    "AccessDenied": (BadInput, "the object may not be read", _ALLOW),
    "404": (BadInput, "the object is not there", "check its key, or whether it was deleted meanwhile"),
    "InvalidObjectState": (BadInput, "the object is archived", "restore it from the archive first"),
}
"""Of one object alone: others may well be readable."""

_SILENCE: Final[tuple[tuple[tuple[type[BotoCoreError], ...], Told], ...]] = (
    (
        (exceptions.NoCredentialsError, exceptions.PartialCredentialsError, exceptions.NoAuthTokenError),
        (Denied, "no credentials", "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, or use a role"),
    ),
    (
        (exceptions.CredentialRetrievalError, exceptions.TokenRetrievalError, exceptions.SSOError),
        (CredentialsExpired, "the credentials could not be fetched", _NEW_CREDENTIALS),
    ),
    (
        (exceptions.ParamValidationError,),
        (UsageError, "the request is no valid one", "check the names of bucket and prefix"),
    ),
    ((exceptions.ConnectionClosedError,), (StorageError, "the connection was closed before an answer", "try again")),
    (
        (exceptions.SSLError,),
        (
            StorageError,
            "the endpoint cannot be reached by TLS",
            "write http:// in AWS_ENDPOINT_URL_S3 if it speaks none, or set AWS_CA_BUNDLE to its authority's file",
        ),
    ),
    (
        (exceptions.ConnectionError, exceptions.HTTPClientError),
        (StorageError, "the endpoint cannot be reached", "check AWS_ENDPOINT_URL_S3 and the network"),
    ),
    ((BotoCoreError,), (StorageError, "the store failed", "try again")),
)
"""Where there was no answer at all."""


@contextmanager
def translated(
    action: str, where: Callable[[], str], met: Callable[[], str] = str, nearest_bucket: Callable[[], str] = str
) -> Iterator[None]:
    """Raise what botocore raises as a `JobError`.

    `action` is the permission's name without ``s3:``; `met` says what else the job has met in the store, and
    `nearest_bucket` which bucket there is whose name is like the one that is not.
    """
    try:
        yield
    except ClientError as error:
        raise _job_error(_worded(error, action, nearest_bucket), where(), _said(error), met) from error
    except CancelledError as error:
        raise Interrupted("the transfer was given up", where=where()) from error
    except RetriesExceededError as error:
        raise StorageError(f"the transfer failed ({error})", where=where(), remedy="try again") from error
    except BotoCoreError as error:
        told = next(told for kinds, told in _SILENCE if isinstance(error, kinds))
        raise _job_error(told, where(), _reason(error), met) from error


def code_of(error: ClientError) -> str:
    """Return the store's word for what went wrong, such as ``NoSuchKey``, or else its status."""
    return str(error.response.get("Error", {}).get("Code", "") or status_of(error))


def status_of(error: ClientError) -> int:
    """Return the HTTP status of the store's answer."""
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def skew_of(error: ClientError) -> float | None:
    """Return by how many seconds this machine's clock is ahead of the store's; `None` where the answer has no date."""
    try:
        answered = parsedate_to_datetime(_headers_of(error)["date"])
    except (KeyError, ValueError):
        return None
    return round((datetime.now(timezone.utc) - answered).total_seconds(), 0)


def _job_error(told: Told, where: str, said: str, met: Callable[[], str]) -> JobError:
    kind, what, remedy = told
    history = f"; in this run: {met()}" if kind is StorageError and met() else ""
    return kind(f"{what} ({said}){history}", where=where, remedy=remedy)


def _worded(error: ClientError, action: str, nearest_bucket: Callable[[], str]) -> Told:
    kind, what, remedy = _told_by(error, action)
    bucket, region = nearest_bucket() if "{bucket}" in remedy else "", _region_of(error)
    said = {
        "action": action,
        "bucket": f"did you mean {bucket!r}? else " if bucket else "",
        "kms": "Decrypt" if action == "GetObject" else "GenerateDataKey",
        "region": f"={region}" if region else " to the bucket's region",
    }
    return kind, what.format_map(said), remedy.format_map(said)


def _told_by(error: ClientError, action: str) -> Told:
    code = code_of(error)
    if code.startswith("KMS.") or "kms:" in str(error):
        return (BadInput if action == "GetObject" else Denied, "the store may not use the object's key", _NO_KEY)
    if action == "GetObject" and code in _OBJECT_ANSWERS:
        return _OBJECT_ANSWERS[code]
    refused = status_of(error) in (401, 403)
    other = (
        (Denied, "s3:{action} is not allowed", _ALLOW) if refused else (StorageError, "the store failed", "try again")
    )
    return _ANSWERS.get(code, other)


def _said(error: ClientError) -> str:
    """Return the store's own words: its code and its message."""
    told = error.response.get("Error", {})
    said = (code_of(error), str(told.get("Message", ""))[:200], _skew_told(error))
    return ", ".join(part for part in said if part)


def _region_of(error: ClientError) -> str:
    """Return the right region where the store names it."""
    told = error.response.get("Error", {}).get("Region") or _headers_of(error).get("x-amz-bucket-region", "")
    return str(told)


def _skew_told(error: ClientError) -> str:
    skew_s = skew_of(error) if code_of(error) == SKEWED else None
    if skew_s is None:
        return ""
    return f"this machine's is {abs(skew_s):.0f} s {'ahead' if skew_s > 0 else 'behind'}"


def _headers_of(error: ClientError) -> Mapping[str, str]:
    headers: Mapping[str, str] = error.response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    return headers


def _reason(error: BotoCoreError) -> str:
    """Return why, without the object addresses and URLs that botocore puts around it."""
    inner = error.kwargs.get("error") or error
    return str((inner.args or (inner,))[-1]).rpartition("): ")[2][:200]
