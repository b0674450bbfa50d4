"""What a family of architectures proposes for a checkpoint, and how well that fits."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

from job.engine.architectures.catalogue import Catalogue, Naming
from job.engine.architectures.inventory import Inventory
from job.engine.architectures.layers import Layers, Outputs, T
from job.engine.architectures.matching import Fit, fit
from job.engine.architectures.outline import Outline


class Build(Protocol):
    """An architecture: layers by layers, in whatever backend."""

    def __call__(self, layers: Layers[T]) -> Outputs[T]:
        """Return what the model answers."""


@dataclass(frozen=True, kw_only=True)
class Proposal:
    """One architecture in one naming, with all that the checkpoint decides filled in.

    `scheme` is what a user calls it by, `origin` the code that wrote such checkpoints. `facts` are sentences about the
    original that its user wants to know: its preprocessing, its classes. `assumptions` are about what neither names nor
    shapes tell and what changes the answers.
    `momentum` is how much of its moving statistics a batch norm keeps at a step of training: Keras' own where that of
    the original is not known. `unread` are weights of training alone, which the model leaves out.
    """

    scheme: str
    title: str
    origin: str = ""
    build: Build
    naming: Callable[[], Naming]
    facts: tuple[str, ...] = ()
    assumptions: tuple[str, ...] = ()
    momentum: float = 0.99
    unread: frozenset[str] = frozenset()

    def fit_to(self, inventory: Inventory) -> Fit:
        """Return how a checkpoint's tensors fit."""
        catalogue = Catalogue(naming=self.naming(), stored=inventory.weights)
        self.build(Outline(catalogue))
        return fit(catalogue.wanted, inventory.weights)


Family = Callable[[Inventory], Iterator[Proposal]]
"""Proposes what a checkpoint may be, the likeliest first; something for any, since errors name the nearest."""
