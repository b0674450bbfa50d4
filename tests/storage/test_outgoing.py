import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from job.storage.base import Storage
from job.storage.files import PART_PREFIX, held_below
from job.storage.outgoing import Outgoing, forget_below, note_sent, noting, sent_below

pytest_plugins = ["tests.storage.stores"]


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[Path]:
    """A directory of files that go out; what is noted of them is forgotten."""
    (tmp_path / "out" / "variables").mkdir(parents=True)
    yield tmp_path / "out"
    forget_below(tmp_path)


def test_what_a_store_takes_is_noted(store: Storage, directory: Path) -> None:
    """Byte by byte of each file, a large one in parts too."""
    sizes = {"saved_model.pb": 1000, "variables/large": 70 << 20}
    for name, size_bytes in sizes.items():
        (directory / name).write_bytes(bytes(size_bytes))
        store.upload(directory / name, name)
    assert sent_below(directory) == sum(sizes.values())
    assert sent_below(directory / "variables") == 70 << 20


def test_what_has_to_go_once_more_is_taken_back(directory: Path) -> None:
    """A part that failed has not gone out."""
    note_sent(directory / "a", 10)
    note_sent(directory / "a", -10)
    note_sent(directory / "a", 10)
    assert sent_below(directory) == 10


def test_what_is_read_again_has_not_gone_twice(directory: Path) -> None:
    """A client reads a file for its hash and its length before it sends it, and once more after a failure."""
    (directory / "a").write_bytes(b"12345")
    with Outgoing(directory / "a") as file:
        assert (file.seek(0, os.SEEK_END), sent_below(directory)) == (5, 0)
        file.seek(0)
        assert (file.read(), sent_below(directory)) == (b"12345", 5)
        file.seek(0)
        assert (file.read(2), sent_below(directory)) == (b"12", 2)
        assert (file.read(None), file.read(), sent_below(directory)) == (b"345", b"", 5)


def test_another_directorys_bytes_are_its_own(directory: Path) -> None:
    """Several artifacts are published at a time; one that is done is forgotten alone."""
    note_sent(directory / "a", 1)
    note_sent(directory.with_name("out2") / "a", 2)
    assert (sent_below(directory), sent_below(directory.with_name("out2"))) == (1, 2)
    forget_below(directory)
    assert (sent_below(directory), sent_below(directory.with_name("out2"))) == (0, 2)


def test_bytes_are_noted_once_they_are_taken(directory: Path) -> None:
    """What nobody has taken yet has not gone."""
    passing = noting(directory / "a", [b"12", b"345"])
    assert next(passing) == b"12"
    assert sent_below(directory) == 0
    assert next(passing) == b"345"
    assert sent_below(directory) == 2


def test_what_has_come_is_seen_before_it_has_its_name(directory: Path) -> None:
    """A download's file is there under another name until it is whole."""
    (directory / "variables" / f"{PART_PREFIX}x").write_bytes(b"123")
    (directory / "a").write_bytes(b"1")
    assert held_below(directory) == 4
    assert held_below(directory / "absent") == 0
