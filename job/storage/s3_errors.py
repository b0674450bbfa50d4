"""What S3 stores answer, and what keeps them from answering, as `JobError`s of one line."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from botocore import exceptions
from botocore.exceptions import BotoCoreError, ClientError
from s3transfer.exceptions import RetriesExceededError

from job.errors import BadInput, CredentialsExpired, Denied, JobError, StorageError, UsageError

Told = tuple[type[JobError], str, str]
"""An error, what happened, and what to do."""

_NEW_CREDENTIALS: Final = "renew the credentials; those of a role are renewed by boto3 itself"
_ALLOW: Final = "allow s3:{action} there, or use other credentials"
_REGION: Final = "set AWS_REGION to the bucket's region"

_ANSWERS: Final[dict[str, Told]] = {
    "NoSuchBucket": (Denied, "the bucket does not exist", "create it, or check its name and AWS_ENDPOINT_URL_S3"),
    "ExpiredToken": (CredentialsExpired, "the credentials have expired", _NEW_CREDENTIALS),
    "ExpiredTokenException": (CredentialsExpired, "the credentials have expired", _NEW_CREDENTIALS),
    "TokenRefreshRequired": (CredentialsExpired, "the credentials have expired", _NEW_CREDENTIALS),
    "InvalidAccessKeyId": (Denied, "the store does not know the access key", "check AWS_ACCESS_KEY_ID"),
    "SignatureDoesNotMatch": (Denied, "the secret key is wrong", "check AWS_SECRET_ACCESS_KEY"),
    "InvalidToken": (Denied, "the session token is wrong", "check AWS_SESSION_TOKEN"),
    "RequestTimeTooSkewed": (StorageError, "this machine's clock and the store's differ", "set the clock"),
    "PermanentRedirect": (Denied, "the bucket is in another region", _REGION),
    "AuthorizationHeaderMalformed": (Denied, "the bucket is in another region", _REGION),
    "IllegalLocationConstraintException": (Denied, "the bucket is in another region", _REGION),
    "301": (Denied, "the bucket is in another region", _REGION),
}
_OBJECT_ANSWERS: Final[dict[str, Told]] = {
    "NoSuchKey": (BadInput, "the object is not there", "check its key, or whether it was deleted meanwhile"),
    "AccessDenied": (BadInput, "the object may not be read", _ALLOW),
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
    (
        (exceptions.ConnectionError, exceptions.HTTPClientError),
        (StorageError, "the endpoint cannot be reached", "check AWS_ENDPOINT_URL_S3 and the network"),
    ),
    ((BotoCoreError,), (StorageError, "the store failed", "try again")),
)
"""Where there was no answer at all."""


@contextmanager
def translated(action: str, where: Callable[[], str]) -> Iterator[None]:
    """Raise what botocore raises as a `JobError`; `action` is the permission's name without ``s3:``."""
    try:
        yield
    except ClientError as error:
        raise _job_error(_told_by(error, action), action, where(), _said(error)) from error
    except RetriesExceededError as error:
        raise StorageError(f"the transfer failed ({error})", where=where(), remedy="try again") from error
    except BotoCoreError as error:
        told = next(told for kinds, told in _SILENCE if isinstance(error, kinds))
        raise _job_error(told, action, where(), _reason(error)) from error


def code_of(error: ClientError) -> str:
    """Return the store's word for what went wrong, such as ``NoSuchKey``."""
    return str(error.response.get("Error", {}).get("Code", ""))


def status_of(error: ClientError) -> int:
    """Return the HTTP status of the store's answer."""
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def _job_error(told: Told, action: str, where: str, said: str) -> JobError:
    kind, what, remedy = told
    return kind(f"{what.format(action=action)} ({said})", where=where, remedy=remedy.format(action=action))


def _told_by(error: ClientError, action: str) -> Told:
    code = code_of(error)
    if action == "GetObject" and code in _OBJECT_ANSWERS:
        return _OBJECT_ANSWERS[code]
    refused = status_of(error) in (401, 403)
    other = (
        (Denied, "s3:{action} is not allowed", _ALLOW) if refused else (StorageError, "the store failed", "try again")
    )
    return _ANSWERS.get(code, other)


def _said(error: ClientError) -> str:
    """Return the store's own words: its code, its message, and the right region where it names one."""
    told = error.response.get("Error", {})
    headers = error.response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    region = told.get("Region") or headers.get("x-amz-bucket-region", "")
    return ", ".join(part for part in (code_of(error), str(told.get("Message", ""))[:200], region) if part)


def _reason(error: BotoCoreError) -> str:
    """Return why, without the object addresses and URLs that botocore puts around it."""
    inner = error.kwargs.get("error") or error
    return str((inner.args or (inner,))[-1]).rpartition("): ")[2]
