import hashlib
import re
import socket
import time
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
from botocore import UNSIGNED
from botocore.config import Config

from job.errors import CredentialsExpired, StorageError
from job.storage import s3_client
from job.storage.outgoing import Outgoing
from job.storage.retrying import RetryBudget
from job.storage.s3 import S3Storage
from tests.storage.scripted import Answer, ScriptedStore, error

pytest_plugins = ["tests.storage.stores"]

EXPIRED = error(400, "ExpiredToken")


@pytest.fixture
def store(scripted: ScriptedStore) -> S3Storage:
    assert scripted.endpoint
    return S3Storage("bucket", "some/prefix")


def signed_with(scripted: ScriptedStore) -> list[str]:
    """Return the access keys that the requests were signed with."""
    return [one.headers["authorization"].partition("Credential=")[2].partition("/")[0] for one in scripted.requests]


@pytest.fixture
def credentials(aws: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A file with credentials, as an agent beside the job renews it."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        aws.delenv(name)
    aws.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    write_credentials(tmp_path / "credentials", "old")
    return tmp_path / "credentials"


def write_credentials(path: Path, name: str) -> None:
    path.write_text(f"[default]\naws_access_key_id={name}\naws_secret_access_key=x\naws_session_token={name}\n")


def test_expired_credentials_are_found_anew_once(
    scripted: ScriptedStore, store: S3Storage, credentials: Path, tmp_path: Path
) -> None:
    """What renews credentials puts them where they were found first: reading, listing and writing all go on."""
    (tmp_path / "file").write_bytes(b"data")
    scripted.answer(Answer(body=b"data"))
    assert store.read("key") == b"data"
    uses: tuple[Callable[[], object], ...] = (
        lambda: store.read("key"),
        lambda: list(store.list()),
        lambda: store.upload(tmp_path / "file", "key"),
    )
    for number, use in enumerate(uses):
        write_credentials(credentials, f"new{number}")
        scripted.answer(EXPIRED, Answer(body=b"<ListBucketResult/>"))
        use()
    assert signed_with(scripted) == ["old", "old", "new0", "new0", "new1", "new1", "new2"]


def test_credentials_that_stay_expired_end_with_their_own_code(scripted: ScriptedStore, store: S3Storage) -> None:
    """One search for new ones is all: then somebody has to renew them, and the next run goes on."""
    scripted.answer(EXPIRED)
    with pytest.raises(CredentialsExpired, match="renew the credentials"):
        store.read("key")
    assert len(scripted.requests) == 2


def test_a_listing_goes_on_where_its_credentials_expired(
    scripted: ScriptedStore, store: S3Storage, credentials: Path
) -> None:
    """Nothing is listed twice or left out."""
    page = "<ListBucketResult>{}<Contents><Key>some/prefix/{}</Key><Size>1</Size></Contents></ListBucketResult>"
    more = "<IsTruncated>true</IsTruncated><NextContinuationToken>here</NextContinuationToken>"
    write_credentials(credentials, "new")
    scripted.answer(Answer(body=page.format(more, "a").encode()), EXPIRED, Answer(body=page.format("", "b").encode()))
    assert [stored.key for stored in store.list()] == ["a", "b"]
    assert ["continuation-token=here" in one.path for one in scripted.requests] == [False, True, True]


@pytest.mark.parametrize("ahead_s", [-3600, 3600])
def test_a_wrong_clock_is_allowed_for(scripted: ScriptedStore, store: S3Storage, ahead_s: int) -> None:
    """After one refusal requests are dated by the store's clock, from then on."""
    there = datetime.now(timezone.utc) - timedelta(seconds=ahead_s)
    skewed = error(403, "RequestTimeTooSkewed")
    scripted.answer(
        Answer(status=skewed.status, body=skewed.body, headers={"Date": format_datetime(there, usegmt=True)}),
        Answer(body=b"data"),
    )
    assert store.read("key") == b"data"
    assert store.read("key") == b"data"
    dated = [
        datetime.strptime(one.headers["x-amz-date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=timezone.utc)
        for one in scripted.requests
    ]
    assert abs((dated[0] - there).total_seconds()) > 3000
    assert max(abs((date - there).total_seconds()) for date in dated[1:]) < 60
    days = {one.headers["authorization"].partition("Credential=")[2].split("/")[1] for one in scripted.requests[1:]}
    assert days == {there.strftime("%Y%m%d")}


def test_a_body_is_hashed_in_large_pieces(scripted: ScriptedStore, store: S3Storage, tmp_path: Path) -> None:
    """The signature of the AWS Common Runtime would read 4 KiB at a time."""
    path, reads = tmp_path / "file", list[int]()
    path.write_bytes(bytes(4 << 20))

    class Counted(Outgoing):
        def read(self, size: int | None = -1) -> bytes:
            reads.append(size or 0)
            return super().read(size)

        def readinto(self, buffer: Any) -> int | None:
            reads.append(len(buffer))
            return super().readinto(buffer)

    scripted.answer(Answer())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("job.storage.s3.Outgoing", Counted)
        store.upload(path, "key")
    assert min(size for size in reads) >= 1 << 14
    assert scripted.requests[0].headers["x-amz-content-sha256"] == hashlib.sha256(bytes(4 << 20)).hexdigest()


@pytest.mark.parametrize("signature", ["v4-s3express", "v4a", "s3v4a", "s3", "none", UNSIGNED])
def test_other_signatures_stay_what_they_are(signature: object) -> None:
    """Directory buckets, access points of several regions, old stores and anonymous requests are boto3's to sign."""
    assert s3_client._choose("ours", signature_version=signature) is None
    assert s3_client._choose("ours", signature_version="s3v4") == "ours"


@pytest.mark.parametrize(("ahead_s", "direction"), [(-3600, "behind"), (3600, "ahead")])
def test_a_clock_that_stays_wrong_is_told_in_seconds(
    scripted: ScriptedStore, store: S3Storage, ahead_s: int, direction: str
) -> None:
    """Who has to set it learns by how much."""
    there = datetime.now(timezone.utc) - timedelta(seconds=ahead_s)
    skewed = error(403, "RequestTimeTooSkewed")
    dated = Answer(status=403, body=skewed.body, headers={"Date": format_datetime(there, usegmt=True)})
    scripted.answer(dated)
    with pytest.raises(StorageError, match="clock") as caught:
        store.read("key")
    told = re.search(rf"this machine's is (\d+) s {direction}", caught.value.what)
    assert told is not None
    assert abs(int(told[1]) - 3600) < 120
    assert len(scripted.requests) == 2


def test_a_storm_ends_with_counts_and_soon(scripted: ScriptedStore, store: S3Storage, aws: pytest.MonkeyPatch) -> None:
    """A store that is busy all the time is not asked eight times for each of a thousand objects."""
    scripted.answer(error(503, "SlowDown"))
    aws.setattr("job.storage.retrying.JOB", RetryBudget(capacity=50))
    store = S3Storage("bucket", "some/prefix")
    lines = []
    for number in range(20):
        with pytest.raises(StorageError) as caught:
            store.read(f"key{number}")
        lines.append(str(caught.value))
    assert len(scripted.requests) == 10 + 19  # ten that the budget pays, and then one for each object
    assert "SlowDown" in lines[0]
    assert "in this run: 8 throttled" in lines[0]
    assert "in this run: 29 throttled" in lines[-1]


def test_stores_share_the_budget(scripted: ScriptedStore, aws: pytest.MonkeyPatch) -> None:
    """Source and destination are often the same store: what one has used up the other does not have."""
    scripted.answer(error(503, "SlowDown"))
    aws.setattr("job.storage.retrying.JOB", RetryBudget(capacity=40))
    for _ in range(2):
        with pytest.raises(StorageError):
            S3Storage("bucket", "some").read("key")
    assert len(scripted.requests) == 8 + 1


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_passing_failures_are_tried_again(scripted: ScriptedStore, store: S3Storage, status: int) -> None:
    """Stores other than Amazon's have their own words for them: the status counts."""
    scripted.answer(*[error(status, "TheirOwnWord")] * 3, Answer(body=b"data"))
    assert store.read("key") == b"data"
    assert len(scripted.requests) == 4


def test_a_status_that_stays_is_given_up_after_eight_tries(scripted: ScriptedStore, store: S3Storage) -> None:
    """429 too, which boto3 would not try again at all."""
    scripted.answer(error(429, "TheirOwnWord"))
    with pytest.raises(StorageError, match="TheirOwnWord"):
        store.read("key")
    assert len(scripted.requests) == 8


def test_a_connection_that_is_silent_is_left(scripted: ScriptedStore, aws: pytest.MonkeyPatch) -> None:
    """After a minute without a byte the rest is asked for anew; here after a second."""
    assert s3_client._CLIENT.read_timeout == 60
    aws.setattr("job.storage.s3_client._CLIENT", s3_client._CLIENT.merge(Config(read_timeout=1)))
    store, data = S3Storage("bucket", "some/prefix"), bytes(range(256)) * 1000
    span = {"Content-Range": f"bytes 196608-{len(data) - 1}/{len(data)}"}
    scripted.answer(
        Answer(body=data, sent_bytes=200_000, stalls=True), Answer(status=206, body=data[196_608:], headers=span)
    )
    start = time.monotonic()
    assert store.read("key") == data
    assert time.monotonic() - start < 10
    assert scripted.requests[1].headers["range"] == "bytes=196608-"


def test_checksums_are_asked_for_and_bodies_carry_theirs(scripted: ScriptedStore, store: S3Storage) -> None:
    """S3 tells a checksum only to those who ask; what is not sent by TLS has one in its signature."""
    scripted.answer(Answer())
    store.read("key")
    store.replace("key", b"data")
    assert scripted.requests[0].headers["x-amz-checksum-mode"] == "ENABLED"
    assert scripted.requests[1].headers["x-amz-content-sha256"] == hashlib.sha256(b"data").hexdigest()


def test_an_endpoint_that_never_answers_is_given_up_soon(aws: pytest.MonkeyPatch) -> None:
    """Eight tries are for those who have answered once."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        aws.setattr("job.storage.s3_client._CLIENT", s3_client._CLIENT.merge(Config(read_timeout=0.1)))
        aws.setenv("AWS_ENDPOINT_URL_S3", f"http://127.0.0.1:{silent.getsockname()[1]}")
        aws.setattr("botocore.endpoint.time.sleep", lambda _: None)
        start = time.monotonic()
        with pytest.raises(StorageError, match="cannot be reached") as caught:
            list(S3Storage("bucket", "some").list())
        assert time.monotonic() - start < 5
    assert "2 broken connections" in caught.value.what
