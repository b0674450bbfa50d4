"""The baseline's exact answers, kept in scratch for the run that compares a user's settings with them."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

Array = NDArray[Any]
SEPARATOR = "\x1f"
LENGTHS, BFLOAT16 = ".lengths", ".bfloat16"


def exists(path: str) -> bool:
    """Whether an exact run left answers."""
    return bool(path) and Path(path).exists()


def write(path: str, answers: Iterable[tuple[str, str, tuple[Array, ...]]], unanswered: Iterable[str] = ()) -> None:
    """Keep (signature, sample, what it was fed and what it answered), where `path` is not empty.

    `unanswered` are the signatures to which there is no answer.

    Strings are kept as their bytes and lengths, since no pickle is read anywhere.
    """
    arrays, names = dict[str, Array](), list[str]()
    for signature, sample, outputs in answers:
        for index, array in enumerate(outputs):
            arrays |= _packed(str(len(names)), array)
            names.append(SEPARATOR.join((signature, sample, str(index))))
    lacking = list(unanswered)
    if path and (names or lacking):
        with Path(path).open("wb") as file:
            np.savez(file, names=np.array(names, str), unanswered=np.array(lacking, str), **arrays)  # type: ignore[arg-type]  # NumPy's stub takes keywords for options


def read(path: str) -> dict[tuple[str, str], tuple[Array, ...]]:
    """Return what was kept, by (signature, sample)."""
    found: dict[tuple[str, str], list[Array]] = {}
    with np.load(path, allow_pickle=False) as arrays:
        for position, name in enumerate(arrays["names"]):
            signature, sample, _ = str(name).split(SEPARATOR)
            found.setdefault((signature, sample), []).append(_unpacked(arrays, str(position)))
    return {key: tuple(outputs) for key, outputs in found.items()}


def unanswered(path: str) -> frozenset[str]:
    """Return the signatures to which the exact run has no answer; none without an exact run."""
    if not exists(path):
        return frozenset()
    with np.load(path, allow_pickle=False) as arrays:
        return frozenset(str(name) for name in arrays["unanswered"])


def _packed(name: str, array: Array) -> dict[str, Array]:
    if array.dtype.kind == "O":
        lengths = np.array([len(item) for item in array.ravel()], np.int64).reshape(array.shape)
        return {name: np.frombuffer(b"".join(array.ravel()), np.uint8), f"{name}{LENGTHS}": lengths}
    if array.dtype.name == "bfloat16":
        return {name: array.astype(np.float32), f"{name}{BFLOAT16}": np.zeros(0)}
    return {name: array}


def _unpacked(arrays: Mapping[str, Array], name: str) -> Array:
    if f"{name}{BFLOAT16}" in arrays:
        return arrays[name].astype(tf.bfloat16.as_numpy_dtype)
    if f"{name}{LENGTHS}" not in arrays:
        return arrays[name]
    lengths = arrays[f"{name}{LENGTHS}"]
    ends = np.cumsum(lengths.ravel())
    held = arrays[name].tobytes()
    items = [held[end - length : end] for end, length in zip(ends, lengths.ravel(), strict=True)]
    return np.array([*items, None], object)[:-1].reshape(lengths.shape)
