"""Sound artifacts in three formats, each with weights of its own."""

from pathlib import Path
from random import Random
from typing import Final

from tests.hostile_corpus import bundle
from tests.hostile_corpus.checkpoints import META
from tests.hostile_corpus.files import write_saved_model
from tests.hostile_corpus.text import FLOAT, VERSIONS, constant, node, shape


def _frozen(directory: Path, weights: tuple[float, ...]) -> None:
    values = " ".join(f"float_val: {weight}" for weight in weights)
    graph = (
        node("x", "Placeholder", dtype=FLOAT, shape=f"shape {{ {shape(-1, 2)} }}")
        + constant("w", "DT_FLOAT", values, [2, 2])
        + node("y", "MatMul", "x", "w", T=FLOAT)
        + VERSIONS
    )
    (directory / "frozen.pbtxt").write_text(graph)


def _saved_model(directory: Path, weights: tuple[float, ...]) -> None:
    write_saved_model(directory, bundle.floats(*weights))


def _checkpoint(directory: Path, weights: tuple[float, ...]) -> None:
    (directory / "model.ckpt.meta").write_text(META)
    data = bundle.floats(*weights)
    index = bundle.table({b"": bundle.header(), b"w": bundle.entry((2, 2), data)})
    (directory / "model.ckpt.index").write_bytes(index)
    (directory / "model.ckpt.data-00000-of-00001").write_bytes(data)


_FORMATS: Final = (_frozen, _saved_model, _checkpoint)


def write_good(source: Path, count: int) -> list[str]:
    """Write so many models below a directory; returns the directories that they lie in."""
    names = [f"good_{number:03}" for number in range(count)]
    for number, name in enumerate(names):
        chance = Random(number)  # noqa: S311 - the same weights every time
        (source / name).mkdir(parents=True)
        _FORMATS[number % len(_FORMATS)](source / name, tuple(chance.uniform(-1, 1) for _ in range(4)))
    return names
