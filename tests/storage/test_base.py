"""The contract of `Storage`, over every store."""

import hashlib
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from job.errors import BadInput, JobError, LocalIOError, Refused
from job.records import StoredObject
from job.storage import open_storage
from job.storage.base import Storage

pytest_plugins = ["tests.storage.stores"]

ODD_KEYS = ("with space", "ünïcode/模型.pb", "plus+and%25&?#=", "a.b", "a/b", "a-b/c", "quote'\"", "..dots../...")


def filled(store: Storage, objects: dict[str, bytes]) -> Storage:
    for key, data in objects.items():
        store.replace(key, data)
    return store


def keys(store: Storage, prefix: str = "") -> list[str]:
    return [stored.key for stored in store.list(prefix)]


def stored(store: Storage, key: str) -> StoredObject:
    return next(found for found in store.list(key) if found.key == key)


def test_an_empty_store_lists_nothing(store: Storage) -> None:
    """A destination that nobody has written to is no error."""
    assert keys(store) == []
    assert keys(store, "some/prefix") == []


def test_lists_keys_in_order_with_sizes(store: Storage) -> None:
    """Keys come sorted as strings, so that what belongs together comes together, with their sizes."""
    filled(store, {key: key.encode() for key in ODD_KEYS})
    assert keys(store) == sorted(ODD_KEYS)
    assert {found.key: found.size_bytes for found in store.list()} == {key: len(key.encode()) for key in ODD_KEYS}


@pytest.mark.parametrize("prefix", ["a", "a/", "a/b", "a/bc", "ab/c", "nothing/", "z"])
def test_lists_by_prefix_as_a_string(store: Storage, prefix: str) -> None:
    """A prefix is the start of a key, wherever its last slash is."""
    everything = ("a/b", "a/bc", "a/d/e", "ab/c", "b")
    filled(store, dict.fromkeys(everything, b""))
    assert keys(store, prefix) == sorted(key for key in everything if key.startswith(prefix))


@pytest.mark.parametrize("key", ODD_KEYS)
def test_what_is_written_is_read(store: Storage, key: str, tmp_path: Path) -> None:
    """Bytes come back as they went, under any key that is made of plain names."""
    data = bytes(range(256)) * 1000
    (tmp_path / "file").write_bytes(data)
    store.upload(tmp_path / "file", key)
    assert store.read(key) == data
    assert store.read(key, limit_bytes=1000) == data[:1000]
    digest = store.download(stored(store, key), tmp_path / "new" / "copy")
    assert (tmp_path / "new" / "copy").read_bytes() == data
    assert (digest.key, digest.size_bytes, digest.sha256) == (key, len(data), hashlib.sha256(data).hexdigest())


def test_an_empty_object_is_an_object(store: Storage, tmp_path: Path) -> None:
    """Zero bytes can be stored, listed, read in part and downloaded."""
    (tmp_path / "file").touch()
    store.upload(tmp_path / "file", "empty")
    assert keys(store) == ["empty"]
    assert store.read("empty", limit_bytes=10) == b""
    assert store.download(stored(store, "empty"), tmp_path / "copy").size_bytes == 0
    assert (tmp_path / "copy").read_bytes() == b""


def test_reading_beyond_the_end_gives_what_is_there(store: Storage) -> None:
    """A limit is a limit, not a demand."""
    store.replace("short", b"abc")
    assert store.read("short", limit_bytes=1000) == b"abc"


def test_create_never_overwrites(store: Storage) -> None:
    """The first create stores; every later one says that it did not, and changes nothing."""
    assert store.create("commit.json", b"first") is True
    assert store.create("commit.json", b"second") is False
    assert store.read("commit.json") == b"first"


def test_one_of_many_creators_wins(store: Storage) -> None:
    """Of sixteen creates at the same time exactly one succeeds, and its bytes are what is stored."""
    assert store.supports_create_only()
    with ThreadPoolExecutor(16) as pool:
        won = list(pool.map(lambda number: store.create("deep/commit.json", b"%d" % number), range(16)))
    assert won.count(True) == 1
    assert store.read("deep/commit.json") == b"%d" % won.index(True)


def test_replace_overwrites(store: Storage) -> None:
    """The last replace stands."""
    store.replace("latest.json", b"a longer text")
    store.replace("latest.json", b"short")
    assert store.read("latest.json") == b"short"


def test_delete_leaves_nothing_behind(store: Storage) -> None:
    """A deleted object is not listed, cannot be read, and can be deleted again."""
    filled(store, {"a/b/c": b"1", "a/d": b"2"})
    store.delete("a/b/c")
    store.delete("a/b/c")
    assert keys(store) == ["a/d"]
    with pytest.raises(BadInput):
        store.read("a/b/c")


def test_the_probe_is_repeatable(store: Storage) -> None:
    """Every store here is create-only, and says so as often as it is asked."""
    assert store.supports_create_only()
    assert open_storage(store.uri).supports_create_only()


