import errno
import hashlib
from pathlib import Path
from typing import Any

import pytest

from job.errors import BadInput, LocalIOError, StorageError
from job.records import StoredObject
from job.storage import open_source, open_storage
from job.storage.s3 import S3Storage
from tests.storage.raw import client, put_raw
from tests.storage.scripted import Answer, ScriptedStore, error

pytest_plugins = ["tests.storage.stores"]

BODY = bytes(range(256)) * 4096  # 1 MiB
LISTED = StoredObject(key="model.pb", size_bytes=len(BODY), etag='"one"')


@pytest.fixture
def store() -> S3Storage:
    return S3Storage("bucket", "some/prefix")


def body(data: bytes = BODY, *, etag: str = '"one"', sent_bytes: int | None = None, reset: bool = False) -> Answer:
    return Answer(body=data, headers={"ETag": etag}, sent_bytes=sent_bytes, reset=reset)


def rest(data: bytes, start: int, *, etag: str = '"one"', sent_bytes: int | None = None) -> Answer:
    """Return the answer to a range that begins at `start` of `data`."""
    span = f"bytes {start}-{len(data) - 1}/{len(data)}"
    headers = {"ETag": etag, "Content-Range": span}
    return Answer(status=206, body=data[start:], headers=headers, sent_bytes=sent_bytes)


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def test_keys_that_no_directory_can_hold(s3_uri: str, tmp_path: Path) -> None:
    """Keys with empty parts, dots or control characters are listed and read as they are: they are names, not paths."""
    odd = ["a//b.pb", "../up.pb", "a/../b.pb", "./c.pb", "tab\there.pb", "end/"]
    for key in odd:
        put_raw(s3_uri, key, key.encode())
    source = open_source(s3_uri)
    listed = list(source.list())
    assert [stored.key for stored in listed] == sorted(odd)
    for stored in listed:
        assert source.read(stored.key) == stored.key.encode()
        assert source.download(stored, tmp_path / "copy").sha256 == sha256(stored.key.encode())


def test_directory_markers_are_no_objects(s3_uri: str) -> None:
    """The empty objects that consoles make for directories are not listed, the prefix's own neither."""
    for key in ("", "a/", "a/b"):
        put_raw(s3_uri, key, b"")
    assert [stored.key for stored in open_storage(s3_uri).list()] == ["a/b"]


