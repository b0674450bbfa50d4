import hashlib
import shutil
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotYet
from contextlib import AbstractContextManager
from pathlib import Path
from types import SimpleNamespace

import pytest

from job.errors import BadInput, LocalIOError, NoInput, StorageError
from job.lanes import Lane, Lanes
from job.pulling import Manners, PullAhead, beside, local_entry, local_path, pull, pull_file, with_assets
from job.records import Artifact, ArtifactOptions, Digest, ErrorRecord, Format, StoredObject
from job.requests import BenchmarkRequest, SourceRequest
from job.storage import open_storage
from tests.jobs import until
from tests.sources import MemoryStorage

BENCHMARK = BenchmarkRequest(
    source=SourceRequest(format=Format.GRAPH_DEF, directory="d", entry="e"), saved_model="s", effort="quick"
)


class SlowStorage(MemoryStorage):
    """Writes down who was downloaded, and lets a test hold a download back or fill the disk."""

    def __init__(self, names: str, held: str = "") -> None:
        super().__init__({name: name.encode() for name in names})
        self.downloads: list[str] = []
        self.release = threading.Event()
        self.held = held
        self.full: set[str] = set()
        self.wanted: list[StoredObject] = []
        self.verified_by: tuple[str, ...] = ()

    def download(self, stored: StoredObject, path: Path) -> Digest:
        """See `Storage`."""
        self.downloads.append(stored.key)
        self.wanted.append(stored)
        if stored.key == self.held:
            self.release.wait(10)
        if stored.key == "x":
            raise StorageError("the store failed")
        path.write_bytes(stored.key.encode())
        if stored.key in self.full:
            raise LocalIOError("local file error: No space left on device", where=str(path))
        return Digest(key=stored.key, size_bytes=1, sha256="00", verified_by=self.verified_by)


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


def test_as_many_come_ahead_as_are_wanted(tmp_path: Path) -> None:
    """Where several artifacts are at work at once, none of them waits for its download."""
    storage, (a, *_) = SlowStorage("abcde"), artifacts("abcde")
    ahead = PullAhead(storage, tmp_path, artifacts("abcde"), manners=Manners(ahead=3))
    ahead.take(a)
    assert sorted(await_downloads(storage, 4)) == ["a", "b", "c", "d"]


def test_benchmark_and_downloads_wait_for_each_other(tmp_path: Path) -> None:
    """A benchmark begins only when no download takes the processor from it, and none begins beside it."""
    storage, (a, b, c) = SlowStorage("abc", held="b"), artifacts("abc")
    lanes = Lanes([Lane(forkservers={})])
    ahead = PullAhead(storage, tmp_path, [a, b, c], manners=Manners(beside=lanes.transfer))
    ahead.take(a)
    await_downloads(storage, 2)
    start = time.monotonic()
    threading.Timer(0.3, storage.release.set).start()
    with lanes.turn(BENCHMARK):
        assert time.monotonic() - start > 0.2
        assert ahead.take(b).wall_s > 0.2
        assert await_downloads(storage, 3) == ["a", "b"]
    assert ahead.take(c).sources


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


@pytest.mark.parametrize("key", ["a\0b", "a" * 300, "é" * 200, f"b/{'a' * 256}"])
def test_key_that_no_file_can_have_is_bad_input(tmp_path: Path, key: str) -> None:
    """A file's name is kept, and never cut."""
    with pytest.raises(BadInput, match="cannot be a file's path"):
        local_path(tmp_path, key)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("key", ["a", "a b/c", "..a/b..", "日本/モデル.pb", "a\\b", "\udcff.pb"])
def test_odd_keys_lie_below_the_directory(tmp_path: Path, key: str) -> None:
    """Whatever a file system takes as a name is kept as it is."""
    path = local_path(tmp_path, key)
    path.write_bytes(b"")
    assert path.relative_to(tmp_path).as_posix() == key


