from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from job.engine.proof import reference

BFLOAT16 = tf.bfloat16.as_numpy_dtype


@pytest.mark.parametrize(
    "array",
    [
        np.array([b"a\0\0", b"", b"\0", "跳ぶ".encode()], object),
        np.array([[b"x", b"yy"], [b"", b"zzz"]], object),
        np.array(b"alone", object),
        np.zeros([0, 2], object),
        np.array([1.5, -0.0, np.nan, np.inf], BFLOAT16),
        np.array([[1.5]], np.float16),
        np.array(3.0),
        np.zeros([0, 4], np.float32),
        np.array([True, False]),
        np.array([2**40], np.int64),
        np.array([1 + 2j], np.complex64),
    ],
    ids=lambda array: f"{array.dtype.name}{list(array.shape)}",
)
def test_answers_come_back_as_they_were(tmp_path: Path, array: Any) -> None:
    """Every kind of output comes back with its type, shape and values; strings with their trailing NULs."""
    path = str(tmp_path / "reference.npz")
    reference.write(path, [("serving_default", "normal, batch 4", (array, np.array([1]))), ("other", "", (array,))])
    found = reference.read(path)
    assert list(found) == [("serving_default", "normal, batch 4"), ("other", "")]
    back = found["other", ""][0]
    assert (back.dtype, back.shape) == (array.dtype, array.shape)
    comparable = np.float32 if array.dtype == BFLOAT16 else array.dtype  # NumPy compares no NaN of bfloat16
    np.testing.assert_array_equal(back.astype(comparable), array.astype(comparable))
    assert found["serving_default", "normal, batch 4"][1].tolist() == [1]


def test_nothing_is_written_without_a_path_or_answers(tmp_path: Path) -> None:
    """Without a path nothing is kept; without answers there is no file that would claim some."""
    reference.write("", [("s", "x", (np.array(1),))])
    reference.write(str(tmp_path / "empty.npz"), [])
    assert not reference.exists("")
    assert not reference.exists(str(tmp_path / "empty.npz"))


def test_existence_is_told(tmp_path: Path) -> None:
    """What was written exists."""
    reference.write(str(tmp_path / "r.npz"), [("s", "x", (np.array(1),))])
    assert reference.exists(str(tmp_path / "r.npz"))
