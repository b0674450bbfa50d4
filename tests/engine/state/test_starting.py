from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from job.engine.runners import Baseline
from job.errors import BadInput
from job.requests import SourceRequest
from tests.engine.models import Converted, Saver, converted, ref, request_of, save_checkpoint, v1, v1_graph

X = np.array([[1.0, 2.0]], np.float32)
LOADED, STORED = np.array([10.0, 20.0], np.float32), np.array([3.0, 4.0], np.float32)


def scaled(by: Any) -> None:
    tf.multiply(v1.placeholder(tf.float32, [None, 2], name="x"), by, name="y")


def at_start(*ops: Any) -> None:
    v1.add_to_collection("saved_model_main_op", tf.group(*ops))


def said(model: Converted) -> Any:
    """Return what the candidate answers, held against the baseline."""
    (baseline,) = Baseline(model.source, "exact").run(model.source.signatures[0], [X])
    answer = model.answer({"x:0": X})["y:0"]
    np.testing.assert_array_equal(answer, baseline)
    return answer


def test_what_the_init_op_assigns_counts_and_not_the_checkpoint(saved: Saver, tmp_path: Path) -> None:
    """TF1 runs the init op after it has restored: an assignment in it is the value that the model has."""

    def build() -> None:
        scale = ref("scale", STORED)
        at_start(v1.assign(scale, LOADED))
        scaled(scale)

    np.testing.assert_array_equal(said(converted(saved(build), tmp_path)), X * LOADED)


def test_own_initialiser_does_not_undo_the_checkpoint(saved: Saver, tmp_path: Path) -> None:
    """``main_op`` of TF1 groups every initialiser; trained values stay."""

    def build() -> None:
        scale = ref("scale", np.ones(2, np.float32))
        at_start(v1.global_variables_initializer())
        scaled(scale)

    request = saved(build)
    with v1_graph(), v1.Session() as session:
        saver = v1.train.import_meta_graph(f"{request.directory}/model.ckpt.meta")
        session.run("scale/Assign")
        session.run(v1.assign(v1.global_variables()[0], STORED))
        saver.save(session, f"{request.directory}/model.ckpt", write_meta_graph=False)
    np.testing.assert_array_equal(said(converted(request, tmp_path)), X * STORED)


def local(value: Any) -> Any:
    return ref("local", value, collections=[v1.GraphKeys.LOCAL_VARIABLES], trainable=False)


def test_local_variable_has_its_initial_value(saved: Saver, tmp_path: Path) -> None:
    """No checkpoint holds local variables; what they start with is in the graph."""

    def build() -> None:
        ref("step", 1.0)
        scaled(local(LOADED))

    np.testing.assert_array_equal(said(converted(saved(build), tmp_path)), X * LOADED)


def drawn() -> Any:
    return tf.random.normal([2])


def of_another() -> Any:
    return ref("another", STORED).read_value()


@pytest.mark.parametrize("start", [drawn, of_another])
def test_initial_value_that_is_not_fixed_is_no_value(saved: Saver, tmp_path: Path, start: Callable[[], Any]) -> None:
    """A random start, or one made of other state, cannot be known from the file: the variable is missing."""

    def build() -> None:
        ref("step", 1.0)
        scaled(local(start()))

    with pytest.raises(BadInput, match="not in the checkpoint: local"):
        converted(saved(build), tmp_path)


def without_saver(tmp_path: Path, build: Callable[[], Any]) -> SourceRequest:
    """Save variables, and a MetaGraph that knows no saver, as Hub does."""
    with v1_graph() as graph:
        build()
        v1.train.export_meta_graph(str(tmp_path / "graph.meta"))
        request = save_checkpoint(graph, tmp_path / "source")
    (tmp_path / "graph.meta").replace(tmp_path / "source" / "model.ckpt.meta")
    return request


@pytest.mark.parametrize("axis", [0, 1])
def test_partitions_without_a_saver_are_slices_that_a_collection_records(tmp_path: Path, axis: int) -> None:
    """Each part of a Hub module's variable is its slice of the stored tensor, whichever axis is cut."""
    whole = np.arange(4, dtype=np.float32).reshape(2, 2)

    def build() -> None:
        scaled(tf.convert_to_tensor(ref("scale", whole, partitioner=v1.fixed_size_partitioner(2, axis=axis))))

    np.testing.assert_array_equal(said(converted(without_saver(tmp_path, build), tmp_path)), X * whole)


def test_values_of_an_object_based_checkpoint_are_found_by_their_full_names(tmp_path: Path) -> None:
    """What ``tf.train.Checkpoint`` stores by the way to it is found for the variable of that name."""
    with v1_graph():
        scale = ref("net/scale", STORED)
        scaled(scale)
        v1.train.export_meta_graph(str(tmp_path / "model.ckpt.meta"))
        with v1.Session() as session:
            session.run(v1.global_variables_initializer())
            v1.train.Checkpoint(layer=scale).write(str(tmp_path / "model.ckpt"), session=session)
    np.testing.assert_array_equal(said(converted(request_of(tmp_path), tmp_path)), X * STORED)
