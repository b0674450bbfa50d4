from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.framework import graph_pb2
from tensorflow.python.framework import op_def_registry

from job.engine.ops.deprecated import RENAMED, RENEWED
from job.engine.runners import Baseline
from job.records import Format
from job.requests import SourceRequest
from tests.engine.models import Converted, converted

RANDOM = np.random.default_rng(7)


def old_graph(producer: int, *nodes: tuple[str, str, list[str], Mapping[str, Any]]) -> graph_pb2.GraphDef:
    """Return a GraphDef of an old version, of (name, op, inputs, attributes); an array is a Const's value."""
    graph_def = graph_pb2.GraphDef()
    graph_def.versions.producer = producer
    for name, op, inputs, attributes in nodes:
        node = graph_def.node.add(name=name, op=op, input=inputs)
        for key, value in attributes.items():
            set_attribute(node.attr[key], value)
    return graph_def


def set_attribute(attribute: Any, value: Any) -> None:
    """Set an attribute by its value's type."""
    if isinstance(value, tf.DType):
        attribute.type = value.as_datatype_enum
    elif isinstance(value, bool):
        attribute.b = value
    elif isinstance(value, int):
        attribute.i = value
    elif isinstance(value, float):
        attribute.f = value
    elif isinstance(value, bytes):
        attribute.s = value
    elif isinstance(value, tf.TensorShape):
        attribute.shape.CopyFrom(value.as_proto())
    elif isinstance(value, list):
        attribute.list.i.extend(value)
    else:
        attribute.tensor.CopyFrom(tf.make_tensor_proto(value))


def given(*shape: int | None, dtype: tf.DType = tf.float32) -> tuple[str, str, list[str], Mapping[str, Any]]:
    """Return the node of the input."""
    return ("x", "Placeholder", [], {"dtype": dtype, "shape": tf.TensorShape(shape)})


def const(name: str, value: Any) -> tuple[str, str, list[str], Mapping[str, Any]]:
    """Return the node of a constant."""
    array = np.asarray(value)
    return (name, "Const", [], {"dtype": tf.as_dtype(array.dtype), "value": array})


FLOAT = {"T": tf.float32}

ROWS = np.array([1, 2, 0.5], np.float32)
BATCH_NORM = [
    given(None, 4, 4, 3),
    *(const(name, ROWS + index) for index, name in enumerate(("mean", "variance", "beta", "gamma"))),
]

GRAPHS = {
    **{
        f"batch_norm_{scaled}": old_graph(
            8,
            *BATCH_NORM,
            (
                *("y", "BatchNormWithGlobalNormalization", ["x", "mean", "variance", "beta", "gamma"]),
                {**FLOAT, "variance_epsilon": 0.001, "scale_after_normalization": scaled},
            ),
        )
        for scaled in (True, False)
    },
    **{
        op: old_graph(10, given(None, 3, 3), ("y", op, ["x"], FLOAT))
        for op in ("BatchMatrixInverse", "BatchMatrixDeterminant", "BatchMatrixDiagPart", "BatchMatrixDiag")
    },
    "quantized": old_graph(
        20, given(None, 5), ("y", "QuantizeAndDequantize", ["x"], {**FLOAT, "num_bits": 4, "range_given": False})
    ),
    "quantized_in_range": old_graph(
        20,
        given(None, 5),
        ("y", "QuantizeAndDequantize", ["x"], {**FLOAT, "range_given": True, "input_min": -1.0, "input_max": 2.0}),
    ),
    "deconvolution": old_graph(
        9,
        given(1, 2, 2, 2, 1),
        const("like", np.zeros([1, 4, 4, 4, 1], np.float32)),
        const("kernel", RANDOM.normal(size=[2, 2, 2, 1, 1]).astype(np.float32)),
        (
            *("y", "Conv3DBackpropInput", ["like", "kernel", "x"]),
            {**FLOAT, "strides": [1, 2, 2, 2, 1], "padding": b"SAME"},
        ),
    ),
    **{
        f"arrays_{version or 'V1'}": old_graph(
            15 if not version else 20,
            given(None, 3),
            *(const(name, np.array(value, np.int32)) for name, value in (("two", 2), ("0", 0), ("1", 1))),
            const("flow", np.array(0, np.float32)),
            const("order", np.array([1, 0], np.int32)),
            ("array", f"TensorArray{version}", ["two"], {"dtype": tf.float32, "clear_after_read": False}),
            ("first", f"TensorArrayWrite{version}", ["array", "0", "x", "flow"], FLOAT),
            ("negative", "Neg", ["x"], FLOAT),
            ("second", f"TensorArrayWrite{version}", ["array", "1", "negative", "first"], FLOAT),
            ("y", f"TensorArrayGather{version}", ["array", "order", "second"], {"dtype": tf.float32}),
            ("z", f"TensorArrayRead{version}", ["array", "0", "second"], {"dtype": tf.float32}),
        )
        for version in ("", "V2")
    },
    "packed": old_graph(
        15,
        given(2, 3),
        const("two", np.array(2, np.int32)),
        const("flow", np.array(0, np.float32)),
        ("array", "TensorArray", ["two"], {"dtype": tf.float32, "clear_after_read": False}),
        ("filled", "TensorArrayUnpack", ["array", "x", "flow"], FLOAT),
        ("y", "TensorArrayPack", ["array", "filled"], {"dtype": tf.float32}),
    ),
}


def model_of(name: str, folder: Path) -> Converted:
    """Convert one of the graphs."""
    (folder / "old.pb").write_bytes(GRAPHS[name].SerializeToString())
    return converted(SourceRequest(format=Format.GRAPH_DEF, directory=str(folder), entry="old.pb"), folder)


@pytest.mark.parametrize("name", GRAPHS)
def test_old_graph_answers_as_it_did(name: str, tmp_path: Path) -> None:
    """TensorFlow runs the old graph itself; the SavedModel, which holds none of its ops, answers bit by bit alike."""
    model = model_of(name, tmp_path)
    signature = model.signature()
    shape = [size or 2 for size in signature.inputs[0].shape or ()]
    feeds = [RANDOM.normal(size=shape).astype(np.float32)]
    wanted = Baseline(model.source, "exact").run(signature, feeds)
    for said, expected in zip(model.candidate.run(signature, feeds), wanted, strict=True):
        np.testing.assert_array_equal(said, expected)


def test_successors_take_and_give_the_same() -> None:
    """A renamed op has its successor's inputs and outputs, one by one; only resources were strings."""
    for old, new in RENAMED.items():
        before, after = (op_def_registry.get(op) for op in (old, new))
        assert len(before.input_arg) == len(after.input_arg), old
        assert len(before.output_arg) <= len(after.output_arg), old
        required = {attr.name for attr in after.attr if not attr.HasField("default_value")}
        assert required <= {attr.name for attr in before.attr}, old


def test_renewed_ops_have_ended() -> None:
    """What is renewed is what TensorFlow itself calls ended, but for one that it forgot."""
    assert {op for op in RENEWED if not op_def_registry.get(op).deprecation.version} == {"TensorArrayConcatV2"}
