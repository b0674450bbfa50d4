import bz2
import gzip
import io
import lzma
import random
import stat
import tarfile
import zipfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import pytest

from job import unpacking
from job.errors import BadInput, JobError, LocalIOError, Refused
from job.unpacking import unpack

WHERE = "s3://bucket/models/a.tar"
FILES: Mapping[str, bytes] = {"a/saved_model.pb": b"graph" * 100, "a/variables/variables.index": b"index", "b": b""}


def regular(name: str, data: bytes = b"x") -> tuple[tarfile.TarInfo, bytes]:
    """Return an entry of a tar archive."""
    member = tarfile.TarInfo(name)
    member.size = len(data)
    return member, data


def special(name: str, kind: bytes, target: str = "") -> tuple[tarfile.TarInfo, bytes]:
    """Return an entry that is no regular file."""
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, target
    return member, b""


def tar_of(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    """Write a tar archive."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for member, content in members:
            archive.addfile(member, io.BytesIO(content))
    return data.getvalue()


def zip_of(files: Iterable[tuple[str | zipfile.ZipInfo, bytes]], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """Write a zip archive."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", method) as archive:
        for name, content in files:
            archive.writestr(name, content)
    return data.getvalue()


def whole(files: Mapping[str, bytes] = FILES) -> bytes:
    """Write a tar archive with a directory and files."""
    return tar_of(special("a/", tarfile.DIRTYPE), *(regular(name, data) for name, data in files.items()))


def unpacked(tmp_path: Path, data: bytes) -> dict[str, bytes]:
    """Unpack and return the files."""
    (tmp_path / "archive").write_bytes(data)
    left_alone = unpack(tmp_path / "archive", tmp_path / "out", WHERE)
    assert left_alone == ()
    return found(tmp_path / "out")


def found(directory: Path) -> dict[str, bytes]:
    """Return the files below a directory, which must hold nothing else."""
    paths = [path for path in directory.rglob("*") if not stat.S_ISDIR(path.lstat().st_mode)]
    assert all(stat.S_ISREG(path.lstat().st_mode) for path in paths)
    return {str(path.relative_to(directory)): path.read_bytes() for path in paths}


def refused(tmp_path: Path, data: bytes, kind: type[JobError] = Refused) -> str:
    """Unpack what must end with an error of this kind, and return its words."""
    (tmp_path / "archive").write_bytes(data)
    with pytest.raises(kind) as caught:
        unpack(tmp_path / "archive", tmp_path / "out", WHERE)
    assert type(caught.value) is kind
    assert caught.value.remedy
    return str(caught.value)


@pytest.mark.parametrize("compress", [bytes, gzip.compress, bz2.compress, lzma.compress])
def test_tar_comes_out_as_it_went_in(tmp_path: Path, compress: Callable[[bytes], bytes]) -> None:
    """Whatever compressed it, every regular file lies under its name."""
    assert unpacked(tmp_path, compress(whole())) == FILES


def test_zip_comes_out_as_it_went_in(tmp_path: Path) -> None:
    """Stored or compressed, with entries for directories or without."""
    assert unpacked(tmp_path, zip_of([("a/", b""), *FILES.items()])) == FILES
    assert unpacked(tmp_path, zip_of(FILES.items(), zipfile.ZIP_STORED)) == FILES


def test_harmless_ways_to_write_a_name_are_understood(tmp_path: Path) -> None:
    """``tar -C dir .`` writes ``./x``; some programs on Windows write backslashes into zips."""
    assert unpacked(tmp_path, tar_of(regular("./a//b"), regular("./c"))) == {"a/b": b"x", "c": b"x"}
    entry = zipfile.ZipInfo("x")
    entry.filename = "m\\variables\\v.index"
    assert "m/variables/v.index" in unpacked(tmp_path, zip_of([(entry, b"x")]))


NAMES = ["/etc/passwd", "../up", "a/../../up", "..", "C:/boot.ini"]


@pytest.mark.parametrize("name", NAMES)
def test_name_that_reaches_out_is_refused(tmp_path: Path, name: str) -> None:
    """Nothing of such an archive is trusted, and nothing is written outside."""
    for data in (tar_of(regular("ok"), regular(name)), zip_of([("ok", b"x"), (name, b"x")])):
        assert "reaches out of its directory" in refused(tmp_path, data)
    assert {path.name for path in tmp_path.iterdir()} <= {"archive", "out"}
    assert set(found(tmp_path / "out")) <= {"ok"}


