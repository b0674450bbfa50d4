import shutil
import time
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from job.engine.formats.base import checkpoint_of
from job.engine.scanning.slices import slice_key
from job.errors import BadInput, JobError
from tests.hostile_corpus import bundle, checkpoints
from tests.hostile_corpus.case import Case, Outside
from tests.hostile_corpus.messages import field, varint
from tests.jobs import GOLDENS

OUTSIDE = Outside(directory=Path("/nowhere"), port=9)
CASES = [case for case in checkpoints.CASES if case.name != "checkpoint_of_a_hole"]  # which its copy would not have
MIB = 2**20


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_hostile_checkpoint_is_never_opened(case: Case, tmp_path: Path) -> None:
    """TensorFlow aborts on some of these shapes: they are told before it is asked, with the tensor's name."""
    case.write(tmp_path, OUTSIDE)
    with pytest.raises(JobError) as caught:
        checkpoint_of(str(tmp_path / "model.ckpt"))
    assert {caught.value.exit_code} == case.codes
    assert caught.value.where == "model.ckpt"
    assert caught.value.remedy


def said(directory: Path, index: bytes, data: bytes = checkpoints.DATA) -> str:
    """Return what is said of a checkpoint."""
    checkpoints.write(directory, index, data)
    with pytest.raises(BadInput) as caught:
        checkpoint_of(str(directory / "model.ckpt"))
    return caught.value.what


def test_message_says_what_is_declared_and_what_is_stored(tmp_path: Path) -> None:
    """Names, bytes and files, so that the owner can look."""
    table = bundle.table({b"": bundle.header(), b"a/w": bundle.entry((2, 200), checkpoints.DATA)})
    assert said(tmp_path, table) == "the tensor a/w declares 1600 bytes and stores 16"
    table = bundle.table({b"": bundle.header(), b"a/w": bundle.entry((2, 2), checkpoints.DATA, offset=8)})
    assert said(tmp_path, table) == "the tensor a/w lies at bytes 8 to 24, and its data file ends at 16"


def test_checkpoint_written_by_hand_is_one_to_tensorflow(tmp_path: Path) -> None:
    """The hostile ones differ from a sound one in what they try alone: TensorFlow reads the sound one."""
    checkpoints.write(tmp_path, bundle.table({b"": bundle.header(), b"w": bundle.entry((2, 2), checkpoints.DATA)}))
    prefix = checkpoint_of(str(tmp_path / "model.ckpt"))
    np.testing.assert_array_equal(tf.train.load_checkpoint(prefix).get_tensor("w"), [[1, 2], [3, 4]])


def saved(prefix: Path, slices: Iterable[str], tensors: Iterable[np.ndarray], names: Iterable[str]) -> None:
    """Let TensorFlow write a checkpoint."""
    tf.raw_ops.SaveV2(
        prefix=str(prefix),
        tensor_names=list(names),
        shape_and_slices=list(slices),
        tensors=[tf.constant(one) for one in tensors],
    )


@pytest.mark.parametrize("name", ["w", "a\x00b", "é", "x" * 300, "scope/part_0"])
@pytest.mark.parametrize(("rows", "first"), [(6, 2), (130, 64), (20_000, 8_192), (70_000, 63)])
def test_slices_are_found_as_tensorflow_stores_them(tmp_path: Path, name: str, rows: int, first: int) -> None:
    """Partitioned variables pass, whatever their names and sizes are coded as; a slice that is gone does not."""
    parts = [np.ones((first, 3), "f4"), np.zeros((rows - first, 3), "f4")]
    spans = [f"{rows} 3 0,{first}:0,3", f"{rows} 3 {first},{rows - first}:0,3"]
    saved(tmp_path / "model.ckpt", spans, parts, [name, name])
    assert checkpoint_of(str(tmp_path / "model.ckpt")) == str(tmp_path / "model.ckpt")


