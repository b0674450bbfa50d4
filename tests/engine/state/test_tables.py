from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from job.engine.assembling import read_source
from job.engine.lift import lift
from job.engine.runners import Baseline
from job.engine.samples.vocabulary import words_of
from job.engine.source_graph import SourceGraph
from job.errors import BadInput, Refused
from job.records import ArtifactOptions, Format
from job.requests import SourceRequest
from tests.engine.models import Saver, assert_same, converted, graph_of, ref, request_of, v1

WORDS = np.array([b"one", b"two", b"no such", b""], object)


def words() -> Any:
    return v1.placeholder(tf.string, [None], name="words")


def of_file(path: Path) -> None:
    """Look words up in a vocabulary file that the graph names by its absolute path."""
    lines = tf.lookup.TextFileInitializer(
        str(path), tf.string, tf.lookup.TextFileIndex.WHOLE_LINE, tf.int64, tf.lookup.TextFileIndex.LINE_NUMBER
    )
    tf.identity(tf.lookup.StaticHashTable(lines, -1).lookup(words()), name="ids")


def of_constants() -> None:
    pairs = tf.lookup.KeyValueTensorInitializer(tf.constant(["one", "two"]), tf.range(5, 7, dtype=tf.int64))
    tf.identity(tf.lookup.StaticHashTable(pairs, -1).lookup(words()), name="ids")


@pytest.fixture
def moved(saved: Saver, tmp_path: Path) -> Path:
    """A model that was saved where its vocabulary lay at a path that is gone; returns its folder."""
    original = tmp_path / "gone/vocab.txt"
    original.parent.mkdir()
    original.write_text("zero\none\ntwo\n")
    saved(lambda: of_file(original))
    original.rename(tmp_path / "kept.txt")
    return tmp_path / "source"


def test_constants_and_computed_values_fill_a_table(saved: Saver, tmp_path: Path) -> None:
    """Keys that are constant and values that are computed fill the table when the SavedModel is loaded."""
    model = assert_same(saved(of_constants), tmp_path, ["ids:0"], [{"words:0": WORDS}])
    assert model.answer({"words:0": WORDS})["ids:0"].tolist() == [5, 6, -1, -1]
    assert {b"one", b"two"} <= set(words_of(model.source))


@pytest.mark.parametrize("place", ["vocab.txt", "assets/vocab.txt", "deeper/still/vocab.txt"])
def test_vocabulary_is_found_beside_the_model(moved: Path, tmp_path: Path, place: str) -> None:
    """A vocabulary whose path is gone is looked for by its name below the model, and published as an asset."""
    (moved / place).parent.mkdir(parents=True, exist_ok=True)
    (moved / place).write_bytes((tmp_path / "kept.txt").read_bytes())
    model = converted(request_of(moved), tmp_path)
    assert "asset_found_beside" in [finding.code for finding in model.source.findings]
    assert {b"zero", b"one", b"two"} <= set(words_of(model.source))
    (moved / place).unlink()
    assert model.answer({"words:0": WORDS})["ids:0"].tolist() == [1, 2, -1, -1]
    assert [path.name for path in (model.directory / "assets").iterdir()] == ["vocab.txt"]


def test_user_says_where_a_vocabulary_is(moved: Path, tmp_path: Path) -> None:
    """The manifest's path for the original one is taken."""
    (moved / "mine.txt").write_text("two\none\n")
    options = ArtifactOptions(assets={str(tmp_path / "gone/vocab.txt"): "mine.txt"})
    model = converted(request_of(moved, options), tmp_path)
    assert model.answer({"words:0": WORDS})["ids:0"].tolist() == [1, 0, -1, -1]


def test_said_path_is_below_the_source_and_not_below_the_model(moved: Path, tmp_path: Path) -> None:
    """A vocabulary may lie beside the model's directory, under any name: the manifest's key begins at the source."""
    (moved.parent / "text").mkdir()
    (moved.parent / "text/words.any").write_text("two\none\n")
    request = SourceRequest(
        format=Format.META_GRAPH,
        directory=str(moved.parent),
        entry=f"{moved.name}/model.ckpt",
        options=ArtifactOptions(assets={str(tmp_path / "gone/vocab.txt"): "text/words.any"}),
    )
    assert [path.name for path in read_source(request).assets.values()] == ["words.any"]


def test_missing_vocabulary_is_named(moved: Path, tmp_path: Path) -> None:
    """Where the file is nowhere, the path that the graph asks for is said, and what to put where."""
    with pytest.raises(BadInput, match=str(tmp_path / "gone/vocab.txt")) as caught:
        read_source(request_of(moved))
    assert "put vocab.txt beside the model" in caught.value.remedy


