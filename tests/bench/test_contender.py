import io
import json

import numpy as np

from tests.bench.contender import Array, Bound, Server, serve


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
