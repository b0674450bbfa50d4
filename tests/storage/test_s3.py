import hashlib
from pathlib import Path

import pytest

from job.errors import (
    BadInput,
    StorageError,
)
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


def body(data: bytes = BODY, *, etag: str = '"one"', sent_bytes: int | None = None, status: int = 200) -> Answer:
    return Answer(status=status, body=data, headers={"ETag": etag}, sent_bytes=sent_bytes)


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
    """What is above the threshold is sent in parts, each with its MD5, and comes back whole."""
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


def test_bodies_travel_with_their_md5(scripted: ScriptedStore, store: S3Storage) -> None:
    """The store can tell that a body was damaged on its way."""
    scripted.answer(Answer())
    store.replace("key", b"data")
    assert scripted.requests[0].headers["content-md5"] == "jXd/OF09/siBXSD3SWAm3A=="


def test_download_resumes_where_the_connection_broke(scripted: ScriptedStore, store: S3Storage, tmp_path: Path) -> None:
    """After a cut body only the rest is asked for, and of the same version."""
    scripted.answer(body(sent_bytes=1000), body(BODY[1000:], sent_bytes=9000, status=206), body(BODY[10_000:]))
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
    scripted.answer(
        body(sent_bytes=1000), changed, body(new, etag='"two"', sent_bytes=10), body(new[10:], etag='"two"')
    )
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
    scripted.answer(body(BODY[:100], sent_bytes=30, status=206), body(BODY[30:100], status=206))
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
    with pytest.raises(StorageError, match="others keep creating"):
        store.create("key", b"data")


@pytest.mark.s3
def test_a_damaged_body_is_refused(server_uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that checks Content-MD5 keeps nothing that was damaged on its way."""
    monkeypatch.setattr("job.storage.s3._add_md5", lambda params, **_: params.update(ContentMD5="A" * 22 + "=="))
    store = open_storage(server_uri)
    with pytest.raises(StorageError, match="BadDigest"):
        store.replace("key", b"data")
    assert list(store.list()) == []