def test_listing_is_paged(moto_uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """More keys than one answer holds are all listed."""
    monkeypatch.setenv("MOTO_S3_DEFAULT_MAX_KEYS", "3")
    for number in range(8):
        put_raw(moto_uri, f"key{number}", b"")
    assert len(list(open_storage(moto_uri).list())) == 8


@pytest.fixture
def small_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that goes up in three parts."""
    monkeypatch.setattr("job.storage.s3._TRANSFERS.multipart_threshold", 5 << 20)
    monkeypatch.setattr("job.storage.s3._TRANSFERS.multipart_chunksize", 5 << 20)
    (tmp_path / "large").write_bytes(BODY * 11)
    return tmp_path / "large"


def test_a_large_file_goes_up_in_parts(s3_uri: str, tmp_path: Path, small_parts: Path) -> None:
    """What is above the threshold is sent in parts, and comes back whole."""
    store = open_storage(s3_uri)
    store.upload(small_parts, "large")
    (stored,) = store.list()
    assert stored.etag.endswith('-3"')
    assert store.download(stored, tmp_path / "copy").sha256 == sha256(BODY * 11)


def test_a_failed_upload_leaves_no_parts(s3_uri: str, small_parts: Path) -> None:
    """Where a part cannot be sent, the upload is given up at the store too."""
    store = S3Storage(s3_uri.split("/")[2], "")

    def spoil(params: dict[str, object], **_: object) -> None:
        params["PartNumber"] = 20_000  # ten thousand is the most

    store._client.meta.events.register("before-parameter-build.s3.UploadPart", spoil)
    with pytest.raises(StorageError, match=r"InvalidArgument|InvalidPart"):
        store.upload(small_parts, "large")
    assert client().list_multipart_uploads(Bucket=store._bucket).get("Uploads", []) == []
    assert list(store.list("large")) == []


def test_download_resumes_where_the_connection_broke(scripted: ScriptedStore, store: S3Storage, tmp_path: Path) -> None:
    """After a cut body only the rest is asked for, and of the same version."""
    scripted.answer(body(sent_bytes=1000), rest(BODY, 1000, sent_bytes=9000), rest(BODY, 10_000))
    digest = store.download(LISTED, tmp_path / "copy")
    assert (digest.size_bytes, digest.sha256) == (len(BODY), sha256(BODY))
    assert (tmp_path / "copy").read_bytes() == BODY
    assert [request.headers.get("range") for request in scripted.requests] == [None, "bytes=1000-", "bytes=10000-"]
    assert {request.headers["if-match"] for request in scripted.requests} == {'"one"'}


def test_download_gives_up_on_a_connection_that_always_breaks(
    scripted: ScriptedStore, store: S3Storage, tmp_path: Path
) -> None:
    """Eight broken bodies are the store's failure, and no file is left."""
    scripted.answer(body(sent_bytes=1000))
    with pytest.raises(StorageError, match="broke 8 times"):
        store.download(LISTED, tmp_path / "copy")
    assert list(tmp_path.iterdir()) == []


def test_download_starts_again_on_a_changed_object(scripted: ScriptedStore, store: S3Storage, tmp_path: Path) -> None:
    """Where the listed version is gone, another is read from its first byte; two are never mixed."""
    changed = error(412, "PreconditionFailed")
    new = BODY[::-1]
    scripted.answer(body(sent_bytes=1000), changed, body(new, etag='"two"', sent_bytes=10), rest(new, 10, etag='"two"'))
    digest = store.download(LISTED, tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == new
    assert digest.sha256 == sha256(new)
    assert [request.headers.get("if-match") for request in scripted.requests] == ['"one"', '"one"', None, '"two"']


def test_download_of_an_object_that_never_rests_is_bad_input(
    scripted: ScriptedStore, store: S3Storage, tmp_path: Path
) -> None:
    """After three restarts the object is at fault."""
    scripted.answer(error(412, "PreconditionFailed"))
    with pytest.raises(BadInput, match="changed during each of 4 reads"):
        store.download(LISTED, tmp_path / "copy")
    assert list(tmp_path.iterdir()) == []


def test_a_body_of_another_size_than_listed_is_another_version(
    scripted: ScriptedStore, store: S3Storage, tmp_path: Path
) -> None:
    """A store that ignores If-Match is caught by the size."""
    scripted.answer(body(b"other"), body(b"other", etag='"two"'))
    assert store.download(LISTED, tmp_path / "copy").sha256 == sha256(b"other")
    assert len(scripted.requests) == 2


def test_read_resumes_too(scripted: ScriptedStore, store: S3Storage) -> None:
    """The head of an object survives a broken connection."""
    scripted.answer(rest(BODY[:100], 0, sent_bytes=30), rest(BODY[:100], 30))
    assert store.read("model.pb", limit_bytes=100) == BODY[:100]
    assert [request.headers["range"] for request in scripted.requests] == ["bytes=0-99", "bytes=30-99"]


def test_throttling_is_waited_out(scripted: ScriptedStore, store: S3Storage) -> None:
    """Seven refusals for haste, and then an answer, are an answer."""
    scripted.answer(*[error(503, "SlowDown")] * 7, body(b"data"))
    assert store.read("key") == b"data"


def test_a_store_that_ignores_the_condition_is_found_out(scripted: ScriptedStore, store: S3Storage) -> None:
    """Two creates of the same key that both succeed show that the store overwrites."""
    scripted.answer(Answer())
    assert not store.supports_create_only()
    assert [request.headers.get("if-none-match") for request in scripted.requests] == ["*", "*"]


def test_a_store_that_refuses_the_condition_is_found_out(scripted: ScriptedStore, store: S3Storage) -> None:
    """Not Implemented is an answer too."""
    scripted.answer(error(501, "NotImplemented"))
    assert not store.supports_create_only()


def test_without_the_condition_create_looks_first(scripted: ScriptedStore, store: S3Storage) -> None:
    """On a store that overwrites, create still leaves what it sees."""
    entry = b"<Contents><Key>some/prefix/key</Key><Size>1</Size><ETag>e</ETag></Contents>"
    listing = b"<ListBucketResult>%s</ListBucketResult>"
    scripted.answer(Answer(), Answer(), Answer(body=listing % entry))
    assert store.create("key", b"data") is False
    scripted.answer(Answer(body=listing % b""), Answer())
    assert store.create("key", b"data") is True
    assert scripted.requests[-1].method == "PUT"


def test_a_conflict_is_tried_again(scripted: ScriptedStore, store: S3Storage) -> None:
    """While another create is under way the store says so, and then who won."""
    conflict, exists = error(409, "ConditionalRequestConflict"), error(412, "PreconditionFailed")
    scripted.answer(exists, conflict, conflict, exists)
    assert store.create("key", b"data") is False
    scripted.answer(conflict)
    with pytest.raises(StorageError, match="others keep writing"):
        store.create("key", b"data")


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_body_has_one_digest_that_the_store_compares(monkeypatch: pytest.MonkeyPatch, scheme: str) -> None:
    """Without TLS its SHA-256 is signed; with TLS, which leaves the body unsigned, its MD5 goes along."""
    sent = dict[str, str]()

    def catch(request: Any, **_: object) -> None:
        sent.update(
            {
                name.lower(): (value.decode() if isinstance(value, bytes) else value)
                for name, value in request.headers.items()
            }
        )
        raise RuntimeError

    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "mine")
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"{scheme}://store.invalid:9")
    store = S3Storage("bucket", "")._client
    store.meta.events.register("before-send.s3.PutObject", catch)
    with pytest.raises(RuntimeError):
        store.put_object(Bucket="bucket", Key="key", Body=b"data")
    told = (sent.get("content-md5", ""), sent["x-amz-content-sha256"])
    assert told == (("", sha256(b"data")) if scheme == "http" else ("jXd/OF09/siBXSD3SWAm3A==", "UNSIGNED-PAYLOAD"))


