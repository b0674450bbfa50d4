"""A connection to S3 that outlives its credentials, a wrong clock, and a store that is busy for a while.

boto3 retries requests itself (eight tries, growing pauses); here is what it leaves out.
"""

import hashlib
import os
from base64 import b64encode
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from functools import partial
from http import HTTPStatus
from io import BytesIO
from threading import Lock
from typing import Any, Final, TypeVar

import structlog
from boto3.session import Session
from botocore.auth import AUTH_TYPE_MAPS, SIGV4_TIMESTAMP, S3SigV4Auth
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, ConnectionClosedError

from job.errors import UsageError
from job.nearest import nearest
from job.storage.keys import printable
from job.storage.retrying import RetryBudget, pause
from job.storage.s3_errors import EXPIRED, SKEWED, code_of, skew_of

log = structlog.get_logger()

Result = TypeVar("Result")

_CLIENT: Final = Config(
    retries={"mode": "standard", "total_max_attempts": 8},
    connect_timeout=5,
    read_timeout=60,
    max_pool_connections=512,  # as many as there may be: eight for an artifact that comes, ten for a file that goes
    request_checksum_calculation="when_required",  # stores other than AWS know only Content-MD5
    response_checksum_validation="when_required",  # `checksums` compares, also where a body came in several pieces
)
_TRIES: Final = 8
_UNREACHED_TRIES: Final = 2  # of 5 s each, until an endpoint that never answered is given up
_REPLACED: Final = ("v4", "s3v4")
_THROTTLED: Final = frozenset({"SlowDown", "RequestLimitExceeded", "Throttling", "ThrottlingException"})


class Connection:
    """Clients of the store that the environment names, one after another; `uri` is what messages call it."""

    def __init__(self, uri: str, budget: RetryBudget) -> None:
        self._uri, self._budget = uri, budget
        self._lock = Lock()
        self._current: Any = None
        self._offset_s = 0.0
        self._reached = False

    @property
    def client(self) -> Any:
        """The client of the moment; raises `UsageError` if there can be none."""
        with self._lock:
            if self._current is None:
                self._current = self._new()
            return self._current

    def run(self, use: Callable[[Any], Result]) -> Result:
        """Return what `use` makes of the client, or if need be of another with new credentials or the right time."""
        client = self.client
        try:
            return use(client)
        except ClientError as error:
            if code_of(error) not in EXPIRED | {SKEWED}:
                raise
            self._renew(client, error)
        return use(self.client)

    def nearest_bucket(self, name: str) -> str:
        """Return the bucket whose name is most like this one; empty where none is, or where we may not list them."""
        try:
            known = self.client.list_buckets().get("Buckets", ())
        except (BotoCoreError, ClientError):
            return ""
        return next(iter(nearest(name, (one["Name"] for one in known))), "")

    def where(self, key: str) -> str:
        """Return for a message where an object is."""
        meta = self.client.meta
        return f"{self._uri}/{printable(key)} at {meta.endpoint_url}, region {meta.region_name}"

    def _renew(self, stale: Any, error: ClientError) -> None:
        """Let the next client find its credentials anew and sign by the store's clock, unless another thread has."""
        with self._lock:
            if self._current is not stale:
                return
            if code_of(error) == SKEWED:
                self._offset_s = -(skew_of(error) or 0.0)
            self._current = None
        log.info("connection_renewed", store=self._uri, reason=code_of(error))

    def _new(self) -> Any:
        try:
            region = os.environ.get("AWS_REGION") or None  # every SDK's variable but boto3's
            client = Session(region_name=region).client("s3", config=_CLIENT)
        except (BotoCoreError, ValueError) as error:
            remedy = "check AWS_PROFILE, AWS_REGION, the credentials, and that AWS_ENDPOINT_URL_S3 begins with http"
            raise UsageError(f"the S3 client cannot be set up: {error}", where=self._uri, remedy=remedy) from error
        events = client.meta.events
        events.register("needs-retry.s3", self._weigh)
        events.register_first("needs-retry.s3.HeadBucket", _end_redirects)
        events.register("before-call.s3.GetObject", _ask_for_checksums)
        for operation in () if _signs_bodies(client) else ("PutObject", "UploadPart"):
            events.register(f"before-parameter-build.s3.{operation}", _add_md5)
        events.register("choose-signer.s3", partial(_choose, _dated_signature(self._offset_s)))
        return client

    def _weigh(
        self,
        *,
        response: Any,
        attempts: int,
        caught_exception: Exception | None,
        operation: Any,
        **_: object,
    ) -> float | None:
        """Watch what comes back; end the retries of what is hopeless, and add one that boto3 leaves out.

        An endpoint that never answered is misnamed rather than busy: eight tries would take minutes.
        """
        self._reached = self._reached or response is not None or isinstance(caught_exception, ConnectionClosedError)
        if caught_exception is not None:
            hopeless = not self._reached and attempts >= _UNREACHED_TRIES
            if not self._budget.spend("broken connections") or hopeless:
                raise caught_exception
            return None
        error = ClientError(response[1], operation.name)
        status, throttled = response[0].status_code, code_of(error) in _THROTTLED
        too_many = status == HTTPStatus.TOO_MANY_REQUESTS  # final to boto3 where the store's word is not Amazon's
        if status < HTTPStatus.INTERNAL_SERVER_ERROR and not too_many and not throttled:
            self._budget.earn()
        elif not self._budget.spend("throttled" if throttled or too_many else "failed"):
            raise error
        elif too_many and attempts < _TRIES:
            pause(attempts)
            return 0
        return None


