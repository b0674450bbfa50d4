"""What a checkpoint holds for the variables of a user's graph, and the error where it is not the same."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Final

from job.engine.architectures.inventory import take
from job.engine.architectures.matching import Fit, Pattern, Shape, fit
from job.engine.state.checkpoint import stored_shapes
from job.engine.state.recorded import OBJECTS, object_names
from job.engine.user_graphs.wanted import Wanted
from job.errors import BadInput

COMPARED: Final = 3
"""How many missing names are compared with those that are left over."""


@dataclass(frozen=True, kw_only=True)
class Tensors:
    """A checkpoint's tensors but for slots, averages and counters that no variable is called after.

    `shapes` and `keys`, the checkpoint's own names, are by the name that a model gives the tensor.
    """

    shapes: Mapping[str, Shape]
    keys: Mapping[str, str]


def tensors_in(checkpoint: str, called: Collection[str]) -> Tensors:
    """Return a checkpoint's tensors; `called` are the names of the graph's variables.

    Those of an object-based checkpoint are called what their variables were, where it records that of each.
    """
    stored = {key: tuple(shape) for key, shape in stored_shapes(checkpoint).items()}
    inventory = take(stored, dict(object_names(checkpoint)) if OBJECTS in stored else {})
    keys = dict(inventory.keys)
    keys |= {key: key for key in inventory.extras if key in called}
    return Tensors(
        shapes={name: stored[keys[name]] for name in sorted(keys)}, keys={name: keys[name] for name in sorted(keys)}
    )


def fit_of(wanted: Collection[Wanted], tensors: Tensors) -> Fit:
    """Compare what variables want with a checkpoint's tensors; a variable of any shape takes what is stored."""
    patterns: dict[str, Pattern] = {
        one.name: tensors.shapes.get(one.name, ()) if one.shape is None else one.shape for one in wanted
    }
    return fit(patterns, tensors.shapes)


def refusal(found: Fit, model: str, where: str) -> BadInput:
    """Return the error for a checkpoint that is not a model's, with names that are left over and may be meant."""
    close = {name: get_close_matches(name, found.extra, n=1, cutoff=0.5) for name in found.missing[:COMPARED]}
    meant = ", ".join(f"{names[0]} for {name}" for name, names in close.items() if names)
    return BadInput(
        f"the checkpoint is not that of {model}: {found.differences()}",
        where=where,
        remedy=f"is it {meant}? --rules renames tensors" if meant else "--rules renames tensors, and leaves some out",
    )
