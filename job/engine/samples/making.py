"""Inputs to compare on: recorded ones where the user has them, else made to fit the graph."""

import math
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from job.engine.graph import edge_of
from job.engine.interface.switches import find_switches
from job.engine.samples.encoded import DECODERS
from job.engine.samples.sizes import Sizes, concrete, implied, to_try
from job.engine.samples.sparse_inputs import make, together
from job.engine.samples.values import Values
from job.engine.source_graph import SourceGraph
from job.errors import UsageError
from job.nearest import nearest
from job.records import Shape, Signature, TensorSpec

Array = NDArray[Any]

BATCHES: Final = (4, 1, 3)
"""Batch sizes of the samples: a batch, one alone, and an odd number."""

_MOST_ELEMENTS: Final = 2**40  # some terabytes: no machine has them

KINDS: Final = ("normal", "uniform", "extreme")
"""How the floats of each batch are spread."""


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One batch for a signature: `feeds` in the order of its inputs.

    `is_mended` says that its shapes were made to fit what the baseline said of another one.
    """

    name: str
    feeds: tuple[Array, ...]
    is_mended: bool = False


def recorded(path: str, signature: Signature) -> Sample:
    """Return the user's inputs from an ``.npz`` whose keys are argument or tensor names.

    Raises `UsageError` naming the inputs that are missing and the keys that there are.
    """
    held = arrays_of(path)
    return Sample(name="recorded", feeds=tuple(_held(held, signature, spec) for spec in signature.inputs))


def arrays_of(path: str) -> dict[str, Array]:
    """Return the arrays of an ``.npz`` by name; raises `UsageError` for a file that is none or holds objects."""
    try:
        with zipfile.ZipFile(path):  # a lone array would be read as well, and has no name
            arrays = np.load(path, allow_pickle=False)
        return {name: arrays[name] for name in arrays.files}
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise UsageError(
            f"the recorded arrays cannot be read: {error}",
            where=Path(path).name,
            remedy="write them by numpy.savez, without objects",
        ) from error


def _held(held: Mapping[str, Array], signature: Signature, spec: TensorSpec) -> Array:
    names = (f"{signature.key}/{spec.key}", spec.key, spec.tensor, spec.tensor.split(":")[0])
    found = next((name for name in names if name in held), "")
    if not found:
        raise UsageError(
            f"the recorded samples have no {spec.key!r}",
            where=f"they have {', '.join(held)}",
            remedy=f"name arrays as the signature does{_renamed(spec.key, held)}",
        )
    return held[found]


def _renamed(key: str, held: Mapping[str, Array]) -> str:
    close = nearest(key, held)
    return f": {close[0]} may be it" if close else ""


def candidates(source: SourceGraph, signature: Signature, seed: int) -> Iterator[Iterator[Sample]]:
    """Yield groups of samples, likeliest first; in each group the first that the baseline accepts counts.

    Groups are batches, kinds of values and sizes: a model with free dimensions may still take
    only some, and the baseline is who knows. After those that try much come cautious ones.
    """
    maker = _Maker(source, signature, seed)
    for turn, batch in enumerate(BATCHES):
        yield maker.samples(turn, batch)


class _Maker:
    def __init__(self, source: SourceGraph, signature: Signature, seed: int) -> None:
        self._source, self._signature, self._seed = source, signature, seed
        self._shapes = {spec.key: implied(source, spec) for spec in signature.inputs}
        self._together = together(source.graph, signature)
        self._switches = find_switches(source.graph)

    def samples(self, turn: int, batch: int) -> Iterator[Sample]:
        """Yield the samples of one group, made when they are asked for; sizes that change nothing are left out."""
        seen = set[str]()
        for is_cautious in (False, True):
            for sizes in self._sizes(turn, batch):
                sample = self._sample(turn, sizes, is_cautious=is_cautious)
                if sample.name not in seen:
                    seen.add(sample.name)
                    yield sample

    def _sizes(self, turn: int, batch: int) -> list[Sizes]:
        """Return the sizes to try; another first choice for every group. Encoded images are of any size."""
        encoded: list[Shape] = [(None, None)] if self._decodes() else []
        return to_try([*self._shapes.values(), *encoded], batch, turn)

    def _sample(self, turn: int, sizes: Sizes, *, is_cautious: bool) -> Sample:
        """Make one batch; all inputs share the sizes."""
        values = Values(self._source, [self._seed, turn], KINDS[turn], side=sizes.spatial, is_cautious=is_cautious)
        feeds: dict[str, Array] = {}
        for one in self._together:
            feeds |= make(self._source, one, values, sizes.batch)
        for spec in self._signature.inputs:
            if spec.key not in feeds:
                feeds[spec.key] = self._feed(values, spec, sizes)
        made = tuple(feeds[spec.key] for spec in self._signature.inputs)
        kind = "cautious" if is_cautious else KINDS[turn]
        return Sample(name=self._name(kind, made, sizes), feeds=made)

    def _name(self, kind: str, feeds: tuple[Array, ...], sizes: Sizes) -> str:
        shapes = ", ".join(str(list(feed.shape)) for feed in feeds)
        counts = any(spec.dtype.startswith("int") for spec in self._signature.inputs)
        side = f", side {sizes.spatial}" if self._decodes() else ""
        length = f", length {sizes.length}" if counts else ""
        return f"{kind} {shapes}{length}{side}"

    def _feed(self, values: Values, spec: TensorSpec, sizes: Sizes) -> Array:
        shape, edge = concrete(self._shapes[spec.key], sizes), edge_of(spec.tensor)
        switch = self._switches.get(edge.tensor)
        dtype = tf.as_dtype(spec.dtype)
        if switch is not None:
            return np.full(() if spec.shape is None else shape, switch, dtype.as_numpy_dtype)
        if math.prod(shape) > _MOST_ELEMENTS:  # where numpy says ValueError, as it does for faults of ours
            raise MemoryError(f"input {spec.key} of shape {list(shape)} fits into no memory")
        return values.of(edge, dtype, shape, self._steps(sizes))

    def _steps(self, sizes: Sizes) -> int:
        """Return how many steps there are at most: those of the shortest input that has a fixed number."""
        fixed = [shape[1] for shape in self._shapes.values() if shape is not None and len(shape) > 1 and shape[1]]
        return min([sizes.length, *fixed])

    def _decodes(self) -> bool:
        graph = self._source.graph
        texts = [edge_of(spec.tensor) for spec in self._signature.inputs if spec.dtype == "string"]
        return any(graph.nodes[name].op in DECODERS for name in graph.descendants(texts))
