import subprocess
import sys
from pathlib import Path

import pytest

from job.errors import NoInput, UsageError
from job.storage import open_source, open_storage
from job.storage.base import Storage
from tests.fakes import put

pytest_plugins = ["tests.storage.stores"]

FILES = (
    "frozen.pb",
    "frozen.pb.bak",
    "model.ckpt-5.index",
    "model.ckpt-5.meta",
    "model.ckpt-5.data-00000-of-00002",
    "model.ckpt-5.data-00001-of-00002",
    "model.ckpt-50.index",
    "old.ckpt",
    "old.ckpt.meta",
    "old2.ckpt-00000-of-00001",
    "keras/model.json",
    "keras/other.h5",
    "keras/sub/model.json",
    "keras/weights.h5",
    "saved/saved_model.pb",
    "saved/variables/variables.index",
    "saved/assets/vocabulary.txt",
    "saved/notes.txt",
)
CHECKPOINT = [name for name in sorted(FILES) if name.startswith("model.ckpt-5.")]


@pytest.fixture
def filled(uri: str) -> str:
    store = open_storage(uri)
    for name in FILES:
        store.replace(name, name.encode())
    return uri


def listed(uri: str, prefix: str = "") -> list[str]:
    return [stored.key for stored in open_source(uri).list(prefix)]


@pytest.mark.parametrize("slash", ["", "/"])
def test_a_prefix_is_all_below_it(filled: str, slash: str) -> None:
    """A directory is the whole of it, with or without a slash at its end."""
    assert listed(filled + slash) == sorted(FILES)
    assert listed(f"{filled}/saved{slash}") == [
        "assets/vocabulary.txt",
        "notes.txt",
        "saved_model.pb",
        "variables/variables.index",
    ]


@pytest.mark.parametrize(
    ("name", "belonging"),
    [
        ("frozen.pb", ["frozen.pb"]),
        ("model.ckpt-5", CHECKPOINT),
        ("model.ckpt-5.meta", CHECKPOINT),
        ("model.ckpt-5.index", CHECKPOINT),
        ("model.ckpt-5.data-00001-of-00002", CHECKPOINT),
        ("old.ckpt", ["old.ckpt", "old.ckpt.meta"]),
        ("old2.ckpt", ["old2.ckpt-00000-of-00001"]),
        ("keras/weights.h5", ["model.json", "weights.h5"]),
        ("saved/saved_model.pb", ["assets/vocabulary.txt", "saved_model.pb", "variables/variables.index"]),
    ],
)
def test_one_artifact_is_what_belongs_to_it(filled: str, name: str, belonging: list[str]) -> None:
    """A URI of one file is that file with what it cannot do without; what only looks alike is left out."""
    assert listed(f"{filled}/{name}") == belonging


def test_one_artifact_can_be_listed_by_prefix(filled: str) -> None:
    """A prefix narrows what belongs to the artifact, and never widens it."""
    assert listed(f"{filled}/model.ckpt-5", "model.ckpt-5.d") == CHECKPOINT[:2]
    assert listed(f"{filled}/model.ckpt-5", "m") == CHECKPOINT
    assert listed(f"{filled}/model.ckpt-5", "f") == []


def test_what_lies_beside_one_artifact_can_be_read(filled: str) -> None:
    """An asset that a manifest names need not belong to the artifact."""
    assert open_source(f"{filled}/frozen.pb").read("saved/notes.txt") == b"saved/notes.txt"


@pytest.mark.parametrize("name", ["nothing", "nothing/", "nothing/at/all.pb", "froz", "frozen.pb/"])
def test_a_missing_source_is_no_input(filled: str, name: str) -> None:
    """Where there is nothing, the error names the URI as it was given."""
    with pytest.raises(NoInput) as caught:
        open_source(f"{filled}/{name}")
    assert caught.value.where == f"{filled}/{name}"


def test_a_file_uri_is_a_path(tmp_path: Path) -> None:
    """Percent signs are decoded, as browsers write them; signs that end a web page's path are as good as any."""
    for name in ("run#1", "what?x"):
        put(tmp_path / name, "model.pb")
        assert listed(f"file://{tmp_path}/{name}") == ["model.pb"]
    (tmp_path / "a b").mkdir()
    (tmp_path / "a b" / "model.pb").touch()
    assert listed(f"file://{tmp_path}/a%20b") == ["model.pb"]
    assert listed(f"file://localhost{tmp_path}/a%20b/model.pb") == ["model.pb"]


def test_a_relative_path_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bare name is a file in the working directory."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model.pb").touch()
    (tmp_path / "other.pb").touch()
    assert listed("model.pb") == ["model.pb"]
    assert listed(".") == ["model.pb", "other.pb"]


@pytest.mark.parametrize(
    "uri", ["gs://bucket/x", "https://host/x", "s3://", "s3:///x", "file://host/x", "file://[x", ""]
)
def test_another_uri_is_the_users_mistake(uri: str) -> None:
    """What we cannot open is said with what we can."""
    with pytest.raises(UsageError) as caught:
        open_storage(uri)
    assert caught.value.where == uri
    assert "://" in caught.value.remedy or "/path" in caught.value.remedy


def test_opening_a_directory_needs_no_boto3() -> None:
    """A run from directory to directory does not wait for boto3."""
    code = "import sys; from job.storage import open_storage; open_storage('x'); sys.exit('boto3' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("asked", ["saevd", "frozn.pb", "saved/notez.txt"])
def test_a_misspelt_source_is_answered_with_what_lies_beside_it(filled: str, asked: str) -> None:
    """A directory or a file of nearly that name; where nothing is like it, with what a source may be."""
    meant = {"saevd": "saved", "frozn.pb": "frozen.pb", "saved/notez.txt": "saved/notes.txt"}[asked]
    with pytest.raises(NoInput) as caught:
        open_source(f"{filled}/{asked}")
    assert caught.value.remedy == f"did you mean {filled}/{meant}?"
    with pytest.raises(NoInput) as caught:
        open_source(f"{filled}/xyz")
    assert "did you mean" not in caught.value.remedy


def test_children_are_what_lies_directly_below(store: Storage) -> None:
    """Directories and files by their names, without what is in them."""
    for name in FILES:
        store.replace(name, b"x")
    assert {"saved", "keras", "frozen.pb", "old.ckpt"} <= set(store.children())
    assert all("/" not in name for name in store.children())
    assert len(store.children()) == len(set(store.children())) == 12


def test_a_relative_source_is_answered_with_a_relative_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As it was typed."""
    (tmp_path / "models").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(NoInput) as caught:
        open_source("modles")
    assert caught.value.remedy == "did you mean models?"
