from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from job.engine import lift
from job.engine.graph import GraphDef
from job.engine.rewrites import to_resources
from tests.engine.models import Saver, converted, ref, v1
from tests.engine.proof.test_verifying import damaged, verified

WEIGHTS = np.linspace(-1, 1, 16, dtype=np.float32).reshape(4, 4)


def layers() -> None:
    x = v1.placeholder(tf.float32, [None, 4], name="x")
    hidden = tf.nn.relu(tf.matmul(x, ref("first", WEIGHTS), name="dense"), name="hidden")
    shifted = tf.add(hidden, 1.0, name="shifted")
    tf.matmul(shifted, ref("second", WEIGHTS), name="y")


def faulty(graph_def: GraphDef) -> Any:
    """Rewrite as the lift does, and put another op where `Relu` was."""
    for node in graph_def.node:
        if node.op == "Relu":
            node.op = "Softplus"
    return to_resources(graph_def)


def test_first_node_that_a_rewrite_breaks_is_named(
    saved: Saver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of all the nodes behind a fault the first one is told, with its op and how far off it is."""
    monkeypatch.setattr(lift, "to_resources", faulty)
    request = saved(layers)
    result = verified(request, converted(request, tmp_path).directory)
    assert result.verdict == "failed"
    assert result.first_diverging is not None
    assert (result.first_diverging.node, result.first_diverging.op) == ("hidden", "Relu")
    assert "relative error" in result.first_diverging.reason


def test_damaged_variable_is_found_where_it_is_read(saved: Saver, tmp_path: Path) -> None:
    """A fault in the published bytes shows too: the graph is lifted again with the values that they hold."""

    def build() -> None:
        x = v1.placeholder(tf.float32, [None, 4], name="x")
        tf.add(tf.matmul(tf.nn.relu(x, name="before"), ref("kernel", WEIGHTS), name="product"), 1.0, name="y")

    request = saved(build)
    model = converted(request, tmp_path)
    damaged(model.directory, 1e-2)
    result = verified(request, model.directory)
    assert result.first_diverging is not None
    assert result.first_diverging.node in ("kernel", "kernel/read")


def test_loop_is_told_by_what_leaves_it(saved: Saver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault inside a loop is told by the loop's exit, since no single iteration's value can be asked for."""

    def build() -> None:
        x = v1.placeholder(tf.float32, [None, 4], name="x")
        body = lambda step, value: (step + 1, tf.nn.relu(value - 0.1))  # noqa: E731
        _, last = v1.while_loop(lambda step, _: step < 3, body, [0, x])
        tf.identity(last, name="y")

    monkeypatch.setattr(lift, "to_resources", faulty)
    request = saved(build)
    result = verified(request, converted(request, tmp_path).directory)
    assert result.first_diverging is not None
    assert result.first_diverging.op == "Exit"


def test_nothing_is_searched_for_where_all_is_equal(saved: Saver, tmp_path: Path) -> None:
    """A model that passes has no diverging node."""
    request = saved(layers)
    assert verified(request, converted(request, tmp_path).directory).first_diverging is None