def _zip_link(name: str, target: str) -> tuple[zipfile.ZipInfo, bytes]:
    entry = zipfile.ZipInfo(name)
    entry.create_system, entry.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
    return entry, target.encode()


@pytest.mark.parametrize("target", ["/etc", "../..", "../../etc/passwd", ".."])
def test_link_that_leads_out_is_refused(tmp_path: Path, target: str) -> None:
    """Soft or hard, in tar or zip: it is neither made nor followed."""
    hard = target if target.startswith("/") else f"x/../{target}"
    for data in (
        tar_of(special("a", tarfile.SYMTYPE, target), regular("a/x")),
        tar_of(special("a", tarfile.LNKTYPE, hard)),
        zip_of([_zip_link("a", target)]),
    ):
        assert "a link that leads out" in refused(tmp_path, data)
    assert found(tmp_path / "out") == {}


def test_links_and_devices_are_left_alone(tmp_path: Path) -> None:
    """What is no regular file is named with the reason; a file behind a link's name is a plain file."""
    data = tar_of(
        regular("m/model.ckpt-5"),
        special("m/latest", tarfile.SYMTYPE, "model.ckpt-5"),
        special("m/same", tarfile.LNKTYPE, "m/model.ckpt-5"),
        special("m/null", tarfile.CHRTYPE),
        special("m/pipe", tarfile.FIFOTYPE),
        special("d", tarfile.SYMTYPE, "m"),
        regular("d/x"),
    )
    (tmp_path / "archive").write_bytes(data)
    left_alone = {one.key: one.reason for one in unpack(tmp_path / "archive", tmp_path / "out", WHERE)}
    assert sorted(left_alone) == ["d", "m/latest", "m/null", "m/pipe", "m/same"]
    assert left_alone["m/latest"] == (
        "a link to 'model.ckpt-5', which is not followed: put the file itself in its place"
    )
    assert "device" in left_alone["m/null"]
    assert found(tmp_path / "out") == {"m/model.ckpt-5": b"x", "d/x": b"x"}


@pytest.fixture
def small_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpacking, "FREE_BYTES", 2**22)
    monkeypatch.setattr(unpacking, "MAX_ENTRIES", 50)
    monkeypatch.setattr(unpacking, "MAX_READ_BYTES", 2**20)


def _sparse_bomb() -> bytes:
    """Return a tar whose one file of 512 stored bytes claims to be 100 GiB with holes."""
    header = bytearray(regular("w", b"y" * 512)[0].tobuf(tarfile.GNU_FORMAT))
    header[156:157] = tarfile.GNUTYPE_SPARSE
    header[386:410] = b"%011o\0%011o\0" % (0, 512)
    header[483:495] = b"\x80" + (100 * 2**30).to_bytes(11, "big")  # as numbers beyond 8 GiB are written
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header) + b"y" * 512 + bytes(1024)


BOMBS: Mapping[str, Callable[[], bytes]] = {
    "gzip": lambda: gzip.compress(tar_of(regular("w", bytes(2**23)))),
    "bzip2": lambda: bz2.compress(tar_of(regular("w", bytes(2**23)))),
    "xz": lambda: lzma.compress(tar_of(regular("w", bytes(2**23)))),
    "gzip, behind the end": lambda: gzip.compress(whole() + bytes(2**23)),
    "zip": lambda: zip_of([("w", bytes(2**23))]),
    "zip of many": lambda: zip_of([(f"w{number}", bytes(2**19)) for number in range(20)]),
    "sparse": _sparse_bomb,
}


@pytest.mark.usefixtures("small_limits")
@pytest.mark.parametrize("bomb", BOMBS)
def test_bomb_is_refused_before_it_fills_the_disk(tmp_path: Path, bomb: str) -> None:
    """What grows to more than 100 times its size ends early, by what is written and not by what is declared."""
    assert "grows to more than 100 times its size" in refused(tmp_path, BOMBS[bomb]())
    assert sum(map(len, found(tmp_path / "out").values())) <= 2**22


@pytest.mark.usefixtures("small_limits")
def test_archive_of_too_many_entries_is_refused(tmp_path: Path) -> None:
    """Directories and links count as well."""
    for data in (
        tar_of(*(special(f"d{number}", tarfile.DIRTYPE) for number in range(60))),
        zip_of((f"d{number}/", b"") for number in range(60)),
    ):
        assert "more than 50 entries" in refused(tmp_path, data)