@pytest.mark.s3
def test_a_damaged_body_is_refused(server_uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that checks Content-MD5, which unsigned bodies have, keeps nothing that was damaged on its way."""
    monkeypatch.setattr("job.storage.s3_client._signs_bodies", lambda _: False)
    monkeypatch.setattr("job.storage.s3_client._add_md5", lambda params, **_: params.update(ContentMD5="A" * 22 + "=="))
    store = open_storage(server_uri)
    with pytest.raises(StorageError, match="BadDigest"):
        store.replace("key", b"data")
    assert list(store.list()) == []


MD5 = hashlib.md5(BODY, usedforsecurity=False).hexdigest()


def flipped(position: int) -> bytes:
    return BODY[:position] + bytes([BODY[position] ^ 1]) + BODY[position + 1 :]


def test_a_flip_on_the_way_is_mended(scripted: ScriptedStore, store: S3Storage, tmp_path: Path) -> None:
    """An object whose MD5 its ETag tells is read again where other bytes came."""
    etag = f'"{MD5}"'
    scripted.answer(body(flipped(7), etag=etag), body(flipped(8), etag=etag), body(etag=etag))
    digest = store.download(StoredObject(key="model.pb", size_bytes=len(BODY), etag=etag), tmp_path / "copy")
    assert (digest.sha256, digest.verified_by) == (sha256(BODY), ("md5",))
    assert (tmp_path / "copy").read_bytes() == BODY
    assert len(scripted.requests) == 3


def test_a_flip_at_rest_is_bad_input(scripted: ScriptedStore, store: S3Storage, tmp_path: Path) -> None:
    """The same wrong bytes twice are what is stored: no third try, both checksums are named, and no file is left."""
    wrong, etag = flipped(7), f'"{MD5}"'
    scripted.answer(body(wrong, etag=etag))
    with pytest.raises(BadInput, match=f"its md5 is [0-9a-f]{{32}}, and {MD5} was expected") as caught:
        store.download(StoredObject(key="model.pb", size_bytes=len(BODY), etag=etag), tmp_path / "copy")
    assert "model.pb" in caught.value.where
    assert len(scripted.requests) == 2
    assert list(tmp_path.iterdir()) == []


def test_what_no_checksum_is_known_of_is_not_called_verified(
    scripted: ScriptedStore, store: S3Storage, tmp_path: Path
) -> None:
    """Bytes of a listed size and ETag are taken as they come."""
    scripted.answer(body(flipped(7)))
    assert store.download(LISTED, tmp_path / "copy").verified_by == ()


def test_what_a_user_says_is_compared(scripted: ScriptedStore, store: S3Storage, tmp_path: Path) -> None:
    """A SHA-256 from a manifest or a file beside it stands for what the store does not know."""
    scripted.answer(body())
    told = StoredObject(key="model.pb", size_bytes=len(BODY), etag='"one"', sha256=sha256(BODY))
    assert store.download(told, tmp_path / "copy").verified_by == ("sha256",)
    scripted.answer(body(flipped(7)))
    with pytest.raises(BadInput, match="its sha256 is"):
        store.download(told, tmp_path / "other")


@pytest.mark.parametrize("algorithm", ["CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256"])
def test_a_stores_own_checksum_is_compared(moto_uri: str, tmp_path: Path, algorithm: str) -> None:
    """What an uploader had the store keep is asked for and compared, with any of the algorithms of S3."""
    bucket, _, prefix = moto_uri.removeprefix("s3://").partition("/")
    client().put_object(Bucket=bucket, Key=f"{prefix}/key", Body=BODY, ChecksumAlgorithm=algorithm)
    source = open_storage(moto_uri)
    (stored,) = source.list()
    assert algorithm.lower() in source.download(stored, tmp_path / "copy").verified_by


def test_a_reset_in_the_middle_is_gone_on_from(scripted: ScriptedStore, store: S3Storage, tmp_path: Path) -> None:
    """A connection that is torn down costs no more than the piece that was on its way."""
    scripted.answer(body(sent_bytes=300_000, reset=True), body())  # to whatever is asked for then
    assert store.download(LISTED, tmp_path / "copy").sha256 == sha256(BODY)
    begun = int(scripted.requests[1].headers["range"].removeprefix("bytes=").removesuffix("-"))
    assert begun <= 300_000


def test_a_short_body_without_a_length_is_noticed(scripted: ScriptedStore, store: S3Storage, tmp_path: Path) -> None:
    """Where nothing says how long a body is, the listing does: what is missing is asked for."""
    cut = Answer(body=BODY[:1000], headers={"ETag": '"one"'}, unsized=True)
    scripted.answer(cut, rest(BODY, 1000))
    assert store.download(LISTED, tmp_path / "copy").sha256 == sha256(BODY)


def test_a_body_that_stays_short_is_the_stores_failure(
    scripted: ScriptedStore, store: S3Storage, tmp_path: Path
) -> None:
    """Eight times nothing more, and it is given up: another run may get the rest."""
    headers = {"ETag": '"one"', "Content-Range": f"bytes 1000-{len(BODY) - 1}/{len(BODY)}"}
    empty = Answer(status=206, headers=headers, unsized=True)
    scripted.answer(Answer(body=BODY[:1000], headers={"ETag": '"one"'}, unsized=True), empty)
    with pytest.raises(StorageError, match="at byte 1000"):
        store.download(LISTED, tmp_path / "copy")
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_fills_up_is_no_broken_connection(
    scripted: ScriptedStore, store: S3Storage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the file cannot be written there is nothing to ask for again, and what was written is gone."""

    def full(*_: object, **__: object) -> object:
        raise OSError(errno.ENOSPC, "No space left on device")

    scripted.answer(body())
    monkeypatch.setattr("job.storage.files.drain", full)
    with pytest.raises(LocalIOError, match="No space left"):
        store.download(LISTED, tmp_path / "copy")
    assert len(scripted.requests) <= 1
    assert list(tmp_path.iterdir()) == []


def test_keys_that_are_no_text_are_one_objects_error(scripted: ScriptedStore, store: S3Storage) -> None:
    """A listing goes on past a key in no known encoding; who reads it learns which, in characters that print."""
    entries = [f"<Contents><Key>some/prefix/{key}</Key><Size>1</Size></Contents>" for key in ("a%0A%1Bb", "c%FF", "d")]
    listing = f"<ListBucketResult><EncodingType>url</EncodingType>{''.join(entries)}</ListBucketResult>"
    scripted.answer(Answer(body=listing.encode()))
    keys = [stored.key for stored in store.list()]
    assert keys == ["a\n\x1bb", "c\ufffd", "d"]
    scripted.answer(error(404, "NoSuchKey"))
    for key in keys[:2]:
        with pytest.raises(BadInput, match="not there") as caught:
            store.read(key)
        assert caught.value.where.isprintable()


def test_a_listing_that_turns_in_circles_ends(scripted: ScriptedStore, store: S3Storage) -> None:
    """A store that gives the same page for ever is not believed."""
    more = "<IsTruncated>true</IsTruncated><NextContinuationToken>here</NextContinuationToken>"
    scripted.answer(Answer(body=f"<ListBucketResult>{more}</ListBucketResult>".encode()))
    with pytest.raises(StorageError, match="again and again"):
        list(store.list())
    assert len(scripted.requests) == 2


def test_parts_are_given_up_at_the_store(scripted: ScriptedStore, store: S3Storage, small_parts: Path) -> None:
    """Whatever ends an upload in parts, the store is told to forget them."""
    begun = Answer(body=b"<InitiateMultipartUploadResult><UploadId>id</UploadId></InitiateMultipartUploadResult>")
    scripted.answer(begun, error(400, "InvalidPart"))
    with pytest.raises(StorageError, match="InvalidPart"):
        store.upload(small_parts, "large")
    assert [(one.method, "uploadId=id" in one.path) for one in scripted.requests][-1] == ("DELETE", True)


ONE_LISTED = Answer(
    body=b"<ListBucketResult><KeyCount>1</KeyCount><Contents><Key>some/prefix/key</Key><Size>3</Size>"
    b"<ETag>&quot;e1&quot;</ETag></Contents></ListBucketResult>"
)


def swapped(scripted: ScriptedStore, store: S3Storage, *answers: Answer) -> bool:
    """Swap in a store that knows conditions and then answers so."""
    scripted.answer(error(412, "PreconditionFailed"))
    assert store.supports_create_only()
    scripted.answer(ONE_LISTED, *answers)
    return store.swap("key", b"old", b"new")


def test_a_swap_is_conditional_on_what_was_read(scripted: ScriptedStore, store: S3Storage) -> None:
    """If-Match with the ETag of the bytes that were compared; a conflict is tried again."""
    assert swapped(scripted, store, body(b"old", etag='"e1"'), error(409, "ConditionalRequestConflict"), Answer())
    assert [request.headers.get("if-match") for request in scripted.requests[-3:]] == ['"e1"'] * 3
    assert swapped(scripted, store, body(b"old", etag='"e1"'), error(412, "PreconditionFailed"), Answer())
    assert [request.headers.get("if-match") for request in scripted.requests[-2:]] == ['"e1"', "e1"]


@pytest.mark.parametrize("answer", [error(412, "PreconditionFailed"), error(404, "NoSuchKey")])
def test_what_changed_before_a_swap_is_left_alone(scripted: ScriptedStore, store: S3Storage, answer: Answer) -> None:
    """Who was changed or deleted meanwhile is not replaced, whether that is seen in reading or in writing."""
    assert not swapped(scripted, store, body(b"old", etag='"e1"'), answer)
    assert scripted.requests[-1].method == "PUT"
    assert not swapped(scripted, store, error(412, "PreconditionFailed"))
    assert scripted.requests[-1].method == "GET"
