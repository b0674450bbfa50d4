"""What a variant is: a frozen graph, rewritten by passes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from job.engine.graph import GraphDef
from job.results import Precision

Device = Literal["cpu", "gpu"]


@dataclass(frozen=True, kw_only=True)
class FrozenGraph:
    """One signature's graph with its weights as constants.

    `inputs` and `outputs` are tensor names, in the order of the signature's arguments and of its output keys;
    `handles` are the tensors of lookup tables, with the objects that own these.
    """

    graph_def: GraphDef
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    handles: Mapping[str, Any] = field(default_factory=dict)


Rewritten: TypeAlias = tuple[FrozenGraph, tuple[str, ...]]
"""A graph as a pass leaves it, and what that changed, in words."""

Pass: TypeAlias = Callable[[FrozenGraph, Device], Rewritten]
"""Makes a faster graph for a device; raises `NotApplicable` where the whole variant is none for this model."""


class NotApplicable(Exception):
    """Why a variant is not made of a model: no fault, its text is for the report."""


@dataclass(frozen=True, kw_only=True)
class Variant:
    """A way to make a model faster: the passes, one after another, and whether XLA compiles what they leave."""

    name: str
    precision: Precision
    passes: tuple[Pass, ...]
    devices: frozenset[Device] = frozenset({"cpu", "gpu"})
    is_compiled: bool = False
