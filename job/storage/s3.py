"""S3, and every store that speaks it: MinIO, Ceph, R2, Google Cloud Storage; this and `s3_errors` alone know botocore.

The endpoint, region, credentials and addressing style are boto3's own business (``AWS_ENDPOINT_URL_S3``,
``AWS_REGION``, ``AWS_PROFILE``, roles): with an endpoint of its own, buckets are part of the path.
"""

import hashlib
import random
import time
from base64 import b64encode
from collections.abc import Iterator
from contextlib import AbstractContextManager, suppress
from functools import cached_property
from http import HTTPStatus
from io import BytesIO
from pathlib import Path
from typing import Any, Final

from boto3.session import Session
from botocore import exceptions
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from s3transfer.manager import TransferConfig, TransferManager

from job.errors import BadInput, StorageError, UsageError
from job.records import Digest, StoredObject
from job.storage.files import local_io, save
from job.storage.keys import EVERYTHING, Selection, plain
from job.storage.s3_errors import code_of, status_of, translated

_MIB: Final = 1 << 20
_TRIES: Final = 4  # to read one version of an object: the first, and three more where it changes meanwhile
_BODY_TRIES: Final = 8  # to get to the end of a body over connections that break
_CONFLICT_TRIES: Final = 6  # to create an object while others do
_UNREACHED_TRIES: Final = 2  # of 5 s each, until an endpoint that never answered is given up

_PROBE: Final = "_create_only_probe.txt"
_PROBE_TEXT: Final = b"By this object tf1lift learns whether the store honours If-None-Match. It may be deleted.\n"

_CLIENT: Final = Config(
    retries={"mode": "standard", "total_max_attempts": 8},
    connect_timeout=5,
    read_timeout=60,
    max_pool_connections=32,
    request_checksum_calculation="when_required",  # stores other than AWS know only Content-MD5
    response_checksum_validation="when_required",
)
_TRANSFERS: Final = TransferConfig(
    multipart_threshold=64 * _MIB, multipart_chunksize=32 * _MIB, max_request_concurrency=4
)

_BROKEN: Final = (
    exceptions.IncompleteReadError,
    exceptions.ResponseStreamingError,
    exceptions.ReadTimeoutError,
    OSError,
)
"""What reading a body raises when the connection breaks; boto3 retries requests, but no bodies."""


