"""The bytes of one version of an object, over as many connections as it takes."""

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from http import HTTPStatus
from typing import Any, Final

import structlog
from botocore import exceptions
from botocore.exceptions import ClientError
from urllib3.exceptions import HTTPError

from job.errors import BadInput, JobError, StorageError
from job.records import StoredObject
from job.storage.checksums import Checks, Damaged, offered
from job.storage.retrying import RetryBudget, pause
from job.storage.s3_errors import status_of

log = structlog.get_logger()

_FIRST_BYTES: Final = 1 << 16  # a connection that breaks loses at most so much, or twice what it has brought
_MOST_BYTES: Final = 1 << 18  # larger pieces do not stay in a processor's cache until they are hashed and written
_PROGRESS_BYTES: Final = _FIRST_BYTES  # a connection that has brought so much was worth its while
_FRUITLESS_TRIES: Final = 8  # in a row, until a body is given up
_QUIET_BREAKS: Final = 3  # that nobody needs to know of
_RESTARTS: Final = 3  # of an object that changes while it is read
_REGETS: Final = 2  # of an object that came damaged

_BROKEN: Final = (
    exceptions.IncompleteReadError,
    exceptions.ResponseStreamingError,
    exceptions.ReadTimeoutError,
    HTTPError,  # broken TLS, which botocore does not translate
    OSError,
)
"""What reading a body raises when the connection breaks or is silent for a minute: boto3 retries no bodies."""

Get = Callable[[Mapping[str, str]], Mapping[str, Any]]
"""Asks for an object under conditions (``Range``, ``IfMatch``) and returns the answer; raises `ClientError`."""


class Changed(StorageError):
    """An object became another while it was read."""

    def __init__(self) -> None:
        super().__init__("the object changed while it was read", remedy="run again when it is complete")


class _NothingThere(Exception):
    """The first bytes of an empty object were asked for."""


class Body:
    """One version of an object: the one that was listed, or where no ETag says which, the one that comes first.

    With `limit_bytes` its first bytes alone, which no checksum covers; else `stored.sha256` and whatever
    the store offers is compared, and `verified_by` names in the end what held.
    """

    def __init__(self, get: Get, budget: RetryBudget, stored: StoredObject, limit_bytes: int | None = None) -> None:
        self._get, self._budget, self._stored, self._limit_bytes = get, budget, stored, limit_bytes
        self.etag = stored.etag
        self._size_bytes = stored.size_bytes if stored.etag else None
        self._position = self._breaks = 0
        self._checks, self._has_begun = Checks({}), False
        self.verified_by: tuple[str, ...] = ()

    def chunks(self) -> Iterator[bytes]:
        """Yield the bytes in order; after a broken connection, go on where it broke.

        Raises `Changed`, `Damaged`, and `StorageError` when a connection brought nothing eight times in a row.
        """
        fruitless = 0
        while True:
            start, reason = self._position, "it ended early"
            try:
                answer = self._answer()
            except _NothingThere:
                return
            try:
                yield from self._passing(answer)
            except _BROKEN as error:
                reason = str(error) or type(error).__name__
            else:
                if self._is_whole():
                    break
            fruitless = 0 if self._position - start >= _PROGRESS_BYTES else fruitless + 1
            self._broke(fruitless, reason)
        self._budget.earn()
        self.verified_by = self._checks.verify()

    def _broke(self, fruitless: int, reason: str) -> None:
        self._breaks += 1
        if self._breaks == _QUIET_BREAKS + 1:
            log.warning("connection_unsteady", breaks=self._breaks, position=self._position, reason=reason)
        if fruitless and (not self._budget.spend("broken connections") or fruitless >= _FRUITLESS_TRIES):
            what = f"the connection broke {self._breaks} times, the last time at byte {self._position} ({reason})"
            raise StorageError(f"{what}; in this run: {self._budget.told()}", remedy="try again")
        pause(fruitless)

    def _passing(self, answer: Mapping[str, Any]) -> Iterator[bytes]:
        skipped = self._position - _begin_of(answer)  # all before, from a store that knows no ranges
        if skipped < 0:
            raise StorageError("the store answered another range than was asked", remedy="check the store")
        with closing(answer["Body"]) as body:
            for piece in _pieces(body):
                chunk, skipped = piece[skipped:], max(0, skipped - len(piece))
                if chunk:
                    self._position += len(chunk)
                    self._checks.update(chunk)
                    yield chunk
                if self._has_enough():
                    return

    def _answer(self) -> Mapping[str, Any]:
        conditions = {"Range": self._span(), "IfMatch": self.etag}
        try:
            answer = self._get({name: value for name, value in conditions.items() if value})
        except ClientError as error:
            is_beyond = status_of(error) == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE
            if status_of(error) == HTTPStatus.PRECONDITION_FAILED or (is_beyond and self._position):
                raise Changed from error
            if is_beyond:
                raise _NothingThere from error
            raise
        self._recognise(answer)
        return answer

    def _recognise(self, answer: Mapping[str, Any]) -> None:
        """Hold an answer against what is known of the object: a store may ignore the condition."""
        known, self.etag = self.etag, answer.get("ETag", self.etag)
        size_bytes = _size_of(answer)
        if known not in ("", self.etag) or (size_bytes is not None and self._size_bytes not in (None, size_bytes)):
            raise Changed
        self._size_bytes = self._size_bytes if size_bytes is None else size_bytes
        if not self._has_begun and self._limit_bytes is None:
            said = {"sha256": self._stored.sha256} if self._stored.sha256 else {}
            self._checks = Checks(offered(answer) | said)
        self._has_begun = True

    def _span(self) -> str:
        if self._limit_bytes is not None:
            return f"bytes={self._position}-{self._limit_bytes - 1}"
        return f"bytes={self._position}-" if self._position else ""

    def _has_enough(self) -> bool:
        return self._limit_bytes is not None and self._position >= self._limit_bytes

    def _is_whole(self) -> bool:
        return self._has_enough() or self._size_bytes in (None, self._position)