def test_slice_that_is_gone_is_named(tmp_path: Path) -> None:
    """Half of a partitioned variable is no variable."""
    halves = field(7, bundle.slice_of((0, 1), (0, 2))) + field(7, bundle.slice_of((1, 1), (0, 2)))
    half = {slice_key(b"w", [(0, 1), (0, 2)]): bundle.entry((1, 2), checkpoints.DATA[:8])}
    table = bundle.table({b"": bundle.header(), **half, b"w": bundle.entry((2, 2), b"", more=halves)})
    assert said(tmp_path, table) == "a slice of the tensor w is not stored: [(1, 1), (0, 2)]"


def test_slices_that_do_not_make_the_whole_are_told(tmp_path: Path) -> None:
    """Else a tensor of terabytes could be claimed with one element of it, and the same slice be named twice."""
    twice = field(7, bundle.slice_of((0, 1), (0, 2))) * 2
    half = {slice_key(b"w", [(0, 1), (0, 2)]): bundle.entry((1, 2), checkpoints.DATA[:8])}
    table = bundle.table({b"": bundle.header(), **half, b"w": bundle.entry((2, 2), b"", more=twice)})
    assert said(tmp_path, table) == "the tensor w declares 4 elements, and its slices hold 2"


def test_key_of_the_tables_index_has_a_limit(tmp_path: Path) -> None:
    """A long one would be copied by all that share its beginning."""
    sound = bundle.table({b"": bundle.header()})
    key = b"k" * 5000
    entry = varint(0) + varint(len(key)) + varint(2) + key + b"\0\0"
    index = bundle._sealed(entry + bytes(4) + b"\1\0\0\0", 0)
    footer = varint(0) + varint(0) + varint(0) + varint(len(index) - 5)
    assert said(tmp_path, index + footer.ljust(40, b"\0") + sound[-8:]) == (
        "the table is damaged: its index has a key of 5000 bytes"
    )


def test_strings_have_no_size_of_their_own(tmp_path: Path) -> None:
    """A stored text takes one byte or more: a million of them do not lie in a hundred bytes."""
    saved(tmp_path / "model.ckpt", ["", ""], [np.array([b"", b"abc"]), np.zeros([0, 3], "f4")], ["s", "none"])
    checkpoint_of(str(tmp_path / "model.ckpt"))
    table = bundle.table({b"": bundle.header(), b"s": bundle.entry((10**6,), bytes(100), dtype=7)})
    assert "the tensor s declares at least 1000000 bytes and stores 100" in said(tmp_path, table, bytes(100))


@pytest.mark.parametrize("index", sorted(GOLDENS.rglob("*.index")), ids=lambda path: str(path.relative_to(GOLDENS)))
def test_what_tensorflow_wrote_passes(index: Path) -> None:
    """Every index of TensorFlow 1.15 is sound; of data files that are gone another says so."""
    checkpoint_of(str(index).removesuffix(".index"))


def test_first_format_passes_whole_and_no_other_way(tmp_path: Path) -> None:
    """Each file of a sharded one is looked at."""
    shutil.copytree(GOLDENS / "first_version_sharded_checkpoint", tmp_path / "v1")
    prefix = tmp_path / "v1" / "model.ckpt-100"
    assert checkpoint_of(str(prefix)) == f"{prefix}-?????-of-00002"
    last = tmp_path / "v1" / "model.ckpt-100-00001-of-00002"
    last.write_bytes(last.read_bytes()[:-60])
    with pytest.raises(BadInput, match="its end is missing") as caught:
        checkpoint_of(str(prefix))
    assert caught.value.where == last.name


def test_time_does_not_depend_on_the_data(tmp_path: Path) -> None:
    """A checkpoint of 100 MB in 2,000 tensors is looked at within a second: its values are not read."""
    tensors = [np.zeros(12_500, "f4") for _ in range(2000)]
    saved(tmp_path / "model.ckpt", [""] * 2000, tensors, [f"v{number:04}" for number in range(2000)])
    start = time.process_time()
    checkpoint_of(str(tmp_path / "model.ckpt"))
    assert time.process_time() - start < 1
