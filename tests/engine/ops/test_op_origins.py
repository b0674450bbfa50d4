import pytest
from tensorflow.python.framework import op_def_registry

from job.engine.ops.op_origins import RETIRED, origin_of


@pytest.mark.parametrize(
    ("op", "origin"),
    [
        ("Resampler", "tf.contrib.resampler"),
        ("TreePredictionsV4", "tf.contrib.tensor_forest"),
        ("BoostedTreesPredict", "tree estimators"),
        ("NGraphEncapsulateOp", "nGraph"),
        ("TRTEngineOp", "TensorRT"),
        ("HorovodAllreduce", "trainer"),
        ("Addons>Gelu", "tensorflow-addons"),
        ("SentencepieceTokenizeOp", "tensorflow-text"),
        ("TPUReplicatedInput", "TPU"),
        ("CudnnRNN", "--device gpu"),
    ],
)
def test_origin_is_told(op: str, origin: str) -> None:
    """Ops of contrib, of other projects and of other builds say where they are from."""
    assert origin in origin_of(op)


def test_unknown_op_has_no_origin() -> None:
    """Nothing is guessed."""
    assert origin_of("AcmeFusedRelu") == ""


def test_retired_ops_are_gone() -> None:
    """What the table calls retired is not registered in this TensorFlow."""
    assert [op for ops in RETIRED.values() for op in ops.split() if op_def_registry.get(op) is not None] == []