@pytest.mark.parametrize("said", ["nowhere.txt", "link.txt", "../kept.txt"])
def test_said_path_must_be_a_file_of_the_source(moved: Path, tmp_path: Path, said: str) -> None:
    """A path that the manifest names is refused if nothing is there, if it is a link, and if it leaves the source."""
    (moved / "link.txt").symlink_to(tmp_path / "kept.txt")
    with pytest.raises(BadInput):
        read_source(request_of(moved, ArtifactOptions(assets={str(tmp_path / "gone/vocab.txt"): said})))


@pytest.mark.parametrize("path", ["", "/data/..", "/data/", "*", "/data/[vocab].txt"])
def test_odd_paths_are_no_patterns(saved: Saver, path: str) -> None:
    """A recorded path without a file's name, or with a pattern's characters, finds no other file."""

    def build() -> None:
        table = tf.raw_ops.HashTableV2(key_dtype=tf.string, value_dtype=tf.int64)
        fill = tf.raw_ops.InitializeTableFromTextFileV2(
            table_handle=table, filename=tf.constant(path), key_index=-2, value_index=-1
        )
        v1.add_to_collection("mine", fill)
        default = tf.constant(-1, dtype=tf.int64)
        tf.identity(tf.raw_ops.LookupTableFindV2(table_handle=table, keys=words(), default_value=default), name="ids")

    request = saved(build)
    Path(request.directory, "v").write_text("one\n")
    with pytest.raises(BadInput, match="which is not here"):
        read_source(request)


def test_unfilled_table_is_bad_input(saved: Saver) -> None:
    """A constant table that nothing in the graph fills could never answer."""

    def build() -> None:
        table = tf.raw_ops.HashTableV2(key_dtype=tf.string, value_dtype=tf.int64)
        found = tf.raw_ops.LookupTableFindV2(
            table_handle=table, keys=words(), default_value=tf.constant(-1, dtype=tf.int64)
        )
        tf.identity(found, name="ids")

    with pytest.raises(BadInput, match="nothing in the graph fills the table HashTableV2"):
        read_source(saved(build))


def test_mutable_table_may_start_empty(tmp_path: Path, saved: Saver) -> None:
    """A mutable table that nothing fills starts empty, and is none that is missing its contents."""

    def build() -> None:
        table = tf.raw_ops.MutableHashTableV2(key_dtype=tf.string, value_dtype=tf.int64)
        found = tf.raw_ops.LookupTableFindV2(
            table_handle=table, keys=words(), default_value=tf.constant(-1, dtype=tf.int64)
        )
        tf.identity(found, name="ids")

    assert_same(saved(build), tmp_path, ["ids:0"], [{"words:0": WORDS}])


def test_two_models_do_not_share_a_table(saved: Saver, tmp_path: Path) -> None:
    """Two converted models in one process keep their contents apart, though their tables have one name."""
    first = converted(saved(of_constants), tmp_path)

    def build() -> None:
        pairs = tf.lookup.KeyValueTensorInitializer(tf.constant(["two"]), tf.constant([9], tf.int64))
        tf.identity(tf.lookup.StaticHashTable(pairs, -1).lookup(words()), name="ids")

    second = converted(saved(build), tmp_path / "second")
    assert first.answer({"words:0": WORDS})["ids:0"].tolist() == [5, 6, -1, -1]
    assert second.answer({"words:0": WORDS})["ids:0"].tolist() == [-1, 9, -1, -1]


def mutable() -> Any:
    """Look words up in a mutable table, and return it."""
    table = tf.raw_ops.MutableHashTableV2(key_dtype=tf.string, value_dtype=tf.int64)
    default = tf.constant(-1, dtype=tf.int64)
    tf.identity(tf.raw_ops.LookupTableFindV2(table_handle=table, keys=words(), default_value=default), name="ids")
    return table


def insert(table: Any, words: list[str], ids: Any) -> Any:
    ids = tf.cast(ids, tf.int64)
    return tf.raw_ops.LookupTableInsertV2(table_handle=table, keys=tf.constant(words), values=ids)


def run_at_start(*ops: Any, by: str = v1.GraphKeys.TABLE_INITIALIZERS) -> None:
    for op in ops:
        v1.add_to_collection(by, op)


def said_by_baseline(source: SourceGraph) -> list[int]:
    (answer,) = Baseline(source, "exact").run(source.signatures[0], [WORDS])
    return list(answer)


