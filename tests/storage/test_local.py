import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from job.errors import BadInput, Denied, LocalIOError, Refused
from job.records import StoredObject
from job.storage import files, local
from job.storage.local import LocalStorage


def failing(code: int) -> OSError:
    return OSError(code, os.strerror(code), "/some/file")


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.rglob("*"))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "root").mkdir()
    return tmp_path / "root"


@pytest.fixture
def store(root: Path) -> LocalStorage:
    return LocalStorage(root)


def test_a_link_out_of_the_root_is_refused(store: LocalStorage, root: Path, tmp_path: Path) -> None:
    """A source cannot make the job read files beside it; the link is listed, so that it is not lost in silence."""
    (tmp_path / "secret").write_text("secret")
    (root / "model.pb").symlink_to("../secret")
    (root / "up").symlink_to(tmp_path)
    assert [stored.key for stored in store.list()] == ["model.pb"]
    for key in ("model.pb", "up/secret"):
        with pytest.raises(Refused, match="a link leads out of the source"):
            store.read(key)
        with pytest.raises(Refused, match="a link leads out of the source"):
            store.download(StoredObject(key=key, size_bytes=6), tmp_path / "copy")


def test_a_link_within_the_root_is_its_file(store: LocalStorage, root: Path) -> None:
    """A link to a file below the root is listed with that file's size, and read."""
    (root / "real.pb").write_text("graph")
    (root / "link.pb").symlink_to("real.pb")
    assert {stored.key: stored.size_bytes for stored in store.list()} == {"link.pb": 5, "real.pb": 5}
    assert store.read("link.pb") == b"graph"


def test_a_link_to_nowhere_is_bad_input(store: LocalStorage, root: Path) -> None:
    """A broken link is that artifact's error."""
    (root / "model.pb").symlink_to("gone.pb")
    assert [stored.key for stored in store.list()] == ["model.pb"]
    with pytest.raises(BadInput, match="not there"):
        store.read("model.pb")


def test_the_root_may_be_a_link(root: Path, tmp_path: Path) -> None:
    """What counts is where files are, not by which name the root is reached."""
    (root / "model.pb").write_text("graph")
    (tmp_path / "link").symlink_to("root")
    assert LocalStorage(tmp_path / "link").read("model.pb") == b"graph"


def test_only_files_are_objects(store: LocalStorage, root: Path) -> None:
    """Pipes and directories are not listed, and reading one does not hang."""
    os.mkfifo(root / "pipe")
    (root / "directory").mkdir()
    assert list(store.list()) == []
    for key in ("pipe", "directory"):
        with pytest.raises(BadInput, match="no file"):
            store.read(key)


def test_what_is_half_written_is_not_listed(store: LocalStorage, root: Path) -> None:
    """What a writer left that was killed is no object."""
    (root / f"{files.PART_PREFIX}0123").write_text("ha")
    assert list(store.list()) == []


def test_names_that_are_no_text_are_keys(store: LocalStorage, root: Path) -> None:
    """A file name in no known encoding can still be listed and read."""
    (root / os.fsdecode(b"caf\xe9.pb")).write_text("graph")
    (stored,) = store.list()
    assert store.read(stored.key) == b"graph"


def test_published_files_are_for_everyone(store: LocalStorage, root: Path) -> None:
    """Files get the permissions that the user's umask says, not those of temporary files."""
    before = os.umask(0o022)
    try:
        store.replace("key", b"data")
        store.create("new", b"data")
    finally:
        os.umask(before)
    assert {stat.S_IMODE((root / name).stat().st_mode) for name in ("key", "new")} == {0o644}


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EDQUOT])
def test_a_failed_write_leaves_what_was_there(
    store: LocalStorage, root: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    """A full or read-only disk is a local error that names the file and the way out; no half of a file remains."""
    store.replace("key", b"old")
    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(failing(code)))
    with pytest.raises(LocalIOError, match=os.strerror(code)) as caught:
        store.replace("key", b"new")
    assert caught.value.where == "/some/file"
    assert "choose another directory" in caught.value.remedy
    monkeypatch.undo()
    assert store.read("key") == b"old"
    assert names(root) == ["key"]


def test_a_root_that_cannot_be_made_shows_at_the_probe(root: Path) -> None:
    """A destination below a file fails before any work."""
    (root / "file").touch()
    with pytest.raises(LocalIOError):
        LocalStorage(root / "file" / "dest").supports_create_only()


