"""A prefix by which all names in a graph and in a checkpoint differ."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from job.engine.architectures.inventory import take
from job.engine.architectures.matching import Shape
from job.engine.user_graphs.matching import Tensors, fit_of
from job.engine.user_graphs.wanted import Wanted
from job.records import Finding


@dataclass(frozen=True, kw_only=True)
class Prefix:
    """What begins every name in the graph, and what begins it in the checkpoint instead."""

    graph: str = ""
    checkpoint: str = ""


def common_prefix(wanted: Collection[Wanted], tensors: Tensors) -> Prefix | None:
    """Return the one prefix by which all names differ, if no name is the same and nothing else differs."""
    names = {one.name: one for one in wanted}
    if names.keys() & tensors.keys.keys():
        return None
    weights = take(dict.fromkeys(names, ())).keys.values()
    fitting = _prefixes(next(iter(weights), ""), tensors.shapes)
    exact = [one for one in fitting if _fits([names[name] for name in weights], moved(tensors, one))]
    return exact[0] if len(exact) == 1 else None


def _prefixes(name: str, stored: Mapping[str, Shape]) -> Iterator[Prefix]:
    for other in stored:
        if other.endswith(f"/{name}"):
            yield Prefix(checkpoint=other.removesuffix(name))
        elif name.endswith(f"/{other}"):
            yield Prefix(graph=name.removesuffix(other))


def _fits(wanted: list[Wanted], tensors: Tensors) -> bool:
    found = fit_of(wanted, tensors)
    return not (found.missing or found.misshapen)


def moved(tensors: Tensors, prefix: Prefix) -> Tensors:
    """Return the tensors that begin with a prefix as the graph calls them; others keep their names."""
    return tensors.named(
        {
            own: prefix.graph + own.removeprefix(prefix.checkpoint) if own.startswith(prefix.checkpoint) else own
            for own in tensors.keys
        }
    )


def assumed(prefix: Prefix) -> Finding:
    """Say which prefix was put right."""
    said = f"{prefix.checkpoint!r} in the checkpoint and {prefix.graph!r} in the graph"
    return Finding(
        code="prefix_assumed",
        cause=f"names begin with {said}; all else in them, and every shape, is the same",
        remedy="name another graph by --graph, if this is not the model's",
        severity="warning",
    )
