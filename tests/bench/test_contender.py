import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tests.bench.contender import KINDS, Array, Bound, Server, Setting, serve


def double(batch: Array) -> Bound:
    if batch.shape[0] > 4:
        raise MemoryError("too many")
    return Bound(lambda: None, lambda: {"doubled": batch * 2})


def asked(*questions: list[object]) -> list[dict[str, object]]:
    answers = io.StringIO()
    serve(Server(double), io.StringIO("".join(json.dumps(one) + "\n" for one in questions)), answers)
    return [json.loads(line) for line in answers.getvalue().splitlines()]


def test_batches_repeat_the_examples(tmp_path: object) -> None:
    """A batch larger than the file repeats its examples; the answers come by name."""
    np.save(f"{tmp_path}/inputs.npy", np.array([[1.0], [2.0]]))
    told = asked(["bind", f"{tmp_path}/inputs.npy", 3], ["answers", f"{tmp_path}/answers.npz"], ["run", 2])
    assert told[1] == {"answer": ["doubled"]}
    assert isinstance(told[2]["answer"], list)
    assert len(told[2]["answer"]) == 2
    with np.load(f"{tmp_path}/answers.npz") as answers:
        assert answers["doubled"].ravel().tolist() == [2, 4, 2]


def test_an_error_is_an_answer(tmp_path: object) -> None:
    """What a runtime raises is told, and the next question is answered all the same."""
    np.save(f"{tmp_path}/inputs.npy", np.ones((1, 1)))
    told = asked(["bind", f"{tmp_path}/inputs.npy", 5], ["bind", f"{tmp_path}/inputs.npy", 1])
    assert told[0] == {"error": "MemoryError: too many"}
    assert "answer" in told[1]


@pytest.fixture
def tripling(tmp_path: Path) -> dict[str, Path]:
    """A model of each kind that TensorFlow runs, by the kind."""
    model = tf.Module()
    model.serve = tf.function(lambda inputs: {"tripled": inputs * 3}, [tf.TensorSpec([None, 2])])
    tf.saved_model.save(model, str(tmp_path / "saved_model"), {"serving_default": model.serve})
    with tf.Graph().as_default() as graph:
        given = tf.compat.v1.placeholder(tf.float32, [None, 2], "inputs")
        tf.multiply(given, 3, "tripled")
    (tmp_path / "frozen.pb").write_bytes(graph.as_graph_def().SerializeToString())
    return {"session": tmp_path / "frozen.pb", "saved_model": tmp_path / "saved_model"}


@pytest.mark.parametrize("kind", ["session", "saved_model"])
def test_every_batch_size_begins_anew(tripling: dict[str, Path], kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """None runs on weights that were laid out for the one before, and a session does not stay open beside the next."""
    begun, closed = list[Any](), list[Any]()

    class Session(tf.compat.v1.Session):  # type: ignore[misc] # TensorFlow has no types
        def __init__(self, **options: Any) -> None:
            super().__init__(**options)
            begun.append(self)

        def close(self) -> None:
            closed.append(self)
            super().close()

    load = tf.saved_model.load

    def loaded(path: str) -> Any:
        begun.append(path)
        return load(path)

    monkeypatch.setattr(tf.saved_model, "load", loaded)
    monkeypatch.setattr(tf.compat.v1, "Session", Session)
    monkeypatch.setattr(tf.config.threading, "set_intra_op_parallelism_threads", lambda _: None)  # it runs already
    options = {"outputs": ["tripled"], "threads": 1, "device": "cpu", "resident": False, "first": 3}
    bind = KINDS[kind](Setting(model=tripling[kind], **options))
    for size in (1, 2):
        answers = bind(np.ones([size, 2], np.float32)).answers()
        assert answers["tripled"].tolist() == [[3, 3]] * size
    assert len(begun) == 2
    assert closed == (begun[:1] if kind == "session" else [])
