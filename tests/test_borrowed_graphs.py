from collections.abc import Mapping

import pytest

from job.content import HEAD_BYTES
from job.discovery import discover
from job.errors import JobError
from job.records import Listing
from tests.sources import GRAPH_DEF, HTML, META_GRAPH, MemoryStorage, checkpoint, node

UNFROZEN = node("x") + node("w", "VariableV2")


def _discover(files: Mapping[str, bytes | JobError], only: str = "*") -> Listing:
    return discover(MemoryStorage(files), only=only)


def _borrowed(files: Mapping[str, bytes], entry: str) -> list[str]:
    """Return what a checkpoint is pulled with besides its own files."""
    (artifact,) = _discover(files, entry).artifacts
    assert artifact.problem is None
    return [stored.key for stored in artifact.objects if not stored.key.startswith(f"{entry}.")]


def test_a_copy_lends_its_graph() -> None:
    """Wherever it lies and whatever it is called, a checkpoint with the same index has the same weights."""
    files = {**checkpoint("a/bare.ckpt", meta=None, values=b"1"), **checkpoint("z/whole.ckpt", values=b"1")}
    assert _borrowed(files, "a/bare.ckpt") == ["z/whole.ckpt.index", "z/whole.ckpt.meta"]
    assert [artifact.name for artifact in _discover(files).artifacts] == ["a/bare.ckpt", "z/whole.ckpt"]


def test_the_copy_beside_it_comes_first() -> None:
    """It is no other model's, as one elsewhere may be."""
    bare = checkpoint("m/bare.ckpt", meta=None)
    files = {**bare, **checkpoint("a/whole.ckpt"), **checkpoint("m/whole.ckpt"), **checkpoint("m/yet.ckpt")}
    assert _borrowed(files, "m/bare.ckpt") == ["m/whole.ckpt.index", "m/whole.ckpt.meta"]


@pytest.mark.parametrize(
    "other",
    [
        checkpoint("z/whole.ckpt", values=b"2"),
        checkpoint("z/whole.ckpt", values=b"12"),
        checkpoint("z/whole.ckpt", values=b"1", meta=HTML),
        checkpoint("z/whole.ckpt", values=b"1", meta=META_GRAPH[:-9]),
        checkpoint("z/whole.ckpt", values=b"1", meta=None),
    ],
)
def test_nothing_else_lends_a_graph(other: Mapping[str, bytes]) -> None:
    """Other weights have another index, and a MetaGraph that is broken helps nobody."""
    assert _borrowed({**checkpoint("a/bare.ckpt", meta=None, values=b"1"), **other}, "a/bare.ckpt") == []


def test_an_index_is_compared_as_far_as_it_was_seen() -> None:
    """Of a large one that is its head and its size: no more is read to find candidates."""
    values = bytes(2 * HEAD_BYTES)
    bare = checkpoint("a/bare.ckpt", meta=None, values=values)
    assert _borrowed({**bare, **checkpoint("z/whole.ckpt", values=values)}, "a/bare.ckpt")
    assert not _borrowed({**bare, **checkpoint("z/whole.ckpt", values=values + b"1")}, "a/bare.ckpt")


def test_the_nearest_step_lends_its_graph() -> None:
    """Its own training's, before or after it; another model's in the directory is not asked."""
    steps = {
        **checkpoint("t/m-1", values=b"1"),
        **checkpoint("t/m-100", values=b"100"),
        **checkpoint("t/m-90", meta=None, values=b"90"),
        **checkpoint("t/other-90", values=b"o"),
        **checkpoint("u/m-90", values=b"u"),
    }
    assert _borrowed(steps, "t/m-90") == ["t/m-100.meta"]
    del steps["t/m-100.meta"]
    assert _borrowed(steps, "t/m-90") == ["t/m-1.meta"]
    del steps["t/m-1.meta"]
    assert _borrowed(steps, "t/m-90") == []


def test_a_copy_is_surer_than_a_step() -> None:
    """Equal weights prove more than a name."""
    files = {**checkpoint("t/m-1", values=b"1"), **checkpoint("t/m-2", meta=None, values=b"2")}
    assert _borrowed({**files, **checkpoint("u/n", values=b"2")}, "t/m-2") == ["u/n.index", "u/n.meta"]


def test_a_graph_beside_it_comes_first() -> None:
    """Who puts a GraphDef beside weights has said which is theirs; a frozen one is not meant."""
    files = {**checkpoint("t/m-1", values=b"1"), **checkpoint("t/m-2", meta=None, values=b"2")}
    assert _borrowed({**files, "t/graph.pb": UNFROZEN}, "t/m-2") == ["t/graph.pb"]
    assert _borrowed({**files, "t/graph.pb": GRAPH_DEF}, "t/m-2") == ["t/m-1.meta"]


def test_a_meta_graph_that_was_written_once_is_no_model_of_its_own() -> None:
    """Beside steps without one it is their graph; alone it is a checkpoint that lacks its weights."""
    files = {**checkpoint("t/m-7", meta=None), "t/m.meta": META_GRAPH}
    assert _borrowed(files, "t/m-7") == ["t/m.meta"]
    listing = _discover(files)
    assert [artifact.name for artifact in listing.artifacts] == ["t/m-7"]
    assert listing.left_alone == ()
    (alone,) = _discover({"t/m.meta": META_GRAPH}).artifacts
    assert alone.problem is not None
