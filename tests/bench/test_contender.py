import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

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
def drawing(tmp_path: Path) -> dict[str, Path]:
    """A model of each kind that TensorFlow runs, by the kind: it draws as many numbers as there are examples."""
    import tensorflow as tf  # not sooner: tests of the engine have to be the first to import it

    def draw(inputs: Any) -> Any:
        return tf.raw_ops.RandomUniform(shape=tf.shape(inputs)[:1], dtype=tf.float32, seed=1, seed2=2, name="drawn")

    model = tf.Module()
    model.serve = tf.function(lambda inputs: {"drawn": draw(inputs)}, [tf.TensorSpec([None, 2])])
    tf.saved_model.save(model, str(tmp_path / "saved_model"), {"serving_default": model.serve})
    with tf.Graph().as_default() as graph:
        draw(tf.compat.v1.placeholder(tf.float32, [None, 2], "inputs"))
    (tmp_path / "frozen.pb").write_bytes(graph.as_graph_def().SerializeToString())
    return {"session": tmp_path / "frozen.pb", "saved_model": tmp_path / "saved_model"}


@pytest.mark.parametrize("kind", ["session", "saved_model"])
def test_every_batch_size_begins_anew(drawing: dict[str, Path], kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """None runs in what the one before has left behind; and after a first one of another size where that is asked."""
    for setter in ("threading.set_intra_op_parallelism_threads", "set_visible_devices"):
        monkeypatch.setattr(f"tensorflow.config.{setter}", lambda *_: None)  # TensorFlow runs already
    monkeypatch.setattr("tensorflow.config.get_visible_devices", lambda _: [])

    def drawn(first: int) -> list[list[float]]:
        options = {"outputs": ["drawn"], "threads": 1, "device": "cpu", "resident": False, "first": first}
        bind = KINDS[kind](Setting(model=drawing[kind], **options))
        return [bind(np.ones([size, 2], np.float32)).answers()["drawn"].tolist() for size in (1, 2, 1)]

    plain, after = drawn(0), drawn(3)
    assert plain[0] == plain[2]
    assert after[0] == after[2] != plain[0]
