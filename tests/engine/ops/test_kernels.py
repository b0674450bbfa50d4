from functools import cache
from typing import Any

import pytest
import tensorflow as tf
from tensorflow.core.framework import node_def_pb2

from job.engine.ops import kernels
from job.engine.ops.kernels import Device, constrained, has_kernel


def node(op: str, **attributes: Any) -> node_def_pb2.NodeDef:
    """Return a node without inputs."""
    made = node_def_pb2.NodeDef(name="one", op=op)
    for name, value in attributes.items():
        if isinstance(value, tf.DType):
            made.attr[name].type = value.as_datatype_enum
        elif isinstance(value, list):
            made.attr[name].list.type.extend(dtype.as_datatype_enum for dtype in value)
        else:
            made.attr[name].s = value
    return made


@pytest.mark.parametrize(
    "runs",
    [
        node("Conv2D", T=tf.float32),
        node("Identity", T=tf.string),
        node("NoOp"),
        node("_Arg", T=tf.float32),
        node("Switch", T=tf.float32),
        node("IdentityN", T=[tf.float32, tf.string]),
        node("GatherNd", Tparams=tf.float32, Tindices=tf.int32),
        node("DepthToSpace", T=tf.float32),
        node("AccumulateNV2", T=tf.float32),
        node("VariableV2", dtype=tf.float32),
        node("VarHandleOp", dtype=tf.float32),
        node("StatefulPartitionedCall"),
    ],
    ids=lambda one: one.op,
)
def test_what_runs_has_a_kernel(runs: node_def_pb2.NodeDef) -> None:
    """Symbolic ops, ops for every dtype, stripped attributes, ops that TensorFlow replaces: none is refused."""
    assert has_kernel(runs, "cpu")


@pytest.mark.parametrize(
    ("lacking", "told"),
    [
        (node("Conv2D", T=tf.int8), " for T=int8"),
        (node("BoostedTreesBucketize"), ""),
        (node("BatchFFT"), ""),
        (node("TopK", T=tf.float32), " for T=float32"),
        (node("DepthToSpace", T=tf.float32, data_format=b"NCHW"), " for T=float32, data_format=NCHW"),
        (node("Conv2D", T=tf.float32, _kernel=b"acme"), " for T=float32"),
    ],
    ids=lambda one: getattr(one, "op", ""),
)
def test_what_cannot_run_has_none(lacking: node_def_pb2.NodeDef, told: str) -> None:
    """Ops without any kernel, without one for their dtype, format or label, are found, and the attributes are told."""
    assert not has_kernel(lacking)
    assert constrained(lacking) == told


def test_dtype_that_a_function_leaves_open_is_no_fault() -> None:
    """In a function's body an attribute may be the caller's."""
    open_ = node("Conv2D")
    open_.attr["T"].placeholder = "T"
    assert has_kernel(open_)


@pytest.mark.parametrize(("device", "runs"), [("any", True), ("gpu", True), ("cpu", False)])
def test_device_decides(device: Device, runs: bool, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: FBT001 - a case
    """An op with a kernel for GPUs alone runs where one is, and is refused on a CPU."""
    only_gpu = (kernels.Kernel(device="GPU", label="", takes={}),)
    kernels.forget()
    with monkeypatch.context() as patch:
        patch.setattr(kernels, "_kernels_of", cache(lambda _: only_gpu))
        found = has_kernel(node("CudnnRNN"), device)
        kernels.forget()
    assert found is runs
