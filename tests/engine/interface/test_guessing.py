import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from job.engine.graph import Graph
from job.engine.interface.guessing import find_outputs, key_of, pipeline_inputs, starts_of
from job.engine.interface.losses import find_compared
from job.engine.interface.switches import find_switches
from job.errors import BadInput
from tests.engine.models import graph_of, ref, v1

Build = Callable[[], object]


def outputs_of(build: Build) -> list[str]:
    graph = Graph(graph_of(build))
    return find_outputs(graph, find_switches(graph))


def images() -> Any:
    return v1.placeholder(tf.float32, [None, 4], name="images")


def logits_of(x: Any) -> Any:
    return tf.identity(x @ ref("kernel", [[1.0, 2.0, 3.0]] * 4), name="logits")


def test_probabilities_and_the_logits_behind_them_are_outputs() -> None:
    """Behind a softmax its input counts as a result too, since probabilities saturate."""
    assert outputs_of(lambda: tf.nn.softmax(logits_of(images()), name="probabilities")) == [
        "probabilities:0",
        "logits:0",
    ]


def test_handles_are_no_outputs() -> None:
    """A handle or a list that something hands out beside its results is not taken for one."""

    def build() -> None:
        logits = logits_of(images())
        tf.raw_ops.TensorListFromTensor(tensor=logits, element_shape=[3], name="held")
        tf.nn.relu(logits, name="result")

    assert outputs_of(build) == ["result:0"]


@pytest.mark.parametrize("name", ["labels", "y_true", "anything"])
def test_losses_and_what_labels_reach_are_no_outputs(name: str) -> None:
    """Labels are known by their name or as the second input of a loss; nothing behind them is a result."""

    def build() -> None:
        logits, labels = logits_of(images()), v1.placeholder(tf.int32, [None], name=name)
        loss = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits, name="xent")
        tf.reduce_mean(loss, name="loss")
        right = tf.equal(tf.argmax(logits, 1, output_type=tf.int32, name="classes"), labels)
        tf.reduce_mean(tf.cast(right, tf.float32), name="accuracy")

    found = outputs_of(build)
    assert "classes:0" in found
    assert not {"loss:0", "accuracy:0"} & set(found)


def test_training_is_no_output() -> None:
    """Gradients, optimizer updates, summaries and savers are passed over, and do not hide what they tap."""

    def build() -> None:
        logits, labels = logits_of(images()), v1.placeholder(tf.float32, [None, 3], name="labels")
        loss = tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(labels, logits), name="loss")
        v1.train.AdamOptimizer().minimize(loss, global_step=v1.train.get_or_create_global_step())
        v1.summary.scalar("loss", loss)
        v1.summary.histogram("activations", logits)
        v1.train.Saver()

    assert outputs_of(build) == ["logits:0"]


def test_updates_of_batch_norm_are_no_outputs() -> None:
    """What moving averages are assigned is no result, though it depends on the input."""

    def build() -> None:
        x, mean = images(), ref("moving_mean", [0.0] * 4, trainable=False)
        batch_mean = tf.reduce_mean(x, 0)
        v1.assign_sub(mean, (mean - batch_mean) * 0.1, name="AssignMovingAvg")
        logits_of(x - mean)

    assert outputs_of(build) == ["logits:0"]


def test_loose_ends_of_a_cond_are_no_outputs() -> None:
    """``switch_t`` and ``switch_f`` of a v1 cond are consumed by nothing, and are no results."""

    def build() -> None:
        x = images()
        tf.identity(tf.cond(tf.reduce_sum(x) > 0, lambda: x + 1, lambda: x - 1), name="y")

    assert outputs_of(build) == ["y:0"]


def test_steps_that_nothing_takes_are_outputs() -> None:
    """What a loop gathered is a result like its last state; the loop's other loose ends are none."""

    def build() -> None:
        x = v1.placeholder(tf.float32, [5, None, 4], name="x")
        steps = tf.TensorArray(tf.float32, 5)
        _, state, steps = tf.while_loop(
            lambda step, *_: step < 5,
            lambda step, state, steps: (step + 1, state + x[step], steps.write(step, state)),
            (0, tf.zeros([3, 4]), steps),
        )
        steps.stack(name="all")
        tf.identity(state, name="state")

    assert set(outputs_of(build)) == {"all/all:0", "state:0"}


def test_condition_itself_is_an_output() -> None:
    """What a v1 cond returns is a result, and not which branch it came from."""

    def build() -> None:
        x = images()
        tf.cond(tf.reduce_sum(x) > 0, lambda: x + 1, lambda: x - 1, name="choice")

    assert outputs_of(build) == ["choice/Merge:0"]


