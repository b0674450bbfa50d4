from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from job.engine.rewrites import to_resources
from job.errors import BadInput
from tests.engine.models import Saver, assert_same, converted, graph_of, outputs, ref, request_of, v1

X = np.array([[1.0, -2.0], [0.5, 3.0]], np.float32)


def x(*, rows: int | None = None) -> Any:
    return v1.placeholder(tf.float32, [rows, 2], name="x")


def y(value: Any) -> Any:
    return tf.identity(value, name="y")


def ops_of(graph_def: Any) -> set[str]:
    return {node.op for node in graph_def.node}


def test_read_only_variable_is_read_under_its_own_name() -> None:
    """A variable that nothing writes becomes one read of a handle that is fed; its readers stay as they are."""
    pruned = graph_of(lambda: y(ref("v", 2.0) * 3.0))
    for node in [node for node in pruned.node if node.op == "Assign"]:
        pruned.node.remove(node)
    rewritten, handles = to_resources(pruned)
    assert handles == {"v": "v/resource_handle:0"}
    (read,) = (node for node in rewritten.node if node.name == "v")
    assert (read.op, list(read.input)) == ("ReadVariableOp", ["v/resource_handle:0"])
    assert "VariableV2" not in ops_of(rewritten)


def test_read_only_variable_answers_alike(saved: Saver, tmp_path: Path) -> None:
    """Reference variables, one of them without initial rank in the graph, give what TF1 gives."""

    def build() -> None:
        free = v1.Variable(tf.constant([3.0, 4.0]), validate_shape=False, use_resource=False, name="free")
        y(x() @ ref("kernel", [[1.0, 2.0], [3.0, 4.0]]) + free)

    assert_same(saved(build), tmp_path, ["y:0"], [{"x:0": X}])


def test_counter_is_read_after_it_is_written(saved: Saver, tmp_path: Path) -> None:
    """A read that waits for a write gives the new value, one that the write waits for the old, over several calls."""

    def build() -> None:
        counter = ref("counter", 0.0)
        with tf.control_dependencies([tf.multiply(counter, 1.0, name="before")]):
            write = v1.assign_add(counter, tf.reduce_sum(x()), name="write")
        with tf.control_dependencies([write]):
            after = tf.identity(counter.read_value(), name="after")
        tf.stack([after, tf.identity(write, name="written")], name="y")

    request = saved(build)
    model = assert_same(
        request_of(Path(request.directory), outputs(y="y:0", before="before:0")),
        tmp_path,
        ["y:0", "before:0"],
        [{"x:0": X}, {"x:0": 2 * X}, {"x:0": X}],
    )
    assert [stored.name for stored in model.source.variables] == ["counter"]


@pytest.mark.parametrize("locking", [True, False])
def test_assign_replaces_the_value(saved: Saver, tmp_path: Path, *, locking: bool) -> None:
    """`Assign` with its lock and an unvalidated shape becomes a write that lasts until the next call."""

    def build() -> None:
        state = ref("state", [0.0, 0.0])
        old = tf.identity(state, name="old")
        with tf.control_dependencies([old]):
            new = v1.assign(state, old + tf.reduce_sum(x(), 0), validate_shape=False, use_locking=locking)
        y(new * 1.0)

    assert_same(saved(build), tmp_path, ["y:0"], [{"x:0": X}, {"x:0": X}])


@pytest.mark.parametrize(
    "update",
    ["scatter_update", "scatter_add", "scatter_sub", "scatter_mul", "scatter_div", "scatter_min", "scatter_max"],
)
def test_scatter_writes_rows(saved: Saver, tmp_path: Path, update: str) -> None:
    """Each op that changes rows of a variable changes the same ones of the resource variable."""

    def build() -> None:
        state = ref("state", [[1.0, 1.0], [2.0, 2.0], [3.0, 3.0]])
        y(getattr(v1, update)(state, tf.constant([0, 2]), x(rows=2)) * 1.0)

    assert_same(saved(build), tmp_path, ["y:0"], [{"x:0": X}, {"x:0": -X}])


@pytest.mark.parametrize("update", ["scatter_nd_update", "scatter_nd_add", "scatter_nd_sub"])
def test_scatter_nd_writes_elements(saved: Saver, tmp_path: Path, update: str) -> None:
    """Each op that changes single elements of a variable changes the same ones of the resource variable."""

    def build() -> None:
        state = ref("state", [[1.0, 1.0], [2.0, 2.0], [3.0, 3.0]])
        y(getattr(v1, update)(state, tf.constant([[0, 1], [2, 0]]), tf.reduce_sum(x(rows=2), 1)) * 1.0)

    assert_same(saved(build), tmp_path, ["y:0"], [{"x:0": X}, {"x:0": X}])


