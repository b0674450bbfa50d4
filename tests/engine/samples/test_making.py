from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from job.engine.assembling import read_source
from job.engine.samples.making import Sample, candidates, recorded
from job.engine.source_graph import SourceGraph
from job.errors import UsageError
from job.records import ArtifactOptions, Signature, TensorSpec
from job.requests import SourceRequest
from tests.engine.interface.test_signatures import served, signature
from tests.engine.models import Saver, converted, ref, v1

FEATURES = {
    "age": tf.io.FixedLenFeature([], tf.float32, default_value=0.0),
    "pair": tf.io.FixedLenFeature([2], tf.int64),
    "words": tf.io.VarLenFeature(tf.string),
}


def groups(request: SourceRequest, seed: int = 0) -> tuple[SourceGraph, Signature, list[tuple[Sample, ...]]]:
    source = read_source(request)
    return source, source.signatures[0], [tuple(group) for group in candidates(source, source.signatures[0], seed)]


def feed(request: SourceRequest, key: str) -> list[Any]:
    """Return what is first fed for one input in each group."""
    _, found, made = groups(request)
    place = [spec.key for spec in found.inputs].index(key)
    return [group[0].feeds[place] for group in made]


def test_batches_differ_and_repeat_by_seed(saved: Saver) -> None:
    """Samples are a batch, one alone and an odd number; the same seed gives the same, another one others."""
    request = saved(lambda: tf.identity(v1.placeholder(tf.float32, [None, 3], name="x"), name="y"))
    first, again, other = (groups(request, seed)[2] for seed in (0, 0, 1))
    assert [group[0].feeds[0].shape for group in first] == [(4, 3), (1, 3), (3, 3)]
    assert all(np.array_equal(a[0].feeds[0], b[0].feeds[0]) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first[0][0].feeds[0], other[0][0].feeds[0])
    assert [group[0].name for group in first] == [group[0].name for group in again]


def test_names_tell_samples_apart(saved: Saver) -> None:
    """Within a signature no two samples that differ share a name, by which answers are kept."""
    request = saved(lambda: tf.identity(v1.placeholder(tf.float32, [None, None, None, 3], name="x"), name="y"))
    _, _, made = groups(request)
    samples = [sample for group in made for sample in group]
    assert len({sample.name for sample in samples}) == len(samples)
    assert len({sample.feeds[0].shape for sample in samples}) == len(samples) / 2


def test_images_get_even_and_odd_sizes(saved: Saver) -> None:
    """Free height and width are tried even and odd: padding errors hide in one of them."""
    request = saved(lambda: tf.identity(v1.placeholder(tf.float32, [None, None, None, 3], name="x"), name="y"))
    sizes = {array.shape[1] % 2 for array in feed(request, "x")}
    assert sizes == {0, 1}


def test_numbers_fit_their_dtype(saved: Saver) -> None:
    """Bytes use their whole range, booleans take both values, halves are halves, and lengths lie within the length."""

    def build() -> None:
        pixels = v1.placeholder(tf.uint8, [None, 50], name="pixels")
        flags = v1.placeholder(tf.bool, [None, 50], name="flags")
        halves = v1.placeholder(tf.float16, [None, 50], name="halves")
        lengths = v1.placeholder(tf.int32, [None], name="lengths")
        tf.concat(
            [tf.cast(pixels, tf.float16), tf.cast(flags, tf.float16), halves,
             tf.expand_dims(tf.cast(lengths, tf.float16), 1)], 1, name="y",
        )  # fmt: skip

    request = saved(build)
    assert feed(request, "pixels")[0].max() > 200
    assert set(feed(request, "flags")[0].ravel()) == {True, False}
    assert feed(request, "halves")[0].dtype == np.float16
    assert all(1 <= value <= 16 for array in feed(request, "lengths") for value in array)


@pytest.mark.parametrize("rows", [3, 11])
def test_ids_stay_inside_the_embedding(saved: Saver, rows: int) -> None:
    """Integers that index a table are below its number of rows, also behind a reshape, and reach beyond two."""

    def build() -> None:
        ids = v1.placeholder(tf.int32, [None, 40], name="ids")
        table = ref("embedding", np.arange(rows * 2, dtype=np.float32).reshape(rows, 2))
        tf.reshape(tf.gather(table, tf.reshape(ids, [-1])), [-1, 40, 2], name="y")

    ids = feed(saved(build), "ids")[0]
    assert 2 <= ids.max() < rows


@pytest.mark.parametrize("form", ["ParseExample", "ParseExampleV2"])
def test_examples_have_what_the_parser_asks_for(tmp_path: Path, form: str) -> None:
    """A serialized batch parses in the graph: dense features with their number of values, and sparse ones."""

    def build() -> dict[str, Any]:
        serialized = v1.placeholder(tf.string, [None], name="examples")
        if form == "ParseExampleV2":
            parsed = tf.io.parse_example(serialized, FEATURES)
            age, pair, words = parsed["age"], parsed["pair"], parsed["words"].values
        else:
            raw = tf.raw_ops.ParseExample(
                serialized=serialized, names=tf.constant([], tf.string), sparse_keys=[tf.constant("words")],
                dense_keys=[tf.constant("age"), tf.constant("pair")],
                dense_defaults=[tf.constant(0.0), tf.constant([], tf.int64)],
                sparse_types=[tf.string], dense_shapes=[[], [2]],
            )  # fmt: skip
            age, pair, words = raw.dense_values[0], raw.dense_values[1], raw.sparse_values[0]
        total = tf.add(age, tf.cast(tf.reduce_sum(pair, 1), tf.float32), name="total")
        return {"serving_default": signature({"examples": serialized}, {"total": total, "words": words})}

    request = served(tmp_path, build)
    assert form in {node.op for node in read_source(request).graph.graph_def.node}
    (first, *_) = feed(request, "examples")
    made = [tf.train.Example.FromString(one).features.feature for one in first]
    assert all(len(one["pair"].int64_list.value) == 2 and len(one["words"].bytes_list.value) for one in made)
    assert {len(one["age"].float_list.value) for one in made if "age" in one} == {1}
    model = converted(request, tmp_path)
    assert all(len(value) for value in model.answer({"examples:0": first}).values())