class S3Storage:
    """The objects of `bucket` below `prefix`; keeps the `Storage` contract."""

    def __init__(self, bucket: str, prefix: str, selection: Selection = EVERYTHING) -> None:
        self.uri = f"s3://{bucket}/{prefix}".rstrip("/")
        self._bucket = bucket
        self._root = f"{prefix}/" if prefix and not prefix.endswith("/") else prefix
        self._selection = selection
        self._reached = False

    def supports_create_only(self) -> bool:
        """See `Storage`; the probe stays, so that the next run needs one request and no right to delete."""
        with self._errors("PutObject", _PROBE):
            return self._creates_only

    def list(self, prefix: str = "") -> Iterator[StoredObject]:
        """See `Storage`; the empty objects that stand for directories are left out."""
        with self._errors("ListBucket", prefix):
            pages = self._client.get_paginator("list_objects_v2")
            search = self._root + self._selection.narrow(prefix)
            for page in pages.paginate(Bucket=self._bucket, Prefix=search):
                for item in page.get("Contents", ()):
                    key, size_bytes = item["Key"].removeprefix(self._root), item["Size"]
                    directory = not key or (key.endswith("/") and not size_bytes)
                    if not directory and key.startswith(prefix) and self._selection.has(key):
                        yield StoredObject(key=key, size_bytes=size_bytes, etag=item.get("ETag", ""))

    def read(self, key: str, *, limit_bytes: int | None = None) -> bytes:
        """See `Storage`."""
        with self._errors("GetObject", key):
            try:
                return b"".join(self._chunks(key, limit_bytes=limit_bytes))[:limit_bytes]
            except ClientError as error:
                if code_of(error) != "InvalidRange":
                    raise
                return b""  # a range of an empty object
            except _Changed as error:
                raise StorageError("the object changed while it was read", where=self._where(key)) from error

    def download(self, stored: StoredObject, path: Path) -> Digest:
        """See `Storage`; the bytes are of one version of the object, the listed one if it is still there."""
        etag, size_bytes = stored.etag, stored.size_bytes if stored.etag else None
        for _ in range(_TRIES):
            with suppress(_Changed), local_io(path), self._errors("GetObject", stored.key):
                chunks = self._chunks(stored.key, etag=etag, size_bytes=size_bytes)
                return save(path, chunks, key=stored.key, durable=False)
            etag, size_bytes = "", None
        raise BadInput(
            f"the object changed during each of {_TRIES} reads; it was listed as {stored.etag}",
            where=self._where(stored.key),
            remedy="run again when it is complete",
        )

    def upload(self, path: Path, key: str) -> None:
        """See `Storage`; large files in parts, which are given up if one fails."""
        with local_io(path), self._errors("PutObject", key):
            path.stat()  # s3transfer would take a missing file for a pattern of keys
            with TransferManager(self._client, _TRANSFERS) as transfers:
                transfers.upload(str(path), self._bucket, self._root + plain(key)).result()

    def create(self, key: str, data: bytes) -> bool:
        """See `Storage`; where the store overwrites whatever we ask, a look before it has to do."""
        with self._errors("PutObject", key):
            if self._creates_only:
                return self._put_new(plain(key), data)
            if any(stored.key == key for stored in self.list(key)):
                return False
        self.replace(key, data)
        return True

    def replace(self, key: str, data: bytes) -> None:
        """See `Storage`."""
        with self._errors("PutObject", key):
            self._client.put_object(Bucket=self._bucket, Key=self._root + plain(key), Body=data)

    def delete(self, key: str) -> None:
        """See `Storage`."""
        with self._errors("DeleteObject", key):
            try:
                self._client.delete_object(Bucket=self._bucket, Key=self._root + plain(key))
            except ClientError as error:
                if code_of(error) != "NoSuchKey":  # Google Cloud Storage says so, others do not
                    raise

    @cached_property
    def _client(self) -> Any:
        try:
            client = Session().client("s3", config=_CLIENT)
        except (BotoCoreError, ValueError) as error:
            remedy = "check AWS_ENDPOINT_URL_S3, AWS_REGION and AWS_PROFILE"
            raise UsageError(f"the S3 client cannot be set up: {error}", where=self.uri, remedy=remedy) from error
        client.meta.events.register("needs-retry.s3", self._give_up_early)
        for operation in ("PutObject", "UploadPart"):
            client.meta.events.register(f"before-parameter-build.s3.{operation}", _add_md5)
        return client

    def _give_up_early(
        self, *, response: object, attempts: int, caught_exception: Exception | None, **_: object
    ) -> None:
        """An endpoint that never answered is misnamed rather than busy: eight tries would take minutes."""
        self._reached = self._reached or response is not None
        if not self._reached and caught_exception and attempts >= _UNREACHED_TRIES:
            raise caught_exception

    @cached_property
    def _creates_only(self) -> bool:
        try:
            return not (self._put_new(_PROBE, _PROBE_TEXT) and self._put_new(_PROBE, _PROBE_TEXT))
        except ClientError as error:
            if status_of(error) != HTTPStatus.NOT_IMPLEMENTED:
                raise
            return False

    def _put_new(self, key: str, data: bytes) -> bool:
        for attempt in range(_CONFLICT_TRIES):
            status = self._put_if_absent(key, data)
            if status != HTTPStatus.CONFLICT:
                return status == HTTPStatus.OK
            _pause(attempt)
        raise StorageError("others keep creating the object", where=self._where(key), remedy="try again")

    def _put_if_absent(self, key: str, data: bytes) -> int:
        """Return `OK`, `PRECONDITION_FAILED` (it exists) or `CONFLICT` (another create is under way)."""
        try:
            self._client.put_object(Bucket=self._bucket, Key=self._root + key, Body=data, IfNoneMatch="*")
        except ClientError as error:
            if status_of(error) not in (HTTPStatus.PRECONDITION_FAILED, HTTPStatus.CONFLICT):
                raise
            return status_of(error)
        return HTTPStatus.OK

    def _chunks(
        self, key: str, *, etag: str = "", size_bytes: int | None = None, limit_bytes: int | None = None
    ) -> Iterator[bytes]:
        """Yield an object's bytes, all of one version; after a broken connection, go on where it broke."""
        position, end = 0, "" if limit_bytes is None else limit_bytes - 1
        for attempt in range(_BODY_TRIES):
            answer = self._get(key, f"bytes={position}-{end}" if position or limit_bytes is not None else "", etag)
            etag = answer.get("ETag", etag)
            try:
                for chunk in answer["Body"].iter_chunks(_MIB):
                    position += len(chunk)
                    yield chunk
            except _BROKEN:
                _pause(attempt)
            else:
                break
        else:
            what = f"the connection broke {_BODY_TRIES} times, the last time at byte {position}"
            raise StorageError(what, where=self._where(key), remedy="try again")
        if size_bytes not in (None, position):
            raise _Changed

    def _get(self, key: str, span: str, etag: str) -> Any:
        conditions = {name: value for name, value in (("Range", span), ("IfMatch", etag)) if value}
        try:
            return self._client.get_object(Bucket=self._bucket, Key=self._root + key, **conditions)
        except ClientError as error:
            if status_of(error) == HTTPStatus.PRECONDITION_FAILED:
                raise _Changed from error
            raise

    def _errors(self, action: str, key: str) -> AbstractContextManager[None]:
        return translated(action, lambda: self._where(key))

    def _where(self, key: str) -> str:
        meta = self._client.meta
        return f"{self.uri}/{key} at {meta.endpoint_url}, region {meta.region_name}"


class _Changed(Exception):
    """An object became another while it was read."""


def _pause(attempt: int) -> None:
    time.sleep(random.uniform(0, min(5, 0.1 * 2**attempt)))  # noqa: S311 - it spreads retries and keeps no secret


def _add_md5(params: dict[str, Any], **_: object) -> None:
    """Let the store refuse a body that was damaged on its way."""
    body = BytesIO(params["Body"]) if isinstance(params["Body"], bytes) else params["Body"]
    hasher, start = hashlib.md5(usedforsecurity=False), body.tell()
    while chunk := body.read(_MIB):
        hasher.update(chunk)
    body.seek(start)
    params["ContentMD5"] = b64encode(hasher.digest()).decode()