def test_what_optimizers_and_guards_leave_is_no_output() -> None:
    """Sparse updates look up their rows beside the model, and assertions end in conditions."""

    def build() -> None:
        ids = v1.placeholder(tf.int32, [None], name="ids")
        table = ref("table", np.ones([5, 3], np.float32))
        logits = tf.identity(tf.gather(table, ids), name="logits")
        labels = v1.placeholder(tf.int32, [None], name="labels")
        loss = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits)
        v1.train.AdagradOptimizer(0.1).minimize(tf.reduce_mean(loss))
        v1.Assert(tf.reduce_all(ids > 0), [ids])

    assert outputs_of(build) == ["logits:0"]


def test_logits_of_a_sigmoid_loss_are_outputs() -> None:
    """That loss has no op of its own; its labels are labels all the same, whatever they are called."""

    def build() -> None:
        tags = v1.placeholder(tf.float32, [None, 3], name="anything")
        loss = tf.nn.sigmoid_cross_entropy_with_logits(labels=tags, logits=logits_of(images()))
        tf.reduce_mean(loss, name="loss")

    assert outputs_of(build) == ["logits:0"]


def test_update_in_a_condition_is_no_output() -> None:
    """What a condition returns of a variable that it may write is left over by training."""

    def build() -> None:
        training, state = v1.placeholder(tf.bool, [], name="flag"), ref("average", 1.0)
        x = images()
        tf.cond(training, lambda: v1.assign(state, tf.reduce_mean(x)), lambda: tf.identity(state))
        tf.negative(x, name="y")

    assert outputs_of(build) == ["y:0"]


def test_metric_is_no_output_of_a_training_graph() -> None:
    """In a graph that trains, what needs more inputs than the named results is a metric; else it is a result."""

    def build(*, training: bool) -> None:
        x, y = images(), v1.placeholder(tf.float32, [None, 3], name="high")
        logits = logits_of(x)
        error = tf.reduce_sum(tf.abs(logits - y), 1, name="psnr")
        tf.identity(logits, name="scores")
        if training:
            v1.train.GradientDescentOptimizer(0.1).minimize(error)

    assert outputs_of(lambda: build(training=True)) == ["scores:0"]
    assert outputs_of(lambda: build(training=False)) == ["scores:0", "psnr:0"]


def test_batch_norm_that_nothing_takes_is_no_output() -> None:
    """A batch norm kept for its statistics alone is a dead end, unless it is all that there is."""

    def norm() -> None:
        x = v1.placeholder(tf.float32, [None, 2, 2, 1], name="x")
        one = tf.ones([1])
        v1.nn.fused_batch_norm(x, one, one, one, one, is_training=False, name="norm")

    def build() -> None:
        norm()
        tf.negative(v1.get_default_graph().get_tensor_by_name("x:0"), name="y")

    assert outputs_of(build) == ["y:0"]
    assert outputs_of(norm) == ["norm:0"]


def test_what_losses_of_differences_compare_is_found() -> None:
    """The side that depends on variables and on inputs is the prediction, whichever it is, and the last one counts."""

    def build() -> None:
        x, target = images(), v1.placeholder(tf.float32, [None, 3], name="expected")
        hidden = logits_of(x - ref("mean", 0.5))
        tf.reduce_mean(tf.square(target - tf.tanh(hidden, name="prediction")), name="mse")
        tf.reduce_mean(tf.math.squared_difference(hidden, 1.0), name="size")

    graph = Graph(graph_of(build))
    assert find_compared(graph, ["mse:0", "size:0"], starts_of(graph, [])) == ["prediction:0"]


def bare_variable() -> Any:
    return tf.raw_ops.VariableV2(shape=[2], dtype=tf.float32)


@pytest.mark.parametrize(
    ("build", "outputs"),
    [
        (lambda: tf.argmax(tf.constant([1.0, 2.0]), name="best"), ["best:0"]),
        (lambda: tf.raw_ops.Assign(ref=bare_variable(), value=[1.0, 2.0], name="written"), ["written:0"]),
        (lambda: tf.constant(1.0, name="one"), ["one:0"]),
    ],
    ids=["no logits behind", "written variable", "constant"],
)
def test_graph_without_inputs_has_what_nothing_takes(build: Build, outputs: list[str]) -> None:
    """Its ends are its results; constants are none behind an arg-max, and count where there is nothing else."""
    assert outputs_of(build) == outputs


