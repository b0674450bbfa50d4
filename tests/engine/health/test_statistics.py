from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from job.engine.assembling import read_source
from job.engine.health.statistics import statistics_untrained
from job.records import Format
from job.requests import SourceRequest
from tests.engine.health.models import BETA, GAMMA, MEAN, VARIANCE, asking, network, said_of, subject_of, variable
from tests.engine.models import Saver, graph_of, v1

FRESH_MEAN, FRESH_VARIANCE = np.zeros_like(MEAN), np.ones_like(VARIANCE)


def inference(x: Any, mean: Any, variance: Any, *, is_fused: bool = True) -> Any:
    """One batch norm in inference mode."""
    moving = variable("moving_mean", mean, trainable=False), variable("moving_variance", variance, trainable=False)
    gamma, beta = variable("gamma", GAMMA), variable("beta", BETA)
    if is_fused:
        return v1.nn.fused_batch_norm(x, gamma, beta, *moving, is_training=False)[0]
    return tf.nn.batch_normalization(x, *moving, beta, gamma, 1e-3)


def both(x: Any, first: tuple[Any, Any], second: tuple[Any, Any]) -> Any:
    """A fused batch norm, then one that is not."""
    with v1.variable_scope("first"):
        x = inference(x, *first)
    with v1.variable_scope("second"):
        return inference(x, *second, is_fused=False)


TRAINED, FRESH = (MEAN, VARIANCE), (FRESH_MEAN, FRESH_VARIANCE)


@pytest.mark.parametrize(
    ("first", "second", "count"), [(FRESH, FRESH, "2 of 2"), (TRAINED, FRESH, "1 of 2"), (FRESH, TRAINED, "1 of 2")]
)
def test_statistics_that_never_moved_are_counted(saved: Saver, first: Any, second: Any, count: str) -> None:
    """Means of 0 beside variances of 1 are what a training leaves that did not run its update ops."""
    request = saved(network(lambda x: both(x, first, second)))
    (finding,) = said_of(request, "statistics_untrained")
    assert f"{count} batch norms" in finding.cause
    assert finding.severity == "warning"


@pytest.mark.parametrize("second", [TRAINED, (MEAN, FRESH_VARIANCE), (FRESH_MEAN, VARIANCE)])
def test_statistics_of_which_either_moved_are_trained(saved: Saver, second: Any) -> None:
    """A mean of 0 or a variance of 1 alone says nothing."""
    assert said_of(saved(network(lambda x: both(x, TRAINED, second))), "statistics_untrained") == []


def test_constants_of_a_frozen_graph_are_read(tmp_path: Path) -> None:
    """Freezing makes constants of the statistics; they tell as much."""

    def build() -> None:
        x = v1.placeholder(tf.float32, [None, 5, 6, 3], name="x")
        moving = tf.constant(FRESH_MEAN, name="moving_mean"), tf.constant(FRESH_VARIANCE, name="moving_variance")
        tf.identity(v1.nn.fused_batch_norm(x, GAMMA, BETA, *moving, is_training=False)[0], name="y")

    (tmp_path / "frozen.pb").write_bytes(graph_of(build).SerializeToString())
    request = SourceRequest(format=Format.GRAPH_DEF, directory=str(tmp_path), entry="frozen.pb")
    (finding,) = statistics_untrained(subject_of(read_source(asking(request))))
    assert "1 of 1 batch norms" in finding.cause
    assert "first moving_mean" in finding.cause
