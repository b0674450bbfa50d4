"""What a checkpoint holds for the variables of a user's graph, and the error where it is not the same."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

from job.engine.architectures.inventory import take
from job.engine.architectures.matching import Fit, Pattern, Shape, fit
from job.engine.state.checkpoint import stored_shapes
from job.engine.state.recorded import OBJECTS, object_names
from job.engine.user_graphs.wanted import Wanted
from job.errors import BadInput
from job.nearest import nearest

COMPARED: Final = 3
"""How many missing names are compared with those that are left over."""


@dataclass(frozen=True, kw_only=True)
class Tensors:
    """Tensors of a checkpoint.

    `shapes` and `keys`, the checkpoint's own names, are by the name that a model gives the tensor.
    """

    shapes: Mapping[str, Shape]
    keys: Mapping[str, str]

    def named(self, names: Mapping[str, str]) -> "Tensors":
        """Return those in `names`, each by the name that it has there."""
        return Tensors(
            shapes={name: self.shapes[own] for own, name in names.items()},
            keys={name: self.keys[own] for own, name in names.items()},
        )


def tensors_in(checkpoint: str, called: Collection[str]) -> tuple[Tensors, Tensors]:
    """Return all tensors of a checkpoint, and those but for slots, averages and counters.

    `called` are the names of the graph's variables: a tensor of such a name keeps it, whatever it is. Those of an
    object-based checkpoint are called what its variables were, where it records that of each.
    """
    stored = {key: tuple(shape) for key, shape in stored_shapes(checkpoint).items()}
    inventory = take(stored, dict(object_names(checkpoint)) if OBJECTS in stored else {})
    weights = {key if key in called else name: key for name, key in inventory.keys.items()}
    keys = {**{key: key for key in inventory.extras}, **weights}
    every = Tensors(shapes={name: stored[key] for name, key in keys.items()}, keys=keys)
    return every, every.named({name: name for name in sorted(keys) if name in weights or name in called})


def fit_of(wanted: Collection[Wanted], tensors: Tensors) -> Fit:
    """Compare what variables want with a checkpoint's tensors; a variable of any shape takes what is stored."""
    patterns: dict[str, Pattern] = {
        one.name: tensors.shapes.get(one.name, ()) if one.shape is None else one.shape for one in wanted
    }
    return fit(patterns, tensors.shapes)


def refusal(found: Fit, model: str, where: str) -> BadInput:
    """Return the error for a checkpoint that is not a model's, with names that are left over and may be meant."""
    close = {name: nearest(name, found.extra) for name in found.missing[:COMPARED]}
    meant = ", ".join(f"{names[0]} for {name}" for name, names in close.items() if names)
    return BadInput(
        f"the checkpoint is not that of {model}: {found.differences()}",
        where=where,
        remedy=f"is it {meant}? --rules renames tensors" if meant else "--rules renames tensors, and leaves some out",
    )