def test_names_of_results_come_first() -> None:
    """Of several results those come first whose name says so."""

    def build() -> None:
        x = images()
        tf.negative(x, name="auxiliary")
        tf.negative(x, name="scores")

    assert outputs_of(build) == ["scores:0", "auxiliary:0"]


def test_switches_do_not_make_results() -> None:
    """What depends on a training switch alone is no result."""

    def build() -> None:
        tf.logical_not(v1.placeholder(tf.bool, [], name="is_training"), name="inference")
        tf.negative(images(), name="y")

    assert outputs_of(build) == ["y:0"]


def test_batch_of_a_queue_is_an_input() -> None:
    """An input pipeline is cut where it hands its batch over, at the tensors that the model needs."""

    def build() -> None:
        queue = tf.queue.FIFOQueue(8, [tf.float32, tf.int32], [[4], []], name="queue")
        batch, labels = queue.dequeue_many(2, name="batch")
        logits_of(batch)
        tf.nn.sparse_softmax_cross_entropy_with_logits(
            labels=labels, logits=v1.get_default_graph().get_tensor_by_name("logits:0")
        )

    graph = Graph(graph_of(build))
    assert find_outputs(graph, []) == ["logits:0"]
    assert pipeline_inputs(graph, graph.ancestors(["logits"])) == ["batch:0"]


def test_input_that_is_handed_on_is_no_output() -> None:
    """A batch's labels, given a name of their own, are no result, and so make no input of themselves."""

    def build() -> None:
        batch, labels = tf.queue.FIFOQueue(8, [tf.float32, tf.int32], [[4], []]).dequeue_many(2, name="batch")
        tf.identity(labels, name="label_batch")
        logits_of(batch)

    assert outputs_of(build) == ["logits:0"]


def test_what_reads_a_state_after_the_input_was_written_is_an_output() -> None:
    """Only a control edge leads from a memory's input to its answer."""

    def build() -> None:
        memory = ref("memory", [[0.0] * 4])
        with tf.control_dependencies([v1.scatter_update(memory, [0], images())]):
            tf.reduce_sum(memory.read_value(), name="score")

    assert outputs_of(build) == ["score:0"]


def test_what_a_metric_casts_is_the_output() -> None:
    """A metric casts classes before it compares them with labels: the classes are the result, not the cast."""

    def build() -> None:
        labels = v1.placeholder(tf.int32, [None], name="labels")
        v1.metrics.accuracy(labels, tf.argmax(logits_of(images()), 1, name="classes"))

    assert outputs_of(build) == ["classes:0", "logits:0"]


def test_input_that_is_missing_is_named() -> None:
    """A node whose input is not in the graph is the reason to give where no output is found."""
    graph_def = graph_of(lambda: logits_of(images()))
    next(node for node in graph_def.node if node.op == "MatMul").input[0] = "gone"
    with pytest.raises(BadInput, match="'gone', which it does not hold"):
        find_outputs(Graph(graph_def), [])


def test_graph_without_results_is_bad_input() -> None:
    """Where training alone is left, the error names what is computed last, and how to take it for an output."""
    with pytest.raises(BadInput, match="no output can be found") as caught:
        outputs_of(lambda: v1.assign(ref("v", [1.0] * 4), tf.reduce_sum(images(), 0)))
    assert re.search(r"`outputs` in the manifest; the last ones computed are \w+, Sum", caught.value.remedy)


@pytest.mark.parametrize(
    ("tensor", "taken", "key"),
    [
        ("logits:0", [], "logits"),
        ("a/b/logits:0", [], "logits"),
        ("a/b/top:1", [], "top_1"),
        ("a/b-c.d:0", [], "b_c_d"),
        ("a/1x:0", [], "x_1x"),
        ("logits", [], "logits"),
        ("b/logits:0", ["logits"], "logits_1"),
        ("b/logits:0", ["logits", "logits_1"], "logits_2"),
        ("top:1", ["top_1"], "top_1_1"),
    ],
)
def test_keys_are_legal_and_unused(tensor: str, taken: list[str], key: str) -> None:
    """An argument's name is the last part of the tensor's, an identifier, and no other's."""
    found = key_of(tensor, taken)
    assert found == key
    assert found.isidentifier()
    assert found not in taken


def test_saver_is_no_result() -> None:
    """In a graph without inputs every loose end could be a result, but not what the saver leaves behind."""

    def build() -> None:
        tf.multiply(ref("weight", np.ones(3, np.float32)), 2.0, name="doubled")
        v1.train.Saver()

    assert find_outputs(Graph(graph_of(build)), ()) == ["doubled:0"]
