from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from job.engine.assembling import read_source
from job.engine.state.checkpoint import read_tensor, read_values
from job.errors import BadInput
from job.requests import SourceRequest
from tests.engine.models import Saver, assert_same, ref, request_of, save_checkpoint, v1, v1_graph

X = np.eye(4, dtype=np.float32)
KERNEL = np.arange(12, dtype=np.float32).reshape(4, 3)


def linear() -> Any:
    return tf.matmul(v1.placeholder(tf.float32, [None, 4], name="x"), ref("kernel", KERNEL), name="y")


def values(request: SourceRequest) -> dict[str, Any]:
    source = read_source(request)
    read = read_values(source.checkpoint, source.variables)
    return {stored.name: value for stored, value in zip(source.variables, read, strict=True)}


@pytest.mark.parametrize("slices", [2, 3])
def test_partitions_are_slices_of_one_tensor(saved: Saver, tmp_path: Path, slices: int) -> None:
    """Each part of a partitioned variable is read as its slice of the stored tensor."""

    def build() -> None:
        x = v1.placeholder(tf.float32, [None, 4], name="x")
        kernel = ref("kernel", KERNEL, partitioner=v1.fixed_size_partitioner(slices))
        tf.matmul(x, kernel, name="y")

    request = saved(build)
    parts = values(request)
    assert len(parts) == slices
    np.testing.assert_array_equal(np.concatenate([parts[name] for name in sorted(parts)]), KERNEL)
    assert {stored.key for stored in read_source(request).variables} == {"kernel"}
    assert_same(request, tmp_path, ["y:0"], [{"x:0": X}])


@pytest.mark.parametrize(
    "how",
    [{}, {"sharded": True}, {"write_version": 1}, {"write_version": 1, "sharded": True}],
    ids=["one file", "sharded", "first version", "first version, sharded"],
)
@pytest.mark.filterwarnings("ignore")  # TensorFlow warns of its own first version
def test_each_kind_of_saver_is_read(tmp_path: Path, how: dict[str, Any]) -> None:
    """One data file, several, and the files of the first version all give the values."""
    with v1_graph() as graph:
        linear()
        request = save_checkpoint(graph, tmp_path / "source", **how)
    np.testing.assert_array_equal(values(request)["kernel"], KERNEL)
    assert_same(request, tmp_path, ["y:0"], [{"x:0": X}])


def test_saver_may_rename(tmp_path: Path) -> None:
    """A variable that its saver stores under another name is found by the saver, not by name."""

    def build() -> Any:
        linear()
        ref("other", KERNEL * 2)
        kernel, other = v1.global_variables()
        return {"stored/weights": kernel, "kernel": other}

    with v1_graph() as graph:
        request = save_checkpoint(graph, tmp_path / "source", var_list=build())
    assert [stored.key for stored in read_source(request).variables] == ["stored/weights"]
    np.testing.assert_array_equal(values(request)["kernel"], KERNEL)


def test_without_a_saver_the_name_decides(saved: Saver, tmp_path: Path) -> None:
    """A MetaGraph that was exported without saver nodes finds its variables by their own names."""
    request = saved(linear)
    with v1_graph() as graph:
        linear()
        v1.train.export_meta_graph(str(tmp_path / "source/model.ckpt.meta"), graph=graph)
    np.testing.assert_array_equal(values(request)["kernel"], KERNEL)


def rebuilt(saved: Saver, tmp_path: Path, build: Callable[[], Any]) -> SourceRequest:
    """Save `linear` and put another graph beside its values."""
    request = saved(linear)
    with v1_graph() as graph:
        build()
        v1.train.Saver()
        v1.train.export_meta_graph(str(tmp_path / "source/model.ckpt.meta"), graph=graph, as_text=False)
    return request


