"""Whether this TensorFlow can run a node: an op may be registered and have no kernel, or none for its attributes."""

from collections import defaultdict
from collections.abc import Mapping
from functools import cache
from typing import Any, Final, Literal, NamedTuple, TypeAlias

import tensorflow as tf
from tensorflow.python.framework import kernels

from job.engine.graph import NodeDef, attribute

Device = Literal["any", "cpu", "gpu"]

DEVICES: Final[dict[Device, frozenset[str]]] = {
    "any": frozenset({"CPU", "DEFAULT", "GPU"}),
    "cpu": frozenset({"CPU", "DEFAULT"}),
    "gpu": frozenset({"CPU", "DEFAULT", "GPU"}),
}
"""What a session may place an op on: with a GPU it falls back to the CPU. XLA's kernels need a compiled function."""

REPLACED: Final = frozenset({"AccumulateNV2", "NcclAllReduce", "NcclBroadcast", "NcclReduce"})
"""Ops without a kernel that TensorFlow itself replaces before it places a graph."""

LABEL: Final = "_kernel"
"""The attribute by which a node chooses among kernels; without it only those without a label run."""


Held: TypeAlias = frozenset[Any] | None
"""What an attribute holds."""


class Kernel(NamedTuple):
    """A registered kernel: the values that it takes, by attribute; an attribute that is not there may have any."""

    device: str
    label: str
    takes: Mapping[str, frozenset[Any]]


def has_kernel(node: NodeDef, device: Device = "any") -> bool:
    """Whether a kernel is there for a node's attributes, mostly dtypes, on a device or on ``any``.

    What a kernel refuses only when it runs is not seen here.
    """
    label = node.attr[LABEL].s.decode() if LABEL in node.attr else ""
    held = tuple(_held(node, name) for name in _constraints_of(node.op))
    return node.op in REPLACED or _is_taken(node.op, label, held, DEVICES[device])


def constrained(node: NodeDef) -> str:
    """Return the attributes by which the op's kernels are chosen, `` for T=int8``; empty where it has none."""
    names = (name for name in _constraints_of(node.op) if attribute(node, name) is not None)
    told = [f"{name}={_named(attribute(node, name))}" for name in names]
    return f" for {', '.join(told)}" if told else ""


def forget() -> None:
    """Look the kernels up anew: a library was loaded."""
    for cached in (registered, _kernels_of, _constraints_of, _is_taken):
        cached.cache_clear()


@cache
def registered() -> Mapping[str, list[Any]]:
    """Return the definitions of all kernels by op; TensorFlow goes through all 11,000 to find those of one."""
    found = defaultdict[str, list[Any]](list)
    for one in kernels.get_all_registered_kernels().kernel:
        found[one.op].append(one)
    return found


@cache
def _kernels_of(op: str) -> tuple[Kernel, ...]:
    return tuple(
        Kernel(
            device=one.device_type,
            label=one.label,
            takes={constraint.name: _listed(constraint.allowed_values) for constraint in one.constraint},
        )
        for one in registered().get(op, ())
    )


@cache
def _constraints_of(op: str) -> tuple[str, ...]:
    """Return the attributes by which an op's kernels are chosen."""
    return tuple(sorted({name for kernel in _kernels_of(op) for name in kernel.takes}))


@cache
def _is_taken(op: str, label: str, held: tuple[Held, ...], devices: frozenset[str]) -> bool:
    """Whether one kernel on these devices takes all that the constrained attributes hold."""
    values = dict(zip(_constraints_of(op), held, strict=True))
    return any(
        kernel.device in devices
        and kernel.label == label
        and all((value := values[name]) is not None and value <= taken for name, taken in kernel.takes.items())
        for kernel in _kernels_of(op)
    )


def _held(node: NodeDef, name: str) -> Held:
    """Return what an attribute holds: nothing where a function leaves it open, `None` where the op does not know it."""
    value = attribute(node, name)
    if value is None:
        return None
    kind = value.WhichOneof("value")
    if kind in (None, "placeholder"):
        return frozenset()
    return _listed(value) if kind == "list" else frozenset([getattr(value, kind)])


def _listed(value: Any) -> frozenset[Any]:
    return frozenset([*value.list.type, *value.list.s, *value.list.i, *value.list.b])


def _named(value: Any) -> str:
    kind = value.WhichOneof("value")
    if kind == "type":
        return str(tf.as_dtype(value.type).name)
    if kind == "list":
        return "+".join(tf.as_dtype(dtype).name for dtype in value.list.type)
    return value.s.decode(errors="replace") if kind == "s" else str(getattr(value, kind or "s"))
