import pytest

from job.checkpoints import Checkpoint, file_faults, find_checkpoints, missing_data
from job.errors import BadInput, JobError
from job.survey import Survey, take_survey
from tests.sources import CHECKPOINT_V1, HTML, LFS_POINTER, META_GRAPH, MemoryStorage, checkpoint, index


def _found(files: dict[str, bytes | JobError]) -> tuple[Survey, tuple[Checkpoint, ...]]:
    survey = take_survey(MemoryStorage(files))
    return survey, find_checkpoints(survey, "d/")


@pytest.mark.parametrize(
    ("files", "missing"),
    [
        (checkpoint("d/m", shards=3), ()),
        ({"d/m": CHECKPOINT_V1, "d/m.meta": META_GRAPH}, ()),
        ({"d/m-00000-of-00001": CHECKPOINT_V1, "d/m.meta": META_GRAPH}, ()),
        ({"d/m.index": index(2), "d/m.meta": META_GRAPH}, ("m.data-00000-of-00002", "m.data-00001-of-00002")),
        ({"d/m.index": index(2), "d/m.data-00001-of-00002": b""}, ("m.data-00000-of-00002",)),
        ({"d/m.index": index(2), "d/m.data-00000-of-00001": b""}, ("m.data-00000-of-00002", "m.data-00001-of-00002")),
        ({"d/m.data-00001-of-00002": b""}, ("m.index", "m.data-00000-of-00002")),
        ({"d/m.meta": META_GRAPH}, ("m.index", "m.data-00000-of-00001")),
        ({"d/.meta": META_GRAPH, "d/.index": index()}, (".data-00000-of-00001",)),
        ({"d/m-00001-of-00003": CHECKPOINT_V1, "d/m.meta": META_GRAPH}, ("m-00000-of-00003", "m-00002-of-00003")),
    ],
)
def test_missing_files_are_named(files: dict[str, bytes | JobError], missing: tuple[str, ...]) -> None:
    """The index, or else the names, say which files make the checkpoint whole."""
    survey, (found,) = _found(files)
    assert missing_data(survey, found) == missing


def test_files_are_grouped_by_prefix() -> None:
    """Several checkpoints of both versions in a directory, a prefix that is empty, and names of any kind."""
    files = {**checkpoint("d/"), **checkpoint("d/a b.ckpt-5"), "d/v1": CHECKPOINT_V1, "d/v1.meta": META_GRAPH}
    _, found = _found({**files, "d/notes.index": b"an index of notes", "d/photo.meta": b"{}"})
    assert sorted(checkpoint.prefix for checkpoint in found) == ["d/", "d/a b.ckpt-5", "d/v1"]


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("m.meta", HTML, "m.meta is an HTML page"),
        ("m.index", LFS_POINTER, "m.index is a Git LFS pointer"),
        ("m.data-00000-of-00001", LFS_POINTER, "is a Git LFS pointer"),
        ("m.index", index()[:-9], "checkpoint's index that cannot be read: it is truncated"),
        ("m.meta", META_GRAPH[:-9], "MetaGraph that cannot be read: it is truncated"),
        ("m.meta", BadInput("the file is not there"), "not there"),
    ],
)
def test_files_that_are_not_what_they_should_be_are_told(name: str, data: bytes | JobError, words: str) -> None:
    """Each part is checked for its own kind, and data for what may lie in its place."""
    survey, (found,) = _found({**checkpoint("d/m"), f"d/{name}": data})
    (fault,) = file_faults(survey, found)
    assert words in fault.what


def test_small_data_is_no_fault() -> None:
    """Weights may look like anything, even like a broken graph."""
    survey, (found,) = _found({**checkpoint("d/m"), "d/m.data-00000-of-00001": META_GRAPH[:-9]})
    assert list(file_faults(survey, found)) == []