def test_initialised_is_true(saved: Saver, tmp_path: Path) -> None:
    """A model that asks whether a variable has its value hears that it has."""

    def build() -> None:
        inputs, state = x(), ref("state", [5.0, 6.0])
        y(inputs * state * tf.cast(v1.is_variable_initialized(state), tf.float32))

    assert_same(saved(build), tmp_path, ["y:0"], [{"x:0": X}])


def test_cond_switches_a_reference(saved: Saver, tmp_path: Path) -> None:
    """A reference variable that a v1 cond captures is switched as a reference, and converts."""

    def build() -> None:
        inputs, state = x(), ref("state", [5.0, 6.0])
        y(tf.cond(tf.reduce_sum(inputs) > 0, lambda: inputs + state._ref(), lambda: inputs - tf.square(state)))

    request = saved(build)
    assert "RefSwitch" in ops_of(_meta(request).graph_def)
    assert_same(request, tmp_path, ["y:0"], [{"x:0": X}, {"x:0": -X}])


def test_cond_that_writes_writes_in_its_branch_only(saved: Saver, tmp_path: Path) -> None:
    """A write inside a branch happens if the branch is taken, and lasts."""

    def build() -> None:
        inputs, state = x(), ref("state", [0.0, 0.0])
        grown = tf.cond(
            tf.reduce_sum(inputs) > 0,
            lambda: tf.identity(v1.assign_add(state, tf.reduce_sum(inputs, 0))),
            lambda: tf.identity(state) * 1.0,
        )
        y(grown)

    request = saved(build)
    assert "RefSwitch" in ops_of(_meta(request).graph_def)
    assert_same(request, tmp_path, ["y:0"], [{"x:0": X}, {"x:0": -X}, {"x:0": X}])


@pytest.mark.parametrize("order", ["written first", "read first"])
def test_reference_behind_a_switch_is_read_where_it_is_used(saved: Saver, tmp_path: Path, order: str) -> None:
    """In a branch that writes, a read of the reference sees what was written before it, and nothing later."""

    def branch(inputs: Any, state: Any) -> Any:
        held = state._ref()
        if order == "written first":
            with tf.control_dependencies([v1.assign_add(state, tf.reduce_sum(inputs, 0))]):
                return held * 2.0
        before = held * 2.0
        with tf.control_dependencies([before]):
            return v1.assign_add(state, tf.reduce_sum(inputs, 0)) + 10.0 * before

    def build() -> None:
        inputs, state = x(), ref("state", [0.5, 0.0])
        y(tf.cond(tf.reduce_sum(inputs) > 0, lambda: branch(inputs, state), lambda: state._ref() * -1.0))

    request = request_of(Path(saved(build).directory), outputs(y="y:0"))
    assert "RefSwitch" in ops_of(_meta(request).graph_def)
    assert_same(request, tmp_path, ["y:0"], [{"x:0": X}, {"x:0": -X}, {"x:0": X}])


def test_reference_handed_on_is_read_where_it_is_used(saved: Saver, tmp_path: Path) -> None:
    """`RefIdentity` hands on the variable and not its value."""

    def build() -> None:
        inputs, state = x(), ref("state", [0.5, 0.0])
        held = tf.raw_ops.RefIdentity(input=state._ref())
        with tf.control_dependencies([v1.assign_add(state, tf.reduce_sum(inputs, 0))]):
            y(held * 2.0)

    request = request_of(Path(saved(build).directory), outputs(y="y:0"))
    assert "RefIdentity" in ops_of(_meta(request).graph_def)
    assert_same(request, tmp_path, ["y:0"], [{"x:0": X}, {"x:0": X}])


def test_written_variable_that_enters_a_loop_is_refused(saved: Saver, tmp_path: Path) -> None:
    """When a loop reads a reference that something else writes cannot be told; the message names the variable."""

    def build() -> None:
        inputs, state = x(), ref("state", [[0.5, 0.1], [0.2, 0.5]])
        start = inputs @ v1.assign_add(state, tf.ones([2, 2]))
        y(tf.while_loop(lambda i, _: i < 3, lambda i, value: (i + 1, value @ state._ref()), (0, start))[1])

    with pytest.raises(BadInput, match="a reference to variable state, which is written"):
        converted(saved(build), tmp_path)


