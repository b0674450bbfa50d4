"""What TensorFlow 1.15.5 said of original networks, and their checkpoints, written anew from names and shapes."""

import gzip
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tests.architectures import weights
from tests.engine import tf

FOLDER = Path(__file__).parent / "originals"
IMAGES = 2
OBJECT_GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"
INTEGERS = {"global_step", "iter", "save_counter"}
"""Parts of the names of what counts; everything else in these checkpoints is float32."""

Array = npt.NDArray[np.generic]
Shape = tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Case:
    """One original: the variables of its model by checkpoint name, and what training puts beside them.

    `outputs` and `averages` name the recorded arrays of each output, `averages` those of a model of its moving
    averages; `scales` multiplies variables, `facts` is what names do not tell.
    """

    case: str
    origin: str
    variables: Mapping[str, Shape]
    extras: Mapping[str, Shape]
    inputs: Mapping[str, Mapping[str, object]]
    outputs: Mapping[str, Sequence[str]]
    pixels: Sequence[int]
    classes: int | None
    notes: str
    facts: Mapping[str, str] = field(default_factory=dict)
    scales: Mapping[str, float] = field(default_factory=dict)
    averages: Mapping[str, Sequence[str]] = field(default_factory=dict)
    config: str = ""

    def recorded(self) -> dict[str, Array]:
        """Return every array that was recorded, by the names that `outputs` has."""
        with np.load(FOLDER / f"{self.case}.npz") as arrays:
            return {name: arrays[name] for name in arrays.files}

    def answer(self, key: str, pixels: int) -> Array:
        """Return what an output was for images of a size, ``[2, classes]``."""
        return self.recorded()[f"{key}_{pixels}"]

    def images(self, pixels: int) -> Array:
        """Return the images that were fed, ``[2, pixels, pixels, 3]``, preprocessed."""
        images: Array = weights.images_of(IMAGES, pixels)
        return images

    def values(self, *, with_extras: bool = True) -> dict[str, Array]:
        """Return what the checkpoint holds, by name."""
        shapes = {**self.variables, **(self.extras if with_extras else {})}
        return {name: self._value(name, shape) for name, shape in shapes.items()}

    def write(self, folder: Path, *, with_extras: bool = True, prefix: str = "model.ckpt") -> Path:
        """Write the checkpoint, without a graph, and return its prefix."""
        values: dict[str, Array | bytes] = dict(self.values(with_extras=with_extras))
        graph = FOLDER / f"{self.case}.object_graph.gz"
        if graph.exists():
            values[OBJECT_GRAPH] = gzip.decompress(graph.read_bytes())
        return write(values, folder, prefix=prefix)

    def _value(self, name: str, shape: Shape) -> Array:
        if INTEGERS & set(name.split("/")):
            return np.full(shape, 1000, np.int64)
        value: Array = np.asarray(weights.value_of(name, shape)) * np.float32(self.scales.get(name, 1))
        return value


def write(values: Mapping[str, Array | bytes], folder: Path, *, prefix: str = "model.ckpt") -> Path:
    """Write a checkpoint of values by name, and the ``checkpoint`` file that names it; return its prefix."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / prefix
    tensors = [tf.constant(value) for value in values.values()]
    tf.raw_ops.SaveV2(prefix=str(path), tensor_names=list(values), shape_and_slices=[""] * len(values), tensors=tensors)
    (folder / "checkpoint").write_text(f'model_checkpoint_path: "{prefix}"\n')
    return path


def cases(*words: str) -> list[Case]:
    """Return every original, or those whose names begin with one of some words."""
    return [case(path.stem) for path in sorted(FOLDER.glob("*.json")) if path.stem.startswith(words or "")]


def case(name: str) -> Case:
    """Return one original."""
    told: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text())
    for key in ("variables", "extras"):
        told[key] = dict(_flat(told[key]))
    return Case(**told)


def _flat(tree: Mapping[str, Any], scope: str = "") -> Iterator[tuple[str, Shape]]:
    """Yield shapes by name from a tree of scopes, or from what is flat already."""
    for name, value in tree.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{scope}{name}/")
        else:
            yield scope + name, tuple(value)