def test_encoded_images_decode(tmp_path: Path) -> None:
    """Strings that the graph decodes as JPEG are JPEG images, of more than one size."""

    def build() -> dict[str, Any]:
        encoded = v1.placeholder(tf.string, [None], name="encoded")
        decode = lambda one: tf.reduce_mean(tf.cast(tf.io.decode_jpeg(one, 3), tf.float32), [0, 1])  # noqa: E731
        means = v1.map_fn(decode, encoded, dtype=tf.float32)
        return {"serving_default": signature({"images": encoded}, {"means": tf.identity(means, name="means")})}

    request = served(tmp_path, build)
    (first, *_) = feed(request, "images")
    assert len({tuple(tf.io.decode_jpeg(one).shape) for one in first}) == 2
    assert converted(request, tmp_path).answer({"encoded:0": first})["means:0"].shape == (4, 3)


def test_sparse_batch_is_whole(tmp_path: Path) -> None:
    """Indices, values and shape of a sparse input agree, and its columns are the matrix's rows."""

    def build() -> dict[str, Any]:
        sparse = v1.sparse_placeholder(tf.float32, [None, 3], name="x")
        y = tf.sparse.sparse_dense_matmul(sparse, ref("kernel", [[1.0], [2.0], [3.0]]), name="y")
        return {"serving_default": signature({"x": sparse}, {"y": y})}

    request = served(tmp_path, build)
    indices, values, shape = (feed(request, f"x_{part}")[0] for part in ("indices", "values", "dense_shape"))
    assert len(indices) == len(values)
    assert (indices < shape).all()
    assert [tuple(place) for place in indices] == sorted({tuple(place) for place in indices})
    assert shape[1] == 3


SIGNATURE = Signature(
    key="serving_default",
    inputs=(TensorSpec(key="x", tensor="scope/x:0", dtype="float32", shape=(None, 2)),),
    outputs=(),
)


@pytest.mark.parametrize("name", ["serving_default/x", "x", "scope/x:0", "scope/x"])
def test_recorded_inputs_are_found_by_any_name(tmp_path: Path, name: str) -> None:
    """The user's arrays may bear the argument's name, with its signature's, or the tensor's."""
    np.savez(tmp_path / "s.npz", **{name: np.ones([2, 2], np.float32)})  # type: ignore[arg-type]
    assert recorded(str(tmp_path / "s.npz"), SIGNATURE).feeds[0].tolist() == [[1, 1], [1, 1]]


def test_missing_input_is_said_with_what_there_is(tmp_path: Path) -> None:
    """Arrays without one of the inputs are a usage error that lists their names."""
    np.savez(tmp_path / "s.npz", images=np.ones(2))
    with pytest.raises(UsageError, match="no 'x'") as caught:
        recorded(str(tmp_path / "s.npz"), SIGNATURE)
    assert "images" in caught.value.where


@pytest.mark.parametrize("kind", ["text", "empty", "cut", "one array", "objects", "absent"])
def test_file_that_is_no_npz_is_a_usage_error(tmp_path: Path, kind: str) -> None:
    """Whatever else lies there is said to be unreadable; pickled objects are never loaded."""
    path = tmp_path / "s.npz"
    np.savez(path, x=np.array([{}], object) if kind == "objects" else np.ones([2, 2]))
    if kind == "one array":
        with path.open("wb") as file:
            np.save(file, np.ones(2))
    if kind in {"text", "empty", "cut"}:
        path.write_bytes({"text": b"hello", "empty": b"", "cut": path.read_bytes()[:100]}[kind])
    if kind == "absent":
        path.unlink()
    with pytest.raises(UsageError, match="cannot be read"):
        recorded(str(path), SIGNATURE)


def test_predicate_of_unknown_rank_is_one_truth_value(saved: Saver) -> None:
    """A frozen graph may not tell the shape of what a branch is chosen by; it is a scalar, and no row of the data."""

    def build() -> None:
        x, flag = v1.placeholder(tf.float32, [None, 6], name="x"), v1.placeholder(tf.bool, name="flag")
        tf.identity(tf.cond(flag, lambda: x @ np.ones([6, 2], np.float32), lambda: x[:, :2]), name="y")

    request = saved(build)
    request = replace(request, options=ArtifactOptions(inputs={"x": "x:0", "flag": "flag:0"}, outputs={"y": "y:0"}))
    assert {value.shape for value in feed(request, "flag")} == {()}


def test_input_that_no_memory_holds_is_no_fault_of_ours(saved: Saver) -> None:
    """An exhausted memory is told as such; the ValueError of numpy would be a bug of the job."""

    def build() -> None:
        tf.negative(v1.placeholder(tf.float32, [4] * 31, name="x"), name="y")

    with pytest.raises(MemoryError, match=r"input x of shape .* fits into no memory"):
        groups(saved(build))
