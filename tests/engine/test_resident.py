from contextlib import closing
from typing import Any

import numpy as np
import tensorflow as tf

from job.engine.assembling import read_source
from job.engine.resident import ResidentGraph, resident_call, settling
from job.engine.runners import Candidate
from job.records import Signature, TensorSpec
from tests.engine.models import Saver, ref, v1


def counting() -> None:
    """Add an input to a counter whenever it runs, and answer with its product with a weight."""
    x = v1.placeholder(tf.float32, [None, 2], name="x")
    training = v1.placeholder_with_default(tf.constant(False), [], name="is_training")
    weight, seen = ref("weight", tf.constant([[2.0], [3.0]])), ref("seen", tf.constant(0.0))
    with tf.control_dependencies([v1.assign_add(seen, tf.reduce_sum(x))]):
        answer = tf.matmul(x, weight)
    tf.cond(training, lambda: answer * 0.0, lambda: answer, name="y")


def test_a_session_runs_on_inputs_that_are_there(saved: Saver) -> None:
    """Every call reads the batch that was put there and computes all that the outputs need, returning nothing."""
    source = read_source(saved(counting))
    signature = source.signatures[0]
    with closing(ResidentGraph(source, signature)) as graph:
        call = graph.call(signature, [np.ones([3, 2], np.float32)])
        assert [call(), call()] == [None, None]
        seen = graph._graph.get_tensor_by_name("seen:0")
        assert graph._session.run(seen) == 12.0
        graph.call(signature, [np.ones([1, 2], np.float32)])()
        assert graph._session.run(seen) == 14.0


class Told(Candidate):
    """Notes what it is called with."""

    def __init__(self) -> None:
        self.seen = list[tf.Tensor]()

    def callable(self, _: Signature) -> Any:
        """Return what notes."""
        return lambda *tensors: self.seen.append(tensors)


def test_a_model_is_called_with_the_same_tensors_each_time() -> None:
    """They are made once, before the first call."""
    signature = Signature(
        key="s", inputs=(TensorSpec(key="x", tensor="x:0", dtype="float32", shape=(None,)),), outputs=()
    )
    told = Told()
    call = resident_call(told, signature, [np.ones(2, np.float32)], "cpu")
    call()
    call()
    assert told.seen[0][0] is told.seen[1][0]


def test_only_a_gpu_is_waited_for() -> None:
    """A CPU's call returns when its answer is there."""
    assert settling("cpu") is None
    assert settling("gpu") is tf.test.experimental.sync_devices