def test_the_probe_leaves_nothing(store: LocalStorage, root: Path) -> None:
    """A directory needs no probe that stays."""
    assert store.supports_create_only()
    assert names(root) == []


def test_create_without_hard_links(store: LocalStorage, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a file system has no hard links, create is create-only all the same."""

    def refuse(*_: object) -> None:
        raise failing(errno.EPERM)

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    assert store.create("commit.json", b"first")
    assert not store.create("commit.json", b"second")
    assert store.read("commit.json") == b"first"
    assert names(root) == ["commit.json"]


def test_create_below_a_file_is_an_error(store: LocalStorage) -> None:
    """A file where a directory should be does not pass for an object that exists."""
    store.replace("a", b"data")
    with pytest.raises(LocalIOError):
        store.create("a/b", b"data")


def test_deleting_the_last_file_removes_its_directories(store: LocalStorage, root: Path) -> None:
    """No empty tree stays behind, and the root does."""
    store.replace("a/b/c", b"data")
    store.delete("a/b/c")
    assert names(root) == []
    assert root.exists()


def changing(root: Path, times: int) -> Iterator[None]:
    """Change the file after each of its first `times` reads."""
    for number in range(times):
        (root / "model.pb").write_text(f"version {number}")
        yield
    while True:
        yield


@pytest.mark.parametrize(("times", "settles"), [(0, True), (3, True), (4, False)])
def test_a_file_that_changes_while_it_is_read(
    store: LocalStorage, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, times: int, *, settles: bool
) -> None:
    """A copy is of one version; a file that never rests is bad input, and leaves no copy."""
    (root / "model.pb").write_text("first")
    (stored,) = store.list()
    changes = changing(root, times)
    read = files.chunks_of

    def read_and_change(path: Path) -> Iterator[bytes]:
        yield from read(path)
        next(changes)

    monkeypatch.setattr(local, "chunks_of", read_and_change)
    if settles:
        digest = store.download(stored, tmp_path / "copy")
        assert (tmp_path / "copy").read_bytes() == (root / "model.pb").read_bytes()
        assert digest == files.digest_of(tmp_path / "copy", "model.pb")
    else:
        with pytest.raises(BadInput, match="changed during each of 4 reads"):
            store.download(stored, tmp_path / "copy")
        assert names(tmp_path) == ["model.pb", "root"]


def test_an_unreadable_file_is_bad_input(store: LocalStorage, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One file that may not be read is that artifact's error, and says who may not."""
    (root / "model.pb").touch()

    def refuse(*_: object) -> None:
        raise failing(errno.EACCES)

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(BadInput, match=f"let user {os.getuid()} read it"):
        store.read("model.pb")


def test_a_deep_tree_is_listed(root: Path, store: LocalStorage) -> None:
    """A path may have more parts than Python has stack."""
    deep = root
    for _ in range(120):
        deep = deep / "/".join(["d"] * 10)
        deep.mkdir(parents=True)
    (root / "model.pb").write_bytes(b"x")
    (deep / "model.pb").write_bytes(b"x")
    try:
        assert [stored.key.count("/") for stored in store.list()] == [1200, 0]
    finally:  # what pytest uses to remove directories has no more stack than others
        (deep / "model.pb").unlink()
        os.removedirs(deep)


def test_an_unreadable_directory_is_denied(store: LocalStorage, monkeypatch: pytest.MonkeyPatch) -> None:
    """A listing with a part missing would pass for the whole, so there is none."""

    def refuse(_: object) -> None:
        raise failing(errno.EACCES)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(Denied, match="cannot be listed"):
        list(store.list())


def test_a_prefix_cannot_lead_out_of_the_root(store: LocalStorage) -> None:
    """Nothing beside the root is listed."""
    with pytest.raises(Refused):
        list(store.list("../"))


def test_only_directories_that_may_hold_the_prefix_are_looked_into(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A source that is not there is sought beside its neighbours, which may be a whole machine's files."""
    for name in ("a/b/x.pb", "ab/x.pb", "neighbour/x.pb"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    seen: list[str] = []
    scandir = os.scandir

    def noted(directory: str) -> Any:
        seen.append(Path(directory).name)
        return scandir(directory)

    monkeypatch.setattr(os, "scandir", noted)
    assert [stored.key for stored in LocalStorage(tmp_path).list("a")] == ["a/b/x.pb", "ab/x.pb"]
    assert "neighbour" not in seen
