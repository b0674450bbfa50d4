"""What is examined: a model as it was read, and as much of its values as the checks ask for."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from numpy.typing import NDArray

from job.engine.graph import Edge
from job.engine.health.path import Path
from job.engine.state.checkpoint import StoredVariable, read_values, stored_shapes

Ema = Literal["auto", "on", "off"]
"""Whether moving averages are taken in place of weights, see `ArtifactOptions`."""


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A model under examination; `checkpoint` is empty where it has no variables.

    `needed` are the nodes that its signatures need, on the path or in a branch that is not taken.
    `ema` is what was asked for, and `restated` says that the graph is ours and not the model's own.
    """

    path: Path
    needed: frozenset[str]
    checkpoint: str
    variables: tuple[StoredVariable, ...]
    ema: Ema = "auto"
    restated: bool = False

    @cached_property
    def stored(self) -> Mapping[str, Sequence[int]]:
        """Return the shapes of all that the checkpoint holds; nothing where no variable is needed."""
        return stored_shapes(self.checkpoint) if self.checkpoint and self.variables else {}

    def values(self, names: Collection[str]) -> dict[str, NDArray[Any]]:
        """Return the values of variables and constants by the names of their nodes; others are left out.

        Raises `BadInput` where one cannot be read.
        """
        graph = self.path.graph
        wanted = tuple(variable for variable in self.variables if variable.name in names)
        constants = {
            name: graph.const(Edge(name, 0))
            for name in names
            if name in graph.nodes and graph.nodes[name].op == "Const"
        }
        read = read_values(self.checkpoint, wanted) if wanted else []
        return constants | {variable.name: value for variable, value in zip(wanted, read, strict=True)}
