"""The checksums that stores keep of their objects and users of their files, compared while the bytes pass.

Of an object that was uploaded in parts a store may only have a checksum of the parts' checksums
(``…-12``): where the parts end is not told, and it is compared with nothing.
"""

import hashlib
import re
import zlib
from base64 import b64decode
from binascii import Error as NoBase64
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from functools import partial
from typing import Any, Final, Protocol

from awscrt import checksums

from job.errors import BadInput

_MD5: Final = re.compile("[0-9a-f]{32}")
_NOT_MD5: Final = "EXPRESS_ONEZONE"  # a storage class whose ETags are random


class Hasher(Protocol):
    """What `hashlib` makes."""

    def update(self, data: bytes, /) -> None:
        """Take in more bytes."""

    def hexdigest(self) -> str:
        """Return the checksum of all bytes so far."""


class _Crc:
    """A cyclic redundancy check of so many bytes; `continued` takes more bytes and the value so far."""

    def __init__(self, continued: Callable[[bytes, int], int], width: int) -> None:
        self._continued, self._width, self._value = continued, width, 0

    def update(self, data: bytes, /) -> None:
        """See `Hasher`."""
        self._value = self._continued(data, self._value)

    def hexdigest(self) -> str:
        """See `Hasher`."""
        return self._value.to_bytes(self._width, "big").hex()


ALGORITHMS: Final[Mapping[str, Callable[[], Hasher]]] = {
    "sha256": hashlib.sha256,
    "sha1": partial(hashlib.sha1, usedforsecurity=False),
    "crc64nvme": partial(_Crc, checksums.crc64nvme, 8),
    "crc32c": partial(_Crc, checksums.crc32c, 4),
    "crc32": partial(_Crc, zlib.crc32, 4),
    "md5": partial(hashlib.md5, usedforsecurity=False),
}


class Damaged(BadInput):
    """Bytes that came are not those that are stored; `actual` is of those that came."""

    def __init__(self, algorithm: str, expected: str, actual: str) -> None:
        remedy = "upload it again, or correct the checksum that is kept of it"
        super().__init__(f"its {algorithm} is {actual}, and {expected} was expected", remedy=remedy)
        self.actual = actual


class Checks:
    """Compares what passes with checksums in lower-case hex, by their algorithms."""

    def __init__(self, expected: Mapping[str, str]) -> None:
        self._expected = dict(expected)
        self._hashers = {algorithm: ALGORITHMS[algorithm]() for algorithm in expected}

    def update(self, chunk: bytes) -> None:
        """Take in the next bytes."""
        for hasher in self._hashers.values():
            hasher.update(chunk)

    def verify(self) -> tuple[str, ...]:
        """Return the algorithms by which all that passed is as expected; raises `Damaged` where it is not."""
        for algorithm, hasher in self._hashers.items():
            if hasher.hexdigest() != self._expected[algorithm]:
                raise Damaged(algorithm, self._expected[algorithm], hasher.hexdigest())
        return tuple(self._hashers)


def offered(answer: Mapping[str, Any]) -> dict[str, str]:
    """Return the checksums of the whole object that S3's answer to a GET names, one for each algorithm."""
    headers = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    return {
        **_from_etag(answer),
        **dict(_from_google(headers.get("x-goog-hash", ""))),
        **dict(_from_uploader(answer.get("Metadata", {}))),
        **dict(_from_store(answer)),
    }


def _from_store(answer: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for algorithm in ALGORITHMS:
        value = answer.get(f"Checksum{algorithm.upper()}", "")
        if "-" not in value and answer.get("ChecksumType") != "COMPOSITE":
            yield from _decoded(algorithm, value)


def _from_etag(answer: Mapping[str, Any]) -> dict[str, str]:
    """Take an ETag for the MD5 that it is of an object that came in one piece, and whose keys are not the user's."""
    etag = answer.get("ETag", "").strip('"')
    keyed = answer.get("ServerSideEncryption", "AES256") != "AES256" or "SSECustomerAlgorithm" in answer
    is_md5 = _MD5.fullmatch(etag) and not keyed and answer.get("StorageClass") != _NOT_MD5
    return {"md5": etag} if is_md5 else {}


def _from_google(header: str) -> Iterator[tuple[str, str]]:
    for part in header.split(","):
        algorithm, _, value = part.strip().partition("=")
        if algorithm in ALGORITHMS:
            yield from _decoded(algorithm, value)


def _from_uploader(metadata: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Take what uploading programs note: rclone an MD5, others a SHA-256."""
    yield from _decoded("md5", metadata.get("md5chksum", ""))
    if is_sha256(sha256 := metadata.get("sha256", "").lower()):
        yield "sha256", sha256


def is_sha256(text: str) -> bool:
    """Tell whether this is a SHA-256 in lower-case hex."""
    return re.fullmatch("[0-9a-f]{64}", text) is not None


def _decoded(algorithm: str, value: str) -> Iterator[tuple[str, str]]:
    with suppress(NoBase64, ValueError):
        digest = b64decode(value, validate=True).hex()
        if len(digest) == len(ALGORITHMS[algorithm]().hexdigest()):
            yield algorithm, digest