@pytest.mark.parametrize(
    ("key", "path"),
    [
        ("a/../b", "a/%2E%2E/b"),
        ("../../etc/passwd", "%2E%2E/%2E%2E/etc/passwd"),
        ("/a", "%/a"),
        ("a//b", "a/%/b"),
        ("./a", "%2E/a"),
        ("a/", "a/%"),
        ("..", "%2E%2E"),
        ("%2E%2E/b", "%252E%2E/b"),
        ("%/100%", "%25/100%"),
        ("line\nfeed/\x1b[2J", "line\nfeed/\x1b[2J"),
        (f"{'d' * 256}/b", f"{hashlib.sha256(b'd' * 256).hexdigest()}/b"),
    ],
)
def test_key_that_is_no_path_gets_one(tmp_path: Path, key: str, path: str) -> None:
    """A key decides where bytes are written: none leads out of the artifact's directory, and no two to one place."""
    local_path(tmp_path, key).write_bytes(b"x")
    (written,) = (one for one in tmp_path.rglob("*") if one.is_file())
    assert written.relative_to(tmp_path).as_posix() == path


def test_key_of_the_greatest_length_has_a_path(tmp_path: Path) -> None:
    """The 1,024 bytes that a store allows, in parts that a file system allows and in ones that it does not."""
    for key in ("/".join(["é" * 100] * 5), "a/" * 510 + "model.pb", "d" * 1000 + "/model.pb"):
        local_path(tmp_path, key).write_bytes(b"x")
    assert sum(path.is_file() for path in tmp_path.rglob("*")) == 3


@pytest.mark.parametrize(
    ("entry", "keys", "local"),
    [
        ("", ["saved_model.pb"], ""),
        ("m/", ["m/saved_model.pb"], "m/"),
        ("/", ["/saved_model.pb"], "%/"),
        ("a//../m/", ["a//../m/saved_model.pb"], "a/%/%2E%2E/m/"),
        ("../x.pb", ["../x.pb"], "%2E%2E/x.pb"),
        ("end/", ["end/"], "end/%"),
        ("a//model.ckpt", ["a//model.ckpt.index"], "a/%/model.ckpt"),
        ("run/", ["run/.meta"], "run/"),
        (f"{'d' * 256}/", [f"{'d' * 256}/saved_model.pb"], f"{hashlib.sha256(b'd' * 256).hexdigest()}/"),
    ],
)
def test_entry_lies_where_its_objects_do(tmp_path: Path, entry: str, keys: list[str], local: str) -> None:
    """What a reader opens is below the directory, whatever the keys above it are called."""
    objects = tuple(StoredObject(key=key, size_bytes=1) for key in keys)
    artifact = Artifact(name="a", format=Format.GRAPH_DEF, entry=entry, objects=objects)
    assert local_entry(artifact) == local
    assert all(str(local_path(tmp_path, key)).startswith(f"{tmp_path}/{local}") for key in keys)


@pytest.mark.parametrize("keys", [("m/a", "m/a/b"), ("m/a", "m/a//b"), ("m/a/", "m/a//b"), ("m", "m/x", "m/y/z")])
def test_object_that_is_anothers_directory_is_bad_input(tmp_path: Path, keys: tuple[str, ...]) -> None:
    """A store holds both a and a/b, a file system does not: that artifact's error, and not the disk's."""
    objects = tuple(StoredObject(key=key, size_bytes=1) for key in keys)
    artifact = Artifact(name="a", format=Format.GRAPH_DEF, entry="m", objects=objects)
    with pytest.raises(BadInput, match="and objects below it"):
        pull(SlowStorage("a"), artifact, tmp_path)


def disk_with(monkeypatch: pytest.MonkeyPatch, free_bytes: int) -> None:
    """Let every disk have so much room, from now on."""
    monkeypatch.setattr("job.room.shutil.disk_usage", lambda _: SimpleNamespace(free=free_bytes))


def sized(name: str, size_bytes: int) -> Artifact:
    return Artifact(
        name=name, format=Format.GRAPH_DEF, entry=name, objects=(StoredObject(key=name, size_bytes=size_bytes),)
    )