class Restarts:
    """How often an object that was `listed` under an ETag may be read from its first byte again."""

    def __init__(self, listed: str) -> None:
        self._listed, self._changes = listed, 0
        self._damages: list[str] = []

    def after_change(self, met: str, where: str) -> None:
        """Allow a restart, or raise `BadInput`; `met` is the ETag of the version that was there instead."""
        self._changes += 1
        if self._changes > _RESTARTS:
            what = f"the object changed during each of {self._changes} reads"
            etags = f"it was listed as {self._listed} and last met as {met}"
            raise BadInput(f"{what}; {etags}", where=where, remedy="run again when it is complete")

    def after_damage(self, damage: Damaged, where: str) -> None:
        """Allow a restart, or raise `BadInput` where the source is bad and `StorageError` where the way is."""
        is_stored = damage.actual in self._damages
        self._damages.append(damage.actual)
        if is_stored or len(self._damages) > _REGETS:
            raise _error_of(damage, len(self._damages), where, is_stored=is_stored) from damage


def _error_of(damage: Damaged, reads: int, where: str, *, is_stored: bool) -> JobError:
    if is_stored:
        return BadInput(f"the object is damaged: {damage.what}, {reads} times", where=where, remedy=damage.remedy)
    what = f"the object comes damaged, each of {reads} times in another way: {damage.what}"
    return StorageError(what, where=where, remedy="check the network, and run again")


def _pieces(body: Any) -> Iterator[bytes]:
    """Yield what comes: small pieces until the connection has shown that it holds, then what costs less a byte."""
    size_bytes = _FIRST_BYTES
    while piece := body.read(size_bytes):
        yield piece
        size_bytes = min(2 * size_bytes, _MOST_BYTES)


def _begin_of(answer: Mapping[str, Any]) -> int:
    found = re.match(r"bytes (\d+)-", answer.get("ContentRange", ""))
    return int(found[1]) if found else 0


def _size_of(answer: Mapping[str, Any]) -> int | None:
    """Return the size of the whole object; `None` where the answer does not tell."""
    found = re.search(r"/(\d+)$", answer.get("ContentRange", ""))
    if found or "ContentRange" in answer:
        return int(found[1]) if found else None
    length: int | None = answer.get("ContentLength")
    return length
