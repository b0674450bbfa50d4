"""Which ops do nothing but compute: what they give may be kept, and nobody has to wait for them."""

from typing import Final

from tensorflow.python.framework import op_def_registry

from job.engine.ops.classes import CLASS_OF

COMPUTING: Final = frozenset(
    {
        *("arithmetic", "arrays", "linear_algebra", "spectral", "neural_networks", "quantised", "images", "audio"),
        *("strings", "parsing", "sparse", "ragged", "optimised"),
    }
)
"""Classes of ops that give the same for the same; random numbers shall differ, though some draw them by a seed."""


def acts(op: str) -> bool:
    """Tell whether an op may do something outside of the graph: TensorFlow calls what reads a file stateless."""
    definition = op_def_registry.get(op)
    return definition is None or definition.is_stateful or op not in CLASS_OF or CLASS_OF[op].runs != "always"


def only_computes(op: str) -> bool:
    """Tell whether an op gives the same each time it is given the same, whatever a user allows."""
    return not acts(op) and CLASS_OF[op].name in COMPUTING