def test_value_that_is_nowhere_is_named(saved: Saver, tmp_path: Path) -> None:
    """A variable without a stored tensor is bad input, counted and named."""

    def build() -> None:
        tf.identity(linear() + ref("bias", [0.0] * 3), name="z")

    with pytest.raises(BadInput, match="1 of 2 variables are not in the checkpoint: bias"):
        read_source(rebuilt(saved, tmp_path, build))


def test_other_shape_is_bad_input(saved: Saver, tmp_path: Path) -> None:
    """TensorFlow restores any shape into a resource variable; here both shapes are said."""

    def build() -> None:
        x = v1.placeholder(tf.float32, [None, 4], name="x")
        tf.matmul(x, ref("kernel", KERNEL[:, :2]), name="y")

    with pytest.raises(BadInput, match=r"kernel has shape \[4, 2\] in the graph and \[4, 3\] in the checkpoint"):
        read_source(rebuilt(saved, tmp_path, build))


def test_transposed_shape_is_bad_input(saved: Saver, tmp_path: Path) -> None:
    """As many numbers in another shape are not the variable's."""

    def build() -> None:
        tf.matmul(v1.placeholder(tf.float32, [None, 3], name="x"), ref("kernel", KERNEL.T), name="y")

    with pytest.raises(BadInput, match="kernel has shape"):
        read_source(rebuilt(saved, tmp_path, build))


def test_saver_may_reshape(tmp_path: Path) -> None:
    """A saver that was made to reshape gives its numbers to a variable of another shape, as in TF1."""
    with v1_graph() as graph:
        tf.matmul(v1.placeholder(tf.float32, [None, 6], name="x"), ref("kernel", KERNEL.reshape(6, 2)), name="y")
        request = save_checkpoint(graph, tmp_path / "source", reshape=True)
    with v1_graph() as graph:
        tf.matmul(v1.placeholder(tf.float32, [None, 4], name="x"), ref("kernel", KERNEL * 0), name="y")
        v1.train.export_meta_graph(
            str(tmp_path / "source/model.ckpt.meta"), graph=graph, saver_def=v1.train.Saver(reshape=True).as_saver_def()
        )
    np.testing.assert_array_equal(values(request)["kernel"], KERNEL)
    assert_same(request, tmp_path, ["y:0"], [{"x:0": X}])


def test_graph_without_checkpoint_names_its_variables(saved: Saver, tmp_path: Path) -> None:
    """A graph with variables and no values beside it says so; a graph without variables needs none."""
    saved(linear)
    for part in (tmp_path / "source").glob("model.ckpt.[id]*"):
        part.unlink()
    with pytest.raises(BadInput):
        read_source(request_of(tmp_path / "source"))


@pytest.mark.parametrize(
    ("part", "damage"),
    [
        ("data-00000-of-00001", lambda data: data[:10]),
        ("data-00000-of-00001", lambda data: bytes([data[0] ^ 4]) + data[1:]),
        ("index", lambda data: data[: len(data) // 2]),
        ("index", lambda data: b"\0" * len(data)),
        ("index", lambda _: b""),
    ],
    ids=["short data", "flipped bit", "short index", "zeros", "empty"],
)
def test_damage_is_bad_input(saved: Saver, part: str, damage: Callable[[bytes], bytes], tmp_path: Path) -> None:
    """A damaged file is found by checksum or size and said in one line that names no path of this machine twice."""
    request = saved(linear)
    path = tmp_path / f"source/model.ckpt.{part}"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(BadInput) as caught:
        values(request)
    assert caught.value.where == "model.ckpt"
    assert "copy" in caught.value.remedy


def test_tensor_that_is_not_stored_is_bad_input(saved: Saver, tmp_path: Path) -> None:
    """A key that a checkpoint lacks is said by name, without TensorFlow's decoration."""
    saved(linear)
    with pytest.raises(BadInput, match="the value of gone cannot be read") as caught:
        read_tensor(str(tmp_path / "source/model.ckpt"), "gone", tf.float32)
    assert "{{" not in caught.value.what
    assert "[Op:" not in caught.value.what
