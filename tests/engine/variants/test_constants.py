from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from job.engine.graph import Graph
from job.engine.ops.allowing import allow_ops
from job.engine.variants import constants
from job.engine.variants.constants import MOST_BYTES, fold_constants
from tests.engine.models import v1
from tests.engine.variants.frozen import answers, frozen, ops

X = np.ones([3, 2], np.float32)


def test_what_constants_decide_is_computed_once() -> None:
    """Sums, texts and outputs that no input changes become constants, of the same dtypes."""

    def build() -> Any:
        x = v1.placeholder(tf.float32, [None, 2])
        scale = tf.sqrt(tf.constant([4.0, 9.0])) + tf.cast(tf.size(tf.constant([1, 2])), tf.float32)
        return [x], [x * scale, tf.strings.join([tf.constant("a"), "b"]), tf.cast(scale, tf.bfloat16)]

    before = frozen(build)
    after, changes = fold_constants(before, "cpu")
    assert ops(after) == {"Mul": 1}
    assert changes == ("3 results of constants computed once",)
    running = Graph(after.graph_def)
    assert [running.nodes[name.split(":")[0]].attr["dtype"].type for name in after.outputs[1:]] == [
        tf.string.as_datatype_enum,
        tf.bfloat16.as_datatype_enum,
    ]
    for graph in (before, after):
        said = answers(graph, X)
        np.testing.assert_array_equal(said[0], [[4.0, 5.0]] * 3)
        assert said[1:2] == [b"ab"]


def _random() -> Any:
    return v1.random_uniform([2])


def _large() -> Any:
    return tf.zeros([MOST_BYTES // 4 + 1]) + 1.0


def _looped() -> Any:
    return v1.while_loop(lambda step, _: step < 3, lambda step, y: (step + 1, y * 2.0), (0, tf.constant(1.0)))[1]


def _printed() -> Any:
    with tf.control_dependencies([v1.Assert(tf.constant(True), ["never"])]):
        return tf.constant(1.0) + 1.0


@pytest.mark.parametrize("value", [_random, _large, _looped, _printed])
def test_what_is_computed_at_every_call(value: Any) -> None:
    """Random numbers, what would fill the file, loops, and what waits for something that acts are left alone."""

    def build() -> Any:
        x = v1.placeholder(tf.float32, [None, 2])
        return [x], [tf.reduce_sum(x) + value()]

    before = frozen(build)
    after, _ = fold_constants(before, "cpu")
    assert sum(ops(after).values()) >= sum(ops(before).values()) - 1  # a shape may go
    assert ops(after)["AddV2"] == ops(before)["AddV2"]


def test_large_constants_may_be_cast() -> None:
    """A result as large as what it is made of is a constant: weights that were stored in 16 bits, say."""
    weights = np.ones([MOST_BYTES, 2], np.float32)

    def build() -> Any:
        x = v1.placeholder(tf.float16, [None, 2])
        return [x], [tf.matmul(x, tf.cast(tf.constant(weights), tf.float16), transpose_b=True)]

    after, _ = fold_constants(frozen(build), "cpu")
    assert ops(after) == {"MatMul": 1}


@pytest.fixture
def _files_allowed() -> Iterator[None]:
    allow_ops(["ReadFile"])
    yield
    allow_ops([])


@pytest.mark.usefixtures("_files_allowed")
def test_allowed_file_is_read_at_every_call(tmp_path: Path) -> None:
    """A denied op that a user allows reads the file of the machine where the model runs: TensorFlow calls it pure."""
    path = tmp_path / "told"
    path.write_text("of this machine")

    def build() -> Any:
        x = v1.placeholder(tf.string, [])
        return [x], [x + tf.io.read_file(tf.strings.join([str(tmp_path), "/told"]))]

    after, _ = fold_constants(frozen(build), "cpu")
    assert ops(after) == {"Add": 1, "ReadFile": 1}
    path.write_text("of another one")
    assert answers(after, np.asarray(b""))[0].item() == b"of another one"


def test_numbers_drawn_by_a_seed_stay_drawn() -> None:
    """Stateless random ops are no constants either: what they draw is the model's own matter."""

    def build() -> Any:
        x = v1.placeholder(tf.float32, [None, 2])
        return [x], [x + tf.random.stateless_uniform([2], [1, 2])]

    after, _ = fold_constants(frozen(build), "cpu")
    assert ops(after)["StatelessRandomUniformV2"] == 1


@pytest.mark.parametrize(
    "value",
    [
        lambda: tf.reduce_sum(tf.zeros([1 << 20, 1 << 20])),
        lambda: tf.zeros([1 << 20, 1 << 20])[0, :2],
        lambda: tf.size(v1.where(tf.fill([1 << 21], True))),
    ],
)
def test_what_is_large_is_not_computed(value: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Terabytes are seen by their shape alone, also where little is left of them in the end."""
    monkeypatch.setattr(constants, "_run", lambda *_: pytest.fail("computed"))

    def build() -> Any:
        x = v1.placeholder(tf.float32, [None, 2])
        return [x], [x + tf.cast(value(), tf.float32)]

    before = frozen(build)
    after, changes = fold_constants(before, "cpu")
    assert (ops(after), changes) == (ops(before), ())


def test_what_fails_to_compute_is_left_alone() -> None:
    """An index beyond the end fails at every call, if a call asks for it; the other constants are folded."""

    def build() -> Any:
        x = v1.placeholder(tf.float32, [None, 2])
        bad = tf.gather(tf.constant([1.0, 2.0]), tf.constant([7]))
        return [x], [x * tf.sqrt(tf.constant([4.0, 9.0])), x + bad]

    after, changes = fold_constants(frozen(build), "cpu")
    assert ops(after) == {"Mul": 1, "AddV2": 1, "GatherV2": 1}
    assert changes == ("1 results of constants computed once",)
