from pathlib import Path

import pytest

from job.errors import Refused
from job.records import StoredObject
from job.storage.holes import MOST_HOLLOW, SMALL_BYTES, check_written
from job.storage.local import LocalStorage

LARGE_BYTES = 1000 * SMALL_BYTES


def hollow(path: Path, size_bytes: int, *pieces: tuple[int, bytes]) -> Path:
    """Write a file with nothing but some pieces in it; skips where the file system knows no holes."""
    with path.open("wb") as file:
        for position, piece in pieces:
            file.seek(position)
            file.write(piece)
        file.truncate(size_bytes)
    if path.stat().st_blocks * 512 > size_bytes / 2:
        pytest.skip("the file system knows no holes")
    return path


def test_file_of_holes_is_refused_before_it_is_copied(tmp_path: Path) -> None:
    """62 GiB that take no disk would fill scratch; the message says how much is declared and how much stored."""
    hollow(tmp_path / "data", LARGE_BYTES, (5, b"x"), (LARGE_BYTES // 2, b"y"))
    stored = StoredObject(key="data", size_bytes=LARGE_BYTES)
    with pytest.raises(Refused, match=rf"declares {LARGE_BYTES} bytes and stores \d{{4}}: ") as caught:
        LocalStorage(tmp_path).download(stored, tmp_path / "copy")
    assert "copy it again" in caught.value.remedy
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_some_holes_are_no_harm(tmp_path: Path) -> None:
    """Whoever copies files by holes where zeros were leaves most of a model as it is."""
    check_written(hollow(tmp_path / "small", SMALL_BYTES))
    pieces = [(at * SMALL_BYTES * 3, b"x" * (2 * 3 * SMALL_BYTES // MOST_HOLLOW)) for at in range(5)]
    check_written(hollow(tmp_path / "large", 15 * SMALL_BYTES, *pieces))