def test_artifact_that_scratch_cannot_hold_is_not_begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Needed and free are told before the first byte comes, and a smaller one is still taken."""
    storage, big, small = SlowStorage("ab"), sized("a", 10_000_000), sized("b", 1_000_000)
    disk_with(monkeypatch, 20_000_000)
    ahead = PullAhead(storage, tmp_path, [big, small])
    with pytest.raises(LocalIOError, match=r"25\.0 MB needed, 20\.0 MB free") as caught:
        ahead.take(big)
    assert caught.value.exit_code == 71
    assert caught.value.where == str(tmp_path)
    assert ahead.take(small).sources
    assert storage.downloads == ["b"]


@pytest.mark.parametrize(("free_bytes", "begun"), [(3_900_000, ["a"]), (4_100_000, ["a", "b"])])
def test_next_one_waits_until_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free_bytes: int, begun: list[str]
) -> None:
    """Scratch holds a second artifact only where the first can still be converted beside it; it comes later, then."""
    storage, first, second = SlowStorage("ab"), sized("a", 1_000_000), sized("b", 1_000_000)
    disk_with(monkeypatch, free_bytes)
    ahead = PullAhead(storage, tmp_path, [first, second])
    ahead.take(first)
    assert await_downloads(storage, len(begun)) == begun
    shutil.rmtree(ahead.directory_of(first))
    assert ahead.take(second).sources
    assert storage.downloads == ["a", "b"]


def test_disk_that_was_full_ahead_of_time_is_tried_in_time(tmp_path: Path) -> None:
    """What did not fit beside another artifact fits when that one is gone; what was begun does not stay in its way."""
    storage, (a, b) = SlowStorage("ab"), artifacts("ab")
    ahead = PullAhead(storage, tmp_path, [a, b])
    storage.full = {"b"}
    ahead.take(a)
    await_downloads(storage, 2)
    until(lambda: not ahead.directory_of(b).exists())
    storage.full = set()
    assert ahead.take(b).sources[0].key == "b"
    assert storage.downloads == ["a", "b", "b"]


def test_room_that_others_take_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two artifacts at work at once the second waits where scratch does not hold both."""
    storage, first, second = SlowStorage("ab"), sized("a", 1_000_000), sized("b", 1_000_000)
    disk_with(monkeypatch, 3_000_000)
    ahead = PullAhead(storage, tmp_path, [first, second])
    directory = ahead.take(first).directory
    start = time.monotonic()
    threading.Timer(0.3, shutil.rmtree, [directory]).start()
    assert ahead.take(second).sources
    assert time.monotonic() - start > 0.2


def test_room_of_one_that_is_being_pulled_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two that are taken at once fit one after the other: the second comes once the first is pulled, and takes less."""
    storage, first, second = SlowStorage("ab", held="a"), sized("a", 1_000), sized("b", 1_000)
    disk_with(monkeypatch, 4_000)
    ahead = PullAhead(storage, tmp_path, [first, second], manners=Manners(ahead=0))
    with ThreadPoolExecutor(2) as pool:
        one = pool.submit(ahead.take, first)
        await_downloads(storage, 1)
        other = pool.submit(ahead.take, second)
        with pytest.raises(NotYet):
            other.result(0.5)
        storage.release.set()
        assert one.result(5).sources
        assert other.result(5).sources


def test_what_lies_ready_makes_room_where_nothing_else_will(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What an archive holds needs the room of its successor, which comes again when its turn has come."""
    storage, first, second, inner = SlowStorage("abc"), sized("a", 1_000), sized("b", 1_000), sized("c", 1_000)
    disk_with(monkeypatch, 4_000)
    outer = PullAhead(storage, tmp_path, [first, second])
    directory = outer.take(first).directory
    await_downloads(storage, 2)
    shutil.rmtree(directory)
    disk_with(monkeypatch, 3_000)
    taken = outer.within(storage, [inner]).take(inner).directory
    assert not outer.directory_of(second).exists()
    shutil.rmtree(taken)
    assert (outer.take(second).directory / "b").exists()
    assert storage.downloads == ["a", "b", "c", "b"]


def test_what_another_has_taken_is_not_begun_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One looks for room for the next artifact while another takes it, whose files stay as they are."""
    storage, (a, b) = SlowStorage("ab"), artifacts("ab")
    ahead = PullAhead(storage, tmp_path, [a, b])
    looks, look = threading.Event(), ahead._room.has_room

    def slow(artifact: Artifact) -> bool:
        looks.set()
        goes_on.wait(5)
        return look(artifact)

    goes_on = threading.Event()
    monkeypatch.setattr(ahead._room, "has_room", slow)
    with ThreadPoolExecutor(1) as pool:
        taking = pool.submit(ahead.take, a)
        assert looks.wait(5)
        taken = ahead.take(b)
        goes_on.set()
        taking.result(5)
    assert await_downloads(storage, 2) == ["a", "b"]
    assert (taken.directory / "b").exists()


def test_trouble_with_the_next_one_is_not_this_one_s(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is here is handed out, though nobody can tell whether there is room for more."""
    storage, (a, b) = SlowStorage("ab"), artifacts("ab")
    ahead = PullAhead(storage, tmp_path, [a, b])

    def fail(_: Artifact) -> bool:
        raise LocalIOError("read-only file system")

    monkeypatch.setattr(ahead._room, "has_room", fail)
    assert ahead.take(a).sources
    assert ahead.take(b).sources