@pytest.mark.usefixtures("small_limits")
def test_notes_of_the_archive_itself_are_not_read_into_memory(tmp_path: Path) -> None:
    """A tar's long name and a zip's directory may each claim gigabytes."""
    long_name = tarfile.TarInfo("././@LongLink")
    long_name.type, long_name.size = tarfile.GNUTYPE_LONGNAME, 2**20 + 4096
    assert "too much memory" in refused(tmp_path, tar_of((long_name, b"n" * long_name.size)))
    many = zip_of(((f"{number:0250}", b"") for number in range(4000)), zipfile.ZIP_STORED)
    assert "too much memory" in refused(tmp_path, many)


def test_path_too_long_for_this_system_is_no_fault_of_this_machine(tmp_path: Path) -> None:
    """The disk is sound: another try would end the same way."""
    with pytest.raises(BadInput, match="longer than this system's"):
        unpacked(tmp_path, zip_of((("a/" * 3000 + "m.pb", b"x"),)))


def test_file_and_directory_of_one_name_are_no_fault_of_this_machine(tmp_path: Path) -> None:
    """The disk is sound: another try would end the same way."""
    assert "a file and a directory of one name: a/b" in refused(
        tmp_path, tar_of(regular("a"), regular("a/b")), BadInput
    )
    assert "of one name: c" in refused(tmp_path, tar_of(regular("c/d"), regular("c")), BadInput)


def test_full_disk_is_this_machines_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may be tried again elsewhere, and the archive is not blamed."""

    def full(*_args: object, **_said: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(unpacking, "save", full)
    assert "No space left" in refused(tmp_path, whole(), LocalIOError)


def test_encrypted_zip_is_told(tmp_path: Path) -> None:
    """Nobody is asked for a password."""
    data = bytearray(zip_of([("m/saved_model.pb", b"x")], zipfile.ZIP_STORED))
    for header, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(header) + flags] |= 1
    assert "the archive is encrypted" in refused(tmp_path, bytes(data), BadInput)


def test_unknown_compression_is_told(tmp_path: Path) -> None:
    """Python lacks some methods that others write."""
    data = bytearray(zip_of([("m/saved_model.pb", b"x")]))
    for header, method in ((b"PK\x03\x04", 8), (b"PK\x01\x02", 10)):
        data[data.index(header) + method] = 97
    assert "cannot be read" in refused(tmp_path, bytes(data), BadInput)


ARCHIVES: Mapping[str, bytes] = {
    "tar": whole(),
    "tar.gz": gzip.compress(whole()),
    "tar.bz2": bz2.compress(whole()),
    "tar.xz": lzma.compress(whole()),
    "zip": zip_of(FILES.items()),
}


@pytest.mark.parametrize("name", ARCHIVES)
def test_cut_archive_is_damaged(tmp_path: Path, name: str) -> None:
    """A download that broke off in a file is told with its remedy."""
    data = ARCHIVES[name]
    cut = data[: 512 + 512 + 200] if name == "tar" else data[: len(data) * 2 // 3]
    words = refused(tmp_path, cut, BadInput)
    assert "the archive is damaged" in words
    assert words.endswith(f"{WHERE}; copy it again from where it is whole")


@pytest.mark.parametrize("name", ARCHIVES)
def test_flipped_bytes_end_well_or_are_told(tmp_path: Path, name: str) -> None:
    """Of 40 archives with damage none ends with an error that is not ours.

    What is compressed has a checksum, so that no damaged weights come out of it; a plain tar has none.
    """
    source = random.Random(0)  # noqa: S311 - no secret
    for number in range(40):
        data = bytearray(ARCHIVES[name])
        data[source.randrange(len(data))] ^= source.randrange(1, 256)
        out = tmp_path / str(number)
        (tmp_path / "archive").write_bytes(data)
        try:
            unpack(tmp_path / "archive", out, WHERE)
        except (BadInput, Refused):
            continue
        contents = set(found(out).values()) if out.exists() else set[bytes]()
        assert name == "tar" or contents <= set(FILES.values())


def test_damaged_header_is_not_the_end(tmp_path: Path) -> None:
    """The library would end quietly at the first header that it cannot read, and models would be missing."""
    data = bytearray(tar_of(regular("a"), regular("b"), regular("c")))
    data[1024 + 148] ^= 7
    assert "data follows its end" in refused(tmp_path, bytes(data), BadInput)
