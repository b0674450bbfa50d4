import threading
import time
from pathlib import Path

import pytest

from job.errors import BadInput, LocalIOError, NoInput, StorageError
from job.pulling import PullAhead, beside, local_path, pull, pull_file, with_assets
from job.records import Artifact, ArtifactOptions, Digest, ErrorRecord, Format, StoredObject
from job.storage import open_storage
from tests.sources import MemoryStorage


class SlowStorage(MemoryStorage):
    """Writes down who was downloaded, and lets a test hold a download back."""

    def __init__(self, names: str, held: str = "") -> None:
        super().__init__({name: name.encode() for name in names})
        self.downloads: list[str] = []
        self.release = threading.Event()
        self.held = held

    def download(self, stored: StoredObject, path: Path) -> Digest:
        """See `Storage`."""
        self.downloads.append(stored.key)
        if stored.key == self.held:
            self.release.wait(10)
        if stored.key == "x":
            raise StorageError("the store failed")
        path.write_bytes(stored.key.encode())
        return Digest(key=stored.key, size_bytes=1, sha256="00")


def artifacts(names: str) -> list[Artifact]:
    """Return artifacts of one object each."""
    return [
        Artifact(name=name, format=Format.GRAPH_DEF, entry=name, objects=(StoredObject(key=name, size_bytes=1),))
        for name in names
    ]


def await_downloads(storage: SlowStorage, count: int) -> list[str]:
    """Wait until so many downloads have begun, and a little longer for one too many."""
    deadline = time.monotonic() + 5
    while len(storage.downloads) < count and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.1)
    return storage.downloads


def test_next_artifact_comes_while_one_is_at_work_and_only_that(tmp_path: Path) -> None:
    """Transfers overlap with compute, and scratch never holds more than two artifacts."""
    storage, (a, b, c) = SlowStorage("abc"), artifacts("abc")
    ahead = PullAhead(storage, tmp_path, [a, b, c])
    first = ahead.take(a)
    assert (first.directory / "a").read_text() == "a"
    assert first.directory == ahead.directory_of(a)
    assert await_downloads(storage, 2) == ["a", "b"]
    assert [ahead.take(b).sources[0].key, ahead.take(c).sources[0].key] == ["b", "c"]
    assert storage.downloads == ["a", "b", "c"]


def test_settling_waits_for_what_is_on_its_way(tmp_path: Path) -> None:
    """A benchmark begins only when no download takes the processor from it."""
    storage, (a, b) = SlowStorage("ab", held="b"), artifacts("ab")
    ahead = PullAhead(storage, tmp_path, [a, b])
    ahead.take(a)
    threading.Timer(0.3, storage.release.set).start()
    start = time.monotonic()
    ahead.settle()
    assert time.monotonic() - start > 0.2
    assert ahead.take(b).wall_s > 0.2
    ahead.settle()


def test_failed_download_is_the_error_of_its_own_artifact(tmp_path: Path) -> None:
    """What went wrong ahead of time is raised when that artifact's turn has come, and the one after it still comes."""
    a, x, c = artifacts("axc")
    ahead = PullAhead(SlowStorage("axc"), tmp_path, [a, x, c])
    assert ahead.take(a).sources
    with pytest.raises(StorageError):
        ahead.take(x)
    assert ahead.take(c).sources


def test_artifact_that_cannot_be_converted_is_not_downloaded(tmp_path: Path) -> None:
    """What is known to be broken is passed over for the one behind it."""
    a, b, c = artifacts("abc")
    broken = Artifact(
        name="b",
        format=b.format,
        entry="b",
        objects=b.objects,
        problem=ErrorRecord(exit_code=40, code_name="bad_input", what="broken"),
    )
    storage = SlowStorage("abc")
    PullAhead(storage, tmp_path, [a, broken, c]).take(a)
    assert await_downloads(storage, 2) == ["a", "c"]


@pytest.fixture
def full(tmp_path: Path) -> Path:
    """A directory in which nothing can be made, whoever tries: it is a file."""
    (tmp_path / "full").write_text("")
    return tmp_path / "full"


def test_files_that_the_manifest_names_come_along(tmp_path: Path) -> None:
    """A vocabulary of any name, anywhere below the source, is pulled under its key and counts as a source, once."""
    (artifact,) = artifacts("a")
    named = with_assets(artifact, ArtifactOptions(assets={"/gone/one": "b", "/gone/two": "b", "/gone/three": "a"}))
    assert [digest.key for digest in pull(SlowStorage("ab"), named, tmp_path)] == ["a", "b"]
    assert (tmp_path / "b").read_text() == "b"


def test_scratch_that_fails_is_a_local_error(full: Path) -> None:
    """A full or read-only disk is this machine's fault and worth another try elsewhere."""
    with pytest.raises(LocalIOError, match="full"):
        pull(SlowStorage("a"), artifacts("a")[0], full / "in")


@pytest.mark.parametrize("key", ["a/../b", "/a", "a//b", "a\0b", "./a", "a" * 300, "é" * 200])
def test_key_that_is_no_path_is_bad_input(tmp_path: Path, key: str) -> None:
    """A key decides where bytes are written: none may lead out of the artifact's directory or be cut."""
    with pytest.raises(BadInput, match="cannot be a file's path"):
        local_path(tmp_path, key)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("key", ["a", "a b/c", "..a/b..", "日本/モデル.pb", "a\\b", "\udcff.pb"])
def test_odd_keys_lie_below_the_directory(tmp_path: Path, key: str) -> None:
    """Whatever a file system takes as a name is kept as it is."""
    path = local_path(tmp_path, key)
    path.write_bytes(b"")
    assert path.relative_to(tmp_path).as_posix() == key


def test_files_of_one_name_do_not_meet(tmp_path: Path) -> None:
    """Two artifacts may both have an inputs.npz: each keeps its own."""
    for directory in ("a", "b"):
        (tmp_path / directory).mkdir()
        (tmp_path / directory / "in.npz").write_text(directory)
    (tmp_path / "scratch").mkdir()
    pulled = [pull_file(str(tmp_path / directory / "in.npz"), tmp_path / "scratch") for directory in ("a", "b", "a")]
    assert [path.read_text() for path in pulled] == ["a", "b", "a"]


@pytest.mark.parametrize(
    ("uri", "name", "found"),
    [
        ("s3://b/in/manifest.yaml", "x.npz", "s3://b/in/x.npz"),
        ("conf/manifest.yaml", "x/y.npz", "conf/x/y.npz"),
        ("/manifest.yaml", "x.npz", "/x.npz"),
        ("manifest.yaml", "x.npz", "x.npz"),
        ("conf/manifest.yaml", "/x.npz", "/x.npz"),
        ("conf/manifest.yaml", "s3://b/x.npz", "s3://b/x.npz"),
    ],
)
def test_names_in_a_file_are_relative_to_it(uri: str, name: str, found: str) -> None:
    """Containers mount a manifest at the root: what it names lies there, and not in the working directory."""
    assert beside(uri, name) == found


def test_directory_is_no_file(tmp_path: Path) -> None:
    """A directory where a file is wanted is said to be one; its first file is not taken for it."""
    open_storage(str(tmp_path / "in")).replace("other.yaml", b"x")
    with pytest.raises(NoInput, match="this is a directory"):
        pull_file(str(tmp_path / "in"), tmp_path)
    with pytest.raises(NoInput, match="nothing at the source"):
        pull_file(str(tmp_path / "in" / "absent.yaml"), tmp_path)
