from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from job.engine.graph import Graph
from job.engine.variants import reduced
from job.engine.variants.base import NotApplicable
from job.engine.variants.reduced import to_bfloat16, to_half
from tests.engine.models import v1
from tests.engine.variants.frozen import assert_same, frozen, ops
from tests.engine.variants.nets import normal

RNG = np.random.default_rng(0)


def build() -> Any:
    """Two dense layers with a residual branch and a head."""
    x = v1.placeholder(tf.float32, [None, 8])
    first = tf.nn.relu(tf.nn.bias_add(tf.matmul(x, normal(1, 8, 8)), normal(2, 8)))
    second = tf.matmul(first, normal(3, 8, 8)) + first
    return [x], [tf.nn.softmax(tf.matmul(second, normal(4, 8, 3))), second]


@pytest.mark.parametrize(
    ("lower", "dtype", "tolerance"), [(to_half, tf.float16, 3e-3), (to_bfloat16, tf.bfloat16, 2e-2)]
)
def test_layers_are_low_and_answers_are_not(lower: Any, dtype: tf.DType, tolerance: float) -> None:
    """Weights are stored in 16 bits, one cast leads in and one out; the head, inputs and outputs stay in float32."""
    before = frozen(build)
    after, changes = lower(before, "gpu")
    graph = Graph(after.graph_def)
    assert [tf.as_dtype(node.attr["T"].type) for node in graph.of_type("MatMul")] == [dtype, dtype, tf.float32]
    assert sorted(tf.as_dtype(node.attr["dtype"].type).name for node in graph.of_type("Const")) == [
        *[dtype.name] * 3,
        "float32",
    ]
    assert ops(after)["Cast"] == 2
    assert changes == (f"2 layers compute in {dtype.name}",)
    assert_same(before, after, RNG.normal(size=(5, 8)).astype(np.float32), tolerance=tolerance)


def test_what_does_not_fit_stays() -> None:
    """A layer whose weights float16 cannot hold computes in float32."""

    def built() -> Any:
        x = v1.placeholder(tf.float32, [None, 8])
        hidden = tf.matmul(tf.matmul(x, normal(1, 8, 8)), np.float32(1e5) * normal(2, 8, 8))
        return [x], [tf.matmul(hidden, normal(3, 8, 2))]

    after, changes = to_half(frozen(built), "gpu")
    assert changes == ("1 layers compute in float16",)
    assert_same(frozen(built), after, RNG.normal(size=(5, 8)).astype(np.float32), tolerance=1e-2)


def test_loops_stay_in_float32() -> None:
    """In a loop a weight would be cast at every step."""

    def built() -> Any:
        x = v1.placeholder(tf.float32, [None, 4])
        weights = tf.constant(normal(1, 4, 4))
        last = v1.while_loop(lambda step, _: step < 3, lambda step, y: (step + 1, tf.tanh(y @ weights)), (0, x))[1]
        return [x], [last @ normal(2, 4, 2)]

    with pytest.raises(NotApplicable, match="no layer"):
        to_half(frozen(built), "gpu")


@pytest.mark.parametrize("flags", ["fma avx512_bf16", "fma amx_bf16"])
def test_processors_with_bfloat16(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, flags: str) -> None:
    """Either of the instructions that multiply bfloat16 will do."""
    (tmp_path / "cpuinfo").write_text(f"flags : {flags}\n")
    monkeypatch.setattr(reduced, "CPU_INFO", tmp_path / "cpuinfo")
    assert to_bfloat16(frozen(build), "cpu")[1] == ("2 layers compute in bfloat16",)


def test_processors_without_bfloat16(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Where the processor would widen every number, there is no such variant, and the reason says so; a GPU may do."""
    (tmp_path / "cpuinfo").write_text("flags : fma avx512f\n")
    monkeypatch.setattr(reduced, "CPU_INFO", tmp_path / "cpuinfo")
    with pytest.raises(NotApplicable, match="avx512_bf16"):
        to_bfloat16(frozen(build), "cpu")
    assert to_bfloat16(frozen(build), "gpu")[1] == ("2 layers compute in bfloat16",)