def _end_redirects(*, response: Any, operation: Any, **_: object) -> None:
    """Keep boto3, which asks for the bucket's region where it is redirected, from asking again where that is too."""
    if response is not None and response[0].status_code == HTTPStatus.MOVED_PERMANENTLY:
        raise ClientError(response[1], operation.name)


def _dated_signature(offset_s: float) -> str:
    """Make known to botocore a signature that is dated by so many seconds from this machine's clock; return its name.

    It is botocore's own in Python, which hashes a body in pieces of 1 MiB. That of the AWS Common Runtime, which boto3
    would take, reads it by 4 KiB: each a turn of Python's lock, by which 1 GB goes a sixth slower on two cores.
    """
    name = f"s3v4-by-{offset_s:+}-s"

    class Dated(S3SigV4Auth):  # type: ignore[misc]
        def _modify_request_before_signing(self, request: Any) -> None:
            now = datetime.now(timezone.utc) + timedelta(seconds=offset_s)
            request.context["timestamp"] = now.strftime(SIGV4_TIMESTAMP)
            super()._modify_request_before_signing(request)

    AUTH_TYPE_MAPS.setdefault(name, Dated)
    return name


def _choose(signature: str, *, signature_version: object, **_: object) -> str | None:
    """Return our signature in place of the one that it is a kind of; S3 Express and anonymous requests keep theirs."""
    return signature if signature_version in _REPLACED else None


def _ask_for_checksums(params: dict[str, Any], **_: object) -> None:
    """Ask with the header alone: with the parameter boto3 would compare too, but for bodies that come in one piece."""
    params["headers"]["x-amz-checksum-mode"] = "ENABLED"


def _signs_bodies(client: Any) -> bool:
    """Tell whether requests carry their body's SHA-256, which the store compares: botocore's, without TLS."""
    return str(client.meta.endpoint_url).startswith("http:")


def _add_md5(params: dict[str, Any], **_: object) -> None:
    """Let the store refuse a body that was damaged on its way."""
    body = BytesIO(params["Body"]) if isinstance(params["Body"], bytes) else params["Body"]
    hasher, start = hashlib.md5(usedforsecurity=False), body.tell()
    while chunk := body.read(1 << 20):
        hasher.update(chunk)
    body.seek(start)
    params["ContentMD5"] = b64encode(hasher.digest()).decode()
