"""The checks themselves: a chaos run that finds nothing says something only if it would have found it."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.chaos.checks import Reader
from tests.chaos.shelves import Folder

HOME = "out/a.pb/0123456789ab"
ATTEMPT = f"{HOME}/ba9876543210"
FILES = {"saved_model/saved_model.pb": b"model", "report.json": b"{}", "log.jsonl": b""}


def commit(**changed: str) -> bytes:
    """Write a commit of the files above."""
    files = [
        {"path": path, "size_bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        for path, data in FILES.items()
    ]
    return json.dumps({"plan": "0123", "attempt": "ba9876543210", "files": files} | changed).encode()


@pytest.fixture
def shelf(tmp_path: Path) -> Folder:
    """A destination where all is well."""
    shelf = Folder(tmp_path)
    for path, data in FILES.items():
        shelf.put(f"{ATTEMPT}/{path}", data)
    shelf.put(f"{HOME}/commit.json", commit())
    pointer = {"commit": "0123456789ab/commit.json", "plan": "0123", "attempt": "ba9876543210"}
    saved_model = {"saved_model": "0123456789ab/ba9876543210/saved_model"}
    shelf.put("out/a.pb/latest.json", json.dumps(pointer | saved_model).encode())
    return shelf


def test_whole_result_passes(shelf: Folder) -> None:
    """Nothing is found where nothing is wrong, and an attempt without a commit is an orphan."""
    shelf.put(f"{HOME}/ffffffffffff/report.json", b"{}")
    reader = Reader(shelf, {"a.pb": b"model"})
    reader.look()
    reader.look_closely()
    assert (reader.violations, reader.artifacts(), reader.pointers) == ([], {"a.pb"}, {"a.pb"})
    assert reader.orphans() == {f"{HOME}/ffffffffffff": {f"{HOME}/ffffffffffff/report.json"}}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda shelf: (shelf.root / ATTEMPT / "report.json").unlink(), "report.json is missing"),
        (lambda shelf: shelf.put(f"{ATTEMPT}/report.json", b"[]"), "report.json has other bytes"),
        (lambda shelf: shelf.put(f"{ATTEMPT}/log.jsonl", b"half"), "log.jsonl has other bytes"),
        (lambda shelf: shelf.put(f"{HOME}/commit.json", commit(attempt="ffffffffffff")), "is missing"),
        (lambda shelf: shelf.put(f"{HOME}/commit.json", commit(plan="4567")), "latest.json names another attempt"),
        (lambda shelf: (shelf.root / HOME / "commit.json").unlink(), "latest.json names a commit that is not there"),
    ],
)
def test_what_is_partial_or_mixed_is_found(shelf: Folder, change: Callable[[Folder], None], said: str) -> None:
    """Each of these is what a reader of the destination must never see."""
    change(shelf)
    reader = Reader(shelf, {})
    reader.look_closely()
    assert said in " ".join(reader.violations)


def test_model_of_another_artifact_is_found(shelf: Folder) -> None:
    """Digests alone would not tell that two artifacts were mixed up."""
    reader = Reader(shelf, {"a.pb": b"what it should be"})
    reader.look()
    assert "another artifact's" in reader.violations[0]


def test_commit_that_changes_or_goes_is_found(shelf: Folder) -> None:
    """There is one commit for a plan, for ever."""
    reader = Reader(shelf, {})
    reader.look()
    shelf.put(f"{HOME}/commit.json", commit() + b"\n")
    reader.look_closely()
    assert reader.violations == [f"{HOME}/commit.json was overwritten"]
    (shelf.root / "out/a.pb/latest.json").unlink()
    (shelf.root / HOME / "commit.json").unlink()
    reader.look_closely()
    assert reader.violations[1:] == [f"{HOME}/commit.json is gone"]
