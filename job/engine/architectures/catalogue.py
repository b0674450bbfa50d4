"""Which stored tensor every weight of an architecture is: asked by name, told by its shape."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from job.engine.architectures.matching import Pattern, Shape, agrees

Kind = Literal["conv", "depthwise", "norm", "dense", "project", "table", "layer_norm", "bias"]

Naming = Callable[[str, Kind], Mapping[str, str]]
"""Names a layer's tensors by role; it is asked once for each layer, in the order in which the original made them."""

LAST: Final = -1
FIRST: Final = -2
"""In a pattern: as many as the last or the first dimension of the layer's kernel."""


@dataclass(frozen=True, kw_only=True)
class Tensor:
    """A stored tensor: its name in the checkpoint and its shape; sizes that only a missing one could tell are 0."""

    name: str
    shape: Shape


Weights = Mapping[str, Tensor]
"""A layer's tensors by role."""


@dataclass(frozen=True, kw_only=True)
class Catalogue:
    """The tensors of one architecture in one checkpoint; `wanted` grows by each layer that is asked for."""

    naming: Naming
    stored: Mapping[str, Shape]
    wanted: dict[str, Pattern] = field(default_factory=dict)

    def conv(self, path: str, channels: int | None, size: tuple[int, int], *, bias: bool) -> Weights:
        """Return ``kernel`` ``[height, width, in, out]`` and, if there is one, ``bias`` ``[out]``."""
        kernel = (*size, channels, None)
        return self._of(path, "conv", {"kernel": [kernel]} | ({"bias": [(LAST,)]} if bias else {}))

    def depthwise(self, path: str, channels: int | None, size: tuple[int, int]) -> Weights:
        """Return ``kernel`` ``[height, width, channels, 1]``."""
        return self._of(path, "depthwise", {"kernel": [(*size, channels, 1)]})

    def norm(self, path: str, channels: int | None, *, scale: bool) -> Weights:
        """Return ``beta``, ``mean``, ``variance`` and, if there is one, ``gamma``, each ``[channels]``."""
        roles = (*(("gamma",) if scale else ()), "beta", "mean", "variance")
        return self._of(path, "norm", {role: [(channels,)] for role in roles})

    def dense(self, path: str, channels: int | None) -> Weights:
        """Return ``kernel`` ``[in, out]`` or ``[1, 1, in, out]``, as it is stored, and ``bias`` ``[out]``."""
        return self._of(path, "dense", {"kernel": [(channels, None), (1, 1, channels, None)], "bias": [(LAST,)]})

    def project(self, path: str, channels: int | None) -> Weights:
        """Return ``kernel`` ``[out, in]`` and ``bias`` ``[out]``."""
        return self._of(path, "project", {"kernel": [(None, channels)], "bias": [(FIRST,)]})

    def table(self, path: str, channels: int | None) -> Weights:
        """Return ``table`` ``[rows, channels]``."""
        return self._of(path, "table", {"table": [(None, channels)]})

    def layer_norm(self, path: str, channels: int | None) -> Weights:
        """Return ``gamma`` and ``beta``, each ``[channels]``."""
        return self._of(path, "layer_norm", {"gamma": [(channels,)], "beta": [(channels,)]})

    def bias(self, path: str, size: int | None) -> Weights:
        """Return ``bias`` alone, ``[size]``."""
        return self._of(path, "bias", {"bias": [(size,)]})

    def _of(self, path: str, kind: Kind, patterns: Mapping[str, Sequence[Pattern]]) -> Weights:
        """Name a layer's tensors, each of the first of its patterns that the stored one has."""
        names = self.naming(path, kind)
        found = dict[str, Tensor]()
        for role, options in patterns.items():
            kernel = found["kernel"].shape if "kernel" in found else (0,)
            ends: dict[int | None, int | None] = {LAST: kernel[-1] or None, FIRST: kernel[0] or None}
            filled = [tuple(ends.get(size, size) for size in option) for option in options]
            found[role] = self._tensor(names[role], filled)
        return found

    def _tensor(self, name: str, patterns: Sequence[Pattern]) -> Tensor:
        if name in self.wanted:
            raise ValueError(f"two weights are called {name}")  # a naming of ours is wrong
        stored = self.stored.get(name)
        fitting = [one for one in patterns if stored is not None and agrees(one, stored)]
        self.wanted[name] = (fitting or patterns)[0]
        known = stored if stored is not None and fitting else tuple(size or 0 for size in patterns[0])
        return Tensor(name=name, shape=known)
