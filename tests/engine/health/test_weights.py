from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from job.engine.assembling import read_source
from job.engine.health.weights import check_constants
from job.engine.lift import lift
from job.engine.source_graph import SourceGraph
from job.errors import Refused
from job.records import Format
from job.requests import SourceRequest
from tests.engine.health.models import subject_of
from tests.engine.models import graph_of, v1

KERNEL = np.array([[1.0, 2.0], [3.0, 4.0]], np.float32)


def read(folder: Path, change: Callable[[Any], Any]) -> SourceGraph:
    """Read the frozen graph of ``y = change(x)``."""

    def build() -> None:
        tf.identity(change(v1.placeholder(tf.float32, [None, 2], name="x")), name="y")

    (folder / "frozen.pb").write_bytes(graph_of(build).SerializeToString())
    return read_source(SourceRequest(format=Format.GRAPH_DEF, directory=str(folder), entry="frozen.pb"))


def codes(source: SourceGraph) -> list[str]:
    return [finding.code for finding in source.findings]


@pytest.mark.parametrize("dtype", [tf.float32, tf.float16, tf.bfloat16], ids=lambda dtype: dtype.name)
def test_frozen_weights_that_are_nan_are_refused(tmp_path: Path, dtype: tf.DType) -> None:
    """A diverged training shows in constants as it does in variables, in any type, and can be allowed."""
    kernel = KERNEL.copy()
    kernel[0, 1] = np.nan
    source = read(tmp_path, lambda x: tf.cast(x, dtype) @ tf.constant(kernel, dtype, name="kernel"))
    with pytest.raises(Refused, match="1 of 1 frozen weights hold NaN: kernel"):
        lift(source, allow_nonfinite=False)
    assert lift(source, allow_nonfinite=True)


def masked(x: Any) -> Any:
    """A mask that an attention adds to its scores."""
    return tf.nn.softmax(x @ KERNEL + np.array([0.0, -np.inf], np.float32))


def bounded(x: Any) -> Any:
    """A bound that lets everything through."""
    return tf.minimum(x, tf.constant(np.array([np.inf, np.inf], np.float32)))


def default(x: Any) -> Any:
    """A number that stands for a missing one."""
    return tf.where(x > 0, x, tf.fill(tf.shape(x), np.nan))


@pytest.mark.parametrize("change", [masked, bounded, default], ids=lambda change: change.__name__)
def test_infinity_and_nan_that_are_meant_pass(tmp_path: Path, change: Callable[[Any], Any]) -> None:
    """Masks, bounds and marks of what is missing are no weights."""
    check_constants(subject_of(read(tmp_path, change)).path)


def test_half_precision_is_said(tmp_path: Path) -> None:
    """The owner learns that 16 bits are kept, and how many weights have them."""
    source = read(tmp_path, lambda x: tf.cast(x, tf.float16) @ tf.constant(KERNEL, tf.float16))
    (finding,) = [finding for finding in source.findings if finding.code == "half_precision"]
    assert "1 of 1 weights are float16" in finding.cause


def test_quantised_weights_are_said(tmp_path: Path) -> None:
    """What ``quantize_weights`` stored in 8 bits is told from what training only rounded."""
    stored = np.array([[0, 255], [128, 64]], np.uint8)

    def change(x: Any) -> Any:
        return x @ tf.raw_ops.Dequantize(input=tf.constant(stored, tf.quint8), min_range=-1.0, max_range=1.0)

    assert [code for code in codes(read(tmp_path, change)) if "quant" in code] == ["quantised_weights"]


def test_rounding_of_a_quantisation_aware_training_is_said(tmp_path: Path) -> None:
    """Fake quantisation is kept, and the owner learns what it is for."""
    found = codes(read(tmp_path, tf.quantization.fake_quant_with_min_max_args))
    assert [code for code in found if "quant" in code] == ["fake_quantised"]