@pytest.mark.parametrize("collection", [v1.GraphKeys.TABLE_INITIALIZERS, "legacy_init_op", "saved_model_main_op"])
def test_inserts_of_the_init_op_fill_a_mutable_table(saved: Saver, tmp_path: Path, collection: str) -> None:
    """What a model inserts when it is loaded is in the table: all of it, in its order, on both sides."""

    def build() -> None:
        table = mutable()
        first = insert(table, ["one", "two"], [1, 2])
        with tf.control_dependencies([first]):
            second = insert(table, ["two"], [22])
        run_at_start(tf.group(second), by=collection)

    model = converted(saved(build), tmp_path)
    assert model.answer({"words:0": WORDS})["ids:0"].tolist() == [1, 22, -1, -1]
    assert said_by_baseline(model.source) == [1, 22, -1, -1]


def test_inserts_that_nothing_runs_at_start_fill_nothing(saved: Saver, tmp_path: Path) -> None:
    """An insert that only training runs is not in the table when TF1 loads the model, and so not in ours."""

    def build() -> None:
        table = mutable()
        insert(table, ["one"], [1])
        run_at_start(insert(table, ["two"], [2]))

    model = assert_same(saved(build), tmp_path, ["ids:0"], [{"words:0": WORDS}])
    assert model.answer({"words:0": WORDS})["ids:0"].tolist() == [-1, 2, -1, -1]
    assert said_by_baseline(model.source) == [-1, 2, -1, -1]


def of_a_variable(table: Any) -> Any:
    return insert(table, ["one"], tf.identity(ref("number", [7.0])))


def of_another_table(table: Any) -> Any:
    pairs = tf.lookup.KeyValueTensorInitializer(tf.constant(["one"]), tf.constant([5], tf.int64))
    return insert(table, ["one"], tf.lookup.StaticHashTable(pairs, -1).lookup(tf.constant(["one"])))


def by_removing(table: Any) -> Any:
    return tf.raw_ops.LookupTableRemoveV2(table_handle=table, keys=tf.constant(["one"]))


@pytest.mark.parametrize("fill", [of_a_variable, of_another_table, by_removing])
def test_fillings_that_cannot_be_carried_over_are_named(saved: Saver, fill: Callable[[Any], Any]) -> None:
    """A table that is filled from a variable or another table, or emptied, is refused by its name."""

    def build() -> None:
        run_at_start(fill(mutable()), by="legacy_init_op")

    with pytest.raises(BadInput, match="the table MutableHashTableV2 is filled by"):
        read_source(saved(build))


def test_host_op_of_an_initialiser_is_refused(saved: Saver, tmp_path: Path) -> None:
    """What the init op runs on the way to a table is checked as what an output needs."""

    def build() -> None:
        table = mutable()
        with tf.control_dependencies([tf.io.write_file(str(tmp_path / "written"), "x")]):
            run_at_start(insert(table, ["one"], [1]), by="legacy_init_op")

    with pytest.raises(Refused, match="WriteFile"):
        read_source(saved(build))
    assert not (tmp_path / "written").exists()


def test_two_vocabularies_of_one_name_are_the_users_choice(moved: Path, tmp_path: Path) -> None:
    """Of two files that could be the vocabulary none is taken: both are listed, and the manifest decides."""
    for place in ("a", "b"):
        (moved / place).mkdir()
        (moved / place / "vocab.txt").write_text("one\n")
    with pytest.raises(BadInput, match=r"2 files here are named so: a/vocab\.txt, b/vocab\.txt") as caught:
        read_source(request_of(moved))
    assert "assets" in caught.value.remedy
    options = ArtifactOptions(assets={str(tmp_path / "gone/vocab.txt"): "b/vocab.txt"})
    (found,) = [one for one in read_source(request_of(moved, options)).findings if one.code == "asset_found_beside"]
    assert "b/vocab.txt" in found.cause


def test_contents_that_do_not_fit_are_named_before_anything_is_written(tmp_path: Path) -> None:
    """A table is filled once while its model is made: that its keys contradict each other is no surprise later."""

    def build() -> None:
        pairs = tf.lookup.KeyValueTensorInitializer(tf.constant(["one", "one"]), tf.range(5, 7, dtype=tf.int64))
        tf.identity(tf.lookup.StaticHashTable(pairs, -1).lookup(words()), name="ids")

    (tmp_path / "frozen.pb").write_bytes(graph_of(build).SerializeToString())
    request = SourceRequest(format=Format.GRAPH_DEF, directory=str(tmp_path), entry="frozen.pb")
    with pytest.raises(BadInput, match=r"the table \S+ cannot be filled: .*different value"):
        lift(read_source(request), allow_nonfinite=False)
