from collections.abc import Callable
from contextlib import closing
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from job.engine.assembling import read_source
from job.engine.runners import Baseline
from job.engine.samples.making import candidates
from job.engine.source_graph import SourceGraph
from tests.engine.models import Saver, ref, v1

Read = Callable[[Any], Any]


def accepted(source: SourceGraph) -> list[Any]:
    """Return what the graph answers to the first sample of each group: all of them must run."""
    signature = source.signatures[0]
    with closing(Baseline(source, "exact")) as baseline:
        return [baseline.run(signature, next(group).feeds) for group in candidates(source, signature, 0)]


def fed(source: SourceGraph) -> list[Any]:
    """Return what is first fed for the first input in each group."""
    return [next(group).feeds[0] for group in candidates(source, source.signatures[0], 0)]


def reader(read: Read, shape: Any = (None,)) -> Callable[[], None]:
    def build() -> None:
        tf.identity(read(v1.placeholder(tf.string, shape, name="text")), name="y")

    return build


@pytest.mark.parametrize(
    ("shape", "read"),
    [
        ([None], tf.strings.to_number),
        ([None], lambda text: tf.strings.to_number(text, tf.int32)),
        ([None], lambda text: tf.strings.to_number(v1.string_split(text, ";").values)),
        ([None], lambda text: tf.io.decode_csv(text, [[0.0], [0], [""]], field_delim="|")[0]),
        ([None], lambda text: tf.reshape(tf.io.decode_raw(text, tf.float32), [-1, 5])),
        ([None], lambda text: tf.strings.length(tf.io.decode_base64(text))),
        ([None], lambda text: tf.strings.length(tf.strings.substr(text, 0, 0))),
        ([], lambda text: tf.io.parse_tensor(text, tf.float32)),
        (None, lambda text: tf.audio.decode_wav(text, 1, 400)[0]),
        (None, lambda text: tf.io.decode_png(text, 4)),
        (None, tf.io.decode_gif),
        ([None], lambda text: v1.map_fn(lambda one: tf.io.decode_jpeg(one, 3)[:9, :9], text, dtype=tf.uint8)),
    ],
    ids=["float", "int", "split", "csv", "raw", "base64", "words", "tensor", "sound", "png", "gif", "mapped"],
)
def test_strings_are_what_the_ops_read(saved: Saver, shape: Any, read: Read) -> None:
    """Numbers, lines, bytes, encoded data and files: the first sample of each group is taken, and is no constant."""
    source = read_source(saved(reader(read, shape)))
    answers = accepted(source)
    assert len(answers) == 3
    assert all(np.size(answer[0]) for answer in answers)


def test_sequences_have_what_the_parser_asks_for(saved: Saver) -> None:
    """A ``tf.SequenceExample`` has its context and, for every step, values of each feature list."""

    def build() -> None:
        serialized = v1.placeholder(tf.string, [], name="sequence")
        context, steps = tf.io.parse_single_sequence_example(
            serialized,
            {"label": tf.io.FixedLenFeature([], tf.int64)},
            {"frames": tf.io.FixedLenSequenceFeature([3], tf.float32), "tags": tf.io.VarLenFeature(tf.string)},
        )
        label = tf.cast(context["label"], tf.float32)
        tags = tf.cast(tf.size(steps["tags"].values), tf.float32)
        tf.add(tf.reduce_sum(steps["frames"], 1), label + tags, name="y")

    answers = accepted(read_source(saved(build)))
    assert all(answer[0].size for answer in answers)


def test_words_of_a_feature_are_those_of_its_table(saved: Saver) -> None:
    """A string that is looked up is mostly a word of the table that it is looked up in, and not of another one."""

    def build() -> None:
        text = v1.placeholder(tf.string, [None, 50], name="text")
        mine, other = (
            v1.lookup.StaticHashTable(tf.lookup.KeyValueTensorInitializer(words, tf.range(len(words))), -1)
            for words in (["red", "green", "blue"], ["one", "two", "three"])
        )
        v1.add_to_collection(v1.GraphKeys.TABLE_INITIALIZERS, tf.group(mine.initializer, other.initializer))
        tf.add(mine.lookup(tf.strings.lower(text)), other.lookup(tf.constant(["one"])), name="y")

    words = set(fed(read_source(saved(build)))[0].ravel())
    assert {b"red", b"green", b"blue"} <= words
    assert not {b"one", b"two", b"three"} & words


@pytest.mark.parametrize("strategy", ["mod", "div"])
def test_ids_of_a_partitioned_embedding_reach_all_shards(saved: Saver, strategy: str) -> None:
    """Shards add up: ids go beyond the rows of one, and none lies outside of all."""

    def build() -> None:
        ids = v1.placeholder(tf.int64, [None, 60], name="ids")
        shards = [ref(f"shard_{number}", np.ones([4, 2], np.float32)) for number in range(3)]
        tf.identity(v1.nn.embedding_lookup(shards, ids, partition_strategy=strategy), name="y")

    source = read_source(saved(build))
    assert 4 <= fed(source)[0].max() < 12
    assert all(answer[0].size for answer in accepted(source))


def test_one_hot_ids_stay_below_the_depth(saved: Saver) -> None:
    """Ids that become one-hot rows use the whole depth."""
    source = read_source(
        saved(lambda: tf.identity(tf.one_hot(v1.placeholder(tf.int32, [None, 90], name="ids"), 7), name="y"))
    )
    assert fed(source)[0].max() == 6


def test_lengths_lie_within_the_time_that_another_input_has(saved: Saver) -> None:
    """Lengths are at least 1 and at most the fixed number of steps, whatever the input is called."""

    def build() -> None:
        steps = v1.placeholder(tf.float32, [None, 3, 2], name="a")
        lengths = v1.placeholder(tf.int32, [None], name="b")
        tf.identity(tf.reverse_sequence(steps, lengths, seq_axis=1, batch_axis=0), name="y")

    source = read_source(saved(build))
    place = [spec.key for spec in source.signatures[0].inputs].index("b")
    lengths = [next(group).feeds[place] for group in candidates(source, source.signatures[0], 0)]
    assert all(1 <= one.min() <= one.max() <= 3 for one in lengths)