def test_interrupt_in_a_download_is_raised_where_it_is_awaited(tmp_path: Path) -> None:
    """What waits for its leave to download learns of the end, and so does who waits for that."""

    def interrupted() -> AbstractContextManager[None]:
        raise KeyboardInterrupt("SIGTERM came")

    (a,) = artifacts("a")
    with pytest.raises(KeyboardInterrupt, match="SIGTERM came"):
        PullAhead(SlowStorage("a"), tmp_path, [a], manners=Manners(beside=interrupted)).take(a)


def test_who_waits_for_room_or_a_download_learns_of_the_end(tmp_path: Path) -> None:
    """No signal reaches a thread that waits."""

    def check() -> None:
        raise KeyboardInterrupt

    storage, (a,) = SlowStorage("a", held="a"), artifacts("a")
    with pytest.raises(KeyboardInterrupt):
        PullAhead(storage, tmp_path, [a], manners=Manners(check=check)).take(a)
    storage.release.set()


def test_disk_that_stays_full_is_a_local_error(tmp_path: Path) -> None:
    """One more try is all, and nothing half-pulled is left."""
    storage, (a, b) = SlowStorage("ab"), artifacts("ab")
    ahead = PullAhead(storage, tmp_path, [a, b])
    storage.full = {"b"}
    shutil.rmtree(ahead.take(a).directory)
    with pytest.raises(LocalIOError, match="No space left"):
        ahead.take(b)
    assert not ahead.directory_of(b).exists()


SHA256 = hashlib.sha256(b"a").hexdigest()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"{SHA256}\n", SHA256),
        (f"{SHA256.upper()}  a\n", SHA256),
        (f"SHA256 (a) = {SHA256}\n", SHA256),
        ("no digest\n", ""),
        (f"{SHA256} a\n{'0' * 64} b\n", ""),
    ],
)
def test_digest_beside_a_file_is_what_it_must_be(tmp_path: Path, text: str, expected: str) -> None:
    """A file of sha256sum's or of another program's beside an object is read for it; one that is about more is not."""
    storage, (a,) = SlowStorage("a"), artifacts("a")
    storage.files["a.sha256"] = text.encode()
    PullAhead(storage, tmp_path, [a], left_alone={"a.sha256"}).take(a)
    assert [stored.sha256 for stored in storage.wanted] == [expected]


def test_digest_in_the_manifest_is_what_it_must_be(tmp_path: Path) -> None:
    """It holds for the artifact's own files and for those that the manifest names, and before one that lies beside."""
    (a,) = artifacts("a")
    said = ArtifactOptions(assets={"/gone": "b"}, sha256={"a": SHA256.upper(), "b": "0" * 64, "c": "1" * 64})
    named = with_assets(a, said)
    assert [(stored.key, stored.sha256) for stored in named.objects] == [("a", SHA256), ("b", "0" * 64)]
    storage = SlowStorage("ab")
    storage.files["a.sha256"] = b"1" * 64
    PullAhead(storage, tmp_path, [named], left_alone={"a.sha256"}).take(named)
    assert [stored.sha256 for stored in storage.wanted] == [SHA256, "0" * 64]


def test_what_verified_an_archive_has_verified_what_is_in_it(tmp_path: Path) -> None:
    """Its files have come in it; nobody has checksums of them of their own."""
    (a,), (b,) = artifacts("a"), artifacts("b")
    storage = SlowStorage("a")
    storage.verified_by = ("crc32",)
    outer = PullAhead(storage, tmp_path, [a])
    outer.take(a)
    assert outer.within(SlowStorage("b"), [b]).take(b).sources[0].verified_by == ("crc32",)


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