def test_loop_reads_a_reference(saved: Saver, tmp_path: Path) -> None:
    """A reference variable that a v1 loop captures enters it, and converts with its loop."""

    def build() -> None:
        inputs, state = x(), ref("state", [[0.5, 0.1], [0.2, 0.5]])
        _, last = tf.while_loop(lambda i, _: i < 3, lambda i, value: (i + 1, value @ state._ref()), (0, inputs))
        y(last)

    request = saved(build)
    assert "RefEnter" in ops_of(_meta(request).graph_def)
    assert_same(request, tmp_path, ["y:0"], [{"x:0": X}])


def test_write_inside_a_loop_is_refused(saved: Saver, tmp_path: Path) -> None:
    """A variable that a v1 loop writes has no form that TF2 would load; the message names node and variable."""

    def build() -> None:
        inputs, state = x(), ref("state", 0.0)

        def body(step: Any, value: Any) -> Any:
            return step + 1, value + v1.assign_add(state, 1.0)

        y(inputs + tf.while_loop(lambda step, _: step < 3, body, (0, 0.0))[1])

    with pytest.raises(BadInput, match="writes variable state inside a loop"):
        converted(saved(build), tmp_path)


def test_reference_op_without_resource_form_is_refused(saved: Saver, tmp_path: Path) -> None:
    """An op that changes a variable and has no resource form here is named with its node."""

    def build() -> None:
        inputs, state = x(), ref("state", 0)
        y(inputs + tf.cast(tf.raw_ops.CountUpTo(ref=state.op.outputs[0], limit=9, name="count"), tf.float32))

    with pytest.raises(BadInput, match=r"CountUpTo \(node count\)"):
        converted(saved(build), tmp_path)


def test_printing_without_output_is_left_out(saved: Saver, tmp_path: Path) -> None:
    """`PrintV2` is a node that others wait for at most: it goes, and what waits for it stays."""

    def build() -> None:
        with tf.control_dependencies([tf.raw_ops.PrintV2(input="here", name="said")]):
            y(x() * 2.0)

    model = assert_same(saved(build), tmp_path, ["y:0"], [{"x:0": X}])
    assert b"PrintV2" not in (model.directory / "saved_model.pb").read_bytes()


def test_print_is_silent(saved: Saver, tmp_path: Path) -> None:
    """`Print` hands its input on and prints nothing, also where a control input hangs on it."""

    def build() -> None:
        y(v1.Print(x() * ref("k", 2.0), [tf.constant("here")], "message") + 1.0)

    model = assert_same(saved(build), tmp_path, ["y:0"], [{"x:0": X}])
    assert b"message" not in (model.directory / "saved_model.pb").read_bytes()


def first_version_table(shared_name: str = "words") -> Any:
    table = tf.raw_ops.HashTable(key_dtype=tf.string, value_dtype=tf.int64, shared_name=shared_name)
    filled = tf.raw_ops.InitializeTable(
        table_handle=table, keys=tf.constant(["a", "b"]), values=tf.constant([7, 8], tf.int64)
    )
    v1.add_to_collection(v1.GraphKeys.TABLE_INITIALIZERS, filled)
    return table


def find(table: Any, keys: Any) -> Any:
    return tf.raw_ops.LookupTableFind(table_handle=table, keys=keys, default_value=tf.constant(-1, tf.int64))


def test_first_version_table_is_found_in(saved: Saver, tmp_path: Path) -> None:
    """A table whose handle is a reference to a string is filled when the SavedModel is loaded, and answers alike."""

    def build() -> None:
        words = v1.placeholder(tf.string, [None], name="words")
        table = first_version_table()
        y(find(table, words) + tf.raw_ops.LookupTableSize(table_handle=table))

    assert_same(saved(build), tmp_path, ["y:0"], [{"words:0": np.array([b"b", b"c", b"a"], object)}])


def test_first_version_table_enters_a_loop(saved: Saver, tmp_path: Path) -> None:
    """The handle of a first-version table that a v1 `map_fn` captures enters the loop as a resource."""

    def build() -> None:
        words, table = v1.placeholder(tf.string, [None], name="words"), first_version_table()
        y(v1.map_fn(lambda word: find(table, word), words, dtype=tf.int64))

    request = saved(build)
    assert "RefEnter" in ops_of(_meta(request).graph_def)
    assert_same(request, tmp_path, ["y:0"], [{"words:0": np.array([b"b", b"c", b"a"], object)}])


def _meta(request: Any) -> Any:
    return tf.compat.v1.MetaGraphDef.FromString(Path(request.directory, "model.ckpt.meta").read_bytes())