def test_a_missing_object_is_bad_input(store: Storage, tmp_path: Path) -> None:
    """What vanished between listing and reading is that artifact's error, and leaves no file."""
    gone = StoredObject(key="gone.pb", size_bytes=3, etag='"etag"')
    with pytest.raises(BadInput, match="not there"):
        store.read("gone.pb")
    with pytest.raises(BadInput, match="not there"):
        store.download(gone, tmp_path / "copy")
    assert not (tmp_path / "copy").exists()


@pytest.mark.parametrize("key", ["../out", "a/../../out", "/etc/out", "a//b", "a/", "", ".", "nul\0"])
def test_no_key_leads_out_of_the_root(store: Storage, key: str, tmp_path: Path) -> None:
    """Nothing is written under a key that is no plain relative path."""
    (tmp_path / "file").write_bytes(b"data")
    for write in (
        lambda: store.upload(tmp_path / "file", key),
        lambda: store.create(key, b"data"),
        lambda: store.replace(key, b"data"),
        lambda: store.delete(key),
    ):
        with pytest.raises(Refused, match="no plain relative key"):
            write()
    assert keys(store) in ([], ["_create_only_probe.txt"])
    assert not (tmp_path / "out").exists()


def test_a_digest_that_is_told_is_compared(store: Storage, tmp_path: Path) -> None:
    """Other bytes than a user has said are that artifact's error, which names both digests, and leave no file."""
    store.replace("key", b"data")
    right = replace(stored(store, "key"), sha256=hashlib.sha256(b"data").hexdigest())
    assert "sha256" in store.download(right, tmp_path / "copy").verified_by
    with pytest.raises(BadInput, match=f"its sha256 is {right.sha256}, and {'0' * 64} was expected"):
        store.download(replace(right, sha256="0" * 64), tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_a_missing_file_cannot_be_uploaded(store: Storage, tmp_path: Path) -> None:
    """A local file that is not there is this machine's error, and names the file."""
    with pytest.raises(LocalIOError) as caught:
        store.upload(tmp_path / "nothing", "key")
    assert caught.value.where == str(tmp_path / "nothing")
    assert keys(store) == []


def test_a_download_that_cannot_be_written_is_a_local_error(store: Storage, tmp_path: Path) -> None:
    """A full or forbidden scratch directory is told apart from an unreadable object."""
    store.replace("key", b"data")
    (tmp_path / "file").touch()
    with pytest.raises(LocalIOError) as caught:
        store.download(stored(store, "key"), tmp_path / "file" / "copy")
    assert str(tmp_path / "file") in caught.value.where


def test_errors_are_one_line(store: Storage) -> None:
    """What a user sees has no line break and says where."""
    with pytest.raises(JobError) as caught:
        store.read("gone")
    assert "\n" not in str(caught.value)
    assert store.uri in caught.value.where
    assert caught.value.remedy


def test_swap_stores_only_over_what_was_read(store: Storage) -> None:
    """Compare and swap by content: what is not there, or is another, is left alone."""
    assert store.swap("deep/latest.json", b"", b"new") is False
    assert keys(store) == []
    store.replace("deep/latest.json", b"old")
    store.replace("deep/latest.json.other", b"old")
    assert store.swap("deep/latest.json", b"other", b"new") is False
    assert store.read("deep/latest.json") == b"old"
    assert store.swap("deep/latest.json", b"old", b"new") is True
    assert (store.read("deep/latest.json"), store.read("deep/latest.json.other")) == (b"new", b"old")


def test_of_many_swaps_none_is_lost(store: Storage) -> None:
    """Writers that read, add one and swap until it works count to the right number."""
    store.supports_create_only()
    store.replace("count", b"0")

    def add_one() -> None:
        tries = (store.swap("count", old := store.read("count"), b"%d" % (int(old) + 1)) for _ in range(500))
        assert any(tries)

    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(add_one) for _ in range(12)]:
            done.result()
    assert store.read("count") == b"12"


def test_a_digest_is_that_of_the_bytes(store: Storage) -> None:
    """Without a copy on this machine."""
    data = bytes(range(256)) * 9000
    store.replace("key", data)
    digest = store.digest(stored(store, "key"))
    assert (digest.key, digest.size_bytes, digest.sha256) == ("key", len(data), hashlib.sha256(data).hexdigest())
    gone = stored(store, "key")
    store.delete("key")
    with pytest.raises(BadInput):
        store.digest(gone)


def test_objects_tell_when_they_were_stored(store: Storage) -> None:
    """By the store's clock, which gc compares with this machine's."""
    before_s = time.time()
    store.replace("key", b"data")
    assert before_s - 5 < stored(store, "key").modified_s < time.time() + 5


def test_nothing_is_unfinished_at_first(store: Storage) -> None:
    """Whole writes leave nothing behind."""
    store.replace("key", b"data")
    store.create("other", b"data")
    assert list(store.unfinished()) == []
