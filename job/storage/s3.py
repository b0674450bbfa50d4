"""S3, and every store that speaks it: MinIO, Ceph, R2, Google Cloud Storage; this package alone knows botocore.

The endpoint, region, credentials and addressing style are boto3's own business (``AWS_ENDPOINT_URL_S3``,
``AWS_REGION``, ``AWS_PROFILE``, roles): with an endpoint of its own, buckets are part of the path.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import replace
from functools import cached_property, partial
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final, TypeVar

from botocore.exceptions import ClientError
from s3transfer.exceptions import CancelledError
from s3transfer.futures import TransferFuture
from s3transfer.manager import TransferConfig, TransferManager
from s3transfer.subscribers import BaseSubscriber

from job.errors import StorageError
from job.interrupts import STOPPING
from job.records import Digest, StoredObject
from job.storage import retrying, s3_unfinished
from job.storage.base import Unfinished
from job.storage.bodies import Body, Changed, Restarts
from job.storage.checksums import Damaged
from job.storage.files import drain, local_io, save
from job.storage.keys import EVERYTHING, Selection, plain
from job.storage.outgoing import Outgoing, note_sent
from job.storage.s3_client import Connection
from job.storage.s3_errors import code_of, status_of, translated
from job.storage.s3_listing import children, listed

Result = TypeVar("Result")

_MIB: Final = 1 << 20
_CONFLICT_TRIES: Final = 6  # to create or swap an object while others do

_ABSENT: Final = {"IfNoneMatch": "*"}
_UNMET: Final = (HTTPStatus.PRECONDITION_FAILED, HTTPStatus.CONFLICT)

_PROBE: Final = "_create_only_probe.txt"
_PROBE_TEXT: Final = b"By this object tf1lift learns whether the store honours If-None-Match. It may be deleted.\n"

_TRANSFERS: Final = TransferConfig(
    multipart_threshold=64 * _MIB, multipart_chunksize=8 * _MIB, max_request_concurrency=10
)


class S3Storage:
    """The objects of `bucket` below `prefix`; keeps the `Storage` contract."""

    def __init__(self, bucket: str, prefix: str, selection: Selection = EVERYTHING) -> None:
        self.uri = f"s3://{bucket}/{prefix}".rstrip("/")
        self._bucket = bucket
        self._root = f"{prefix}/" if prefix and not prefix.endswith("/") else prefix
        self._selection = selection
        self._budget = retrying.JOB
        self._connection = Connection(self.uri, self._budget)

    def supports_create_only(self) -> bool:
        """See `Storage`; the probe stays, so that the next run needs one request and no right to delete."""
        with self._errors("PutObject", _PROBE):
            return self._creates_only

    def list(self, prefix: str = "") -> Iterator[StoredObject]:
        """See `Storage`; the empty objects that stand for directories are left out."""
        with self._errors("ListBucket", prefix):
            for stored in listed(self._connection, self._bucket, self._root, self._selection.narrow(prefix)):
                if stored.key.startswith(prefix) and self._selection.has(stored.key):
                    yield stored

    def children(self) -> tuple[str, ...]:
        """See `Storage`."""
        with self._errors("ListBucket", ""):
            return children(self._connection, self._bucket, self._root)

    def read(self, key: str, *, limit_bytes: int | None = None) -> bytes:
        """See `Storage`."""
        data, _ = self._fetch(StoredObject(key=key, size_bytes=0), b"".join, limit_bytes=limit_bytes)
        return data[:limit_bytes]

    def download(self, stored: StoredObject, path: Path) -> Digest:
        """See `Storage`; the bytes are of one version of the object, the listed one if it is still there.

        Raises `BadInput` where it changes all the time, or comes twice with the same wrong checksum.
        """
        with local_io(path):
            digest, verified_by = self._fetch(stored, lambda chunks: save(path, chunks, key=stored.key, durable=False))
        return replace(digest, verified_by=verified_by)

    def digest(self, stored: StoredObject) -> Digest:
        """See `Storage`; as `download`."""
        digest, verified_by = self._fetch(stored, lambda chunks: drain(chunks, stored.key))
        return replace(digest, verified_by=verified_by)

    def upload(self, path: Path, key: str) -> None:
        """See `Storage`; large files in parts, which are given up if one fails."""
        with local_io(path), self._errors("PutObject", key):
            self._connection.run(lambda client: self._send(client, path, self._root + plain(key)))

    def _send(self, client: Any, path: Path, key: str) -> None:
        if STOPPING.is_set():
            raise CancelledError
        if path.stat().st_size < _TRANSFERS.multipart_threshold:
            with Outgoing(path) as file:  # a manager's threads and callbacks take a third to half as long again
                client.put_object(Bucket=self._bucket, Key=key, Body=file)
            return
        with TransferManager(client, _TRANSFERS) as transfers:
            transfers.upload(str(path), self._bucket, key, subscribers=[_Watch(path)]).result()

    def create(self, key: str, data: bytes) -> bool:
        """See `Storage`; where the store overwrites whatever we ask, a look before it has to do."""
        with self._errors("PutObject", key):
            if self._creates_only:
                return self._put_if(_ABSENT, plain(key), data)
            if any(stored.key == key for stored in self.list(key)):
                return False
        self.replace(key, data)
        return True

    def replace(self, key: str, data: bytes) -> None:
        """See `Storage`."""
        with self._errors("PutObject", key):
            self._put(plain(key), data, {})

    def swap(self, key: str, old: bytes, new: bytes) -> bool:
        """See `Storage`; a store that knows no conditions is not asked to keep any."""
        with self._errors("PutObject", key), suppress(Changed):
            for stored in self.list(plain(key)):
                if stored.key == key and b"".join(self._body(stored).chunks()) == old:
                    return self._put_over(stored.etag, key, new)
        return False

    def _put_over(self, etag: str, key: str, data: bytes) -> bool:
        if not self._creates_only:
            return self._put_if({}, key, data)
        written = (etag, etag.strip('"'))  # Ceph compares with the bare ETag, though it lists a quoted one
        return any(self._put_if({"IfMatch": one}, key, data) for one in written)

    def unfinished(self) -> Iterator[Unfinished]:
        """See `Storage`; these are uploads in parts."""
        with self._errors("ListBucketMultipartUploads", ""):
            yield from s3_unfinished.unfinished(self._client, self._bucket, self._root)

    def abandon(self, write: Unfinished) -> None:
        """See `Storage`."""
        with self._errors("AbortMultipartUpload", write.key):
            s3_unfinished.abandon(self._client, self._bucket, self._root + write.key, write.upload)

    def delete(self, key: str) -> None:
        """See `Storage`."""
        with self._errors("DeleteObject", key):
            try:
                name = {"Bucket": self._bucket, "Key": self._root + plain(key)}
                self._connection.run(lambda client: client.delete_object(**name))
            except ClientError as error:
                if code_of(error) != "NoSuchKey":  # Google Cloud Storage says so, others do not
                    raise

    @property
    def _client(self) -> Any:
        return self._connection.client

    @cached_property
    def _creates_only(self) -> bool:
        try:
            return not all(self._put_if(_ABSENT, _PROBE, _PROBE_TEXT) for _ in range(2))
        except ClientError as error:
            if status_of(error) != HTTPStatus.NOT_IMPLEMENTED:
                raise
            return False

    def _put_if(self, condition: Mapping[str, str], key: str, data: bytes) -> bool:
        for attempt in range(_CONFLICT_TRIES):
            status = self._put_once_if(condition, key, data)
            if status != HTTPStatus.CONFLICT:
                return status == HTTPStatus.OK
            retrying.pause(attempt)
        raise StorageError("others keep writing the object", where=self._where(key), remedy="try again")

    def _put_once_if(self, condition: Mapping[str, str], key: str, data: bytes) -> int:
        """Return `OK`, `CONFLICT` (another is under way), or `PRECONDITION_FAILED` or `NOT_FOUND`."""
        try:
            self._put(key, data, condition)
        except ClientError as error:
            if status_of(error) not in _UNMET and code_of(error) != "NoSuchKey":
                raise
            return status_of(error)
        return HTTPStatus.OK

    def _put(self, key: str, data: bytes, condition: Mapping[str, str]) -> None:
        wanted = {"Bucket": self._bucket, "Key": self._root + key, "Body": data, **condition}
        self._connection.run(lambda client: client.put_object(**wanted))

    def _fetch(
        self, stored: StoredObject, take: Callable[[Iterator[bytes]], Result], *, limit_bytes: int | None = None
    ) -> tuple[Result, tuple[str, ...]]:
        """Return what `take` makes of an object's bytes, from the first again if need be, and what verified them."""
        restarts = Restarts(stored.etag)
        with self._errors("GetObject", stored.key):
            while True:
                body = self._body(stored, limit_bytes)
                try:
                    return take(body.chunks()), body.verified_by
                except Changed:
                    restarts.after_change(body.etag, self._where(stored.key))
                    stored = replace(stored, etag="")
                except Damaged as damage:
                    restarts.after_damage(damage, self._where(stored.key))

    def _body(self, stored: StoredObject, limit_bytes: int | None = None) -> Body:
        wanted = {"Bucket": self._bucket, "Key": self._root + stored.key}

        def get(conditions: Mapping[str, str]) -> Any:
            return self._connection.run(lambda client: client.get_object(**wanted, **conditions))

        return Body(get, self._budget, stored, limit_bytes)

    def _errors(self, action: str, key: str) -> AbstractContextManager[None]:
        near = partial(self._connection.nearest_bucket, self._bucket)
        return translated(action, lambda: self._where(key), self._budget.told, near)

    def _where(self, key: str) -> str:
        return self._connection.where(key)


class _Watch(BaseSubscriber):  # type: ignore[misc]  # s3transfer says nothing of its types
    """Notes what has gone out; gives an upload up, with the parts that the store holds, once the job drops its work."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path

    def on_progress(self, future: TransferFuture, bytes_transferred: int, **_: object) -> None:
        note_sent(self._path, bytes_transferred)
        if STOPPING.is_set():
            future.cancel()
