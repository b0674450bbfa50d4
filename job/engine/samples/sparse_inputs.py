"""Sparse and ragged inputs: tensors of a signature that only make sense together."""

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from tensorflow.python.framework import op_def_registry

from job.engine.graph import Graph, edge_of
from job.engine.samples.domains import index_bound, reached
from job.engine.samples.sizes import first_dims
from job.engine.samples.values import Values
from job.engine.source_graph import SourceGraph
from job.records import Signature, TensorSpec

Array = NDArray[Any]

PART: Final = re.compile(r"^(?P<base>.*?)[_/]?(?P<part>indices|values|dense_shape|shape|row_splits)$")
"""How signatures, placeholders and ops' arguments name the parts of one tensor."""

Parts = dict[str, TensorSpec]
"""``indices``, ``values``, ``shape``, ``row_splits`` → input."""


@dataclass(frozen=True, kw_only=True)
class Together:
    """Inputs that are one sparse tensor (`indices`) or one ragged one (`row_splits`)."""

    parts: Parts

    @property
    def is_sparse(self) -> bool:
        """Whether there are indices."""
        return "indices" in self.parts


def together(graph: Graph, signature: Signature) -> list[Together]:
    """Return the signature's sparse and ragged inputs, told by the ops that take them, or by their names."""
    groups: dict[tuple[str, str], Parts] = defaultdict(dict)
    for spec in signature.inputs:
        for base, part in (*_by_use(graph, spec), *_by_name(spec)):
            groups[base][part] = spec
    found, taken = list[Together](), set[str]()
    for parts in sorted(groups.values(), key=len, reverse=True):
        keys = {spec.key for spec in parts.values()}
        if ({"indices", "shape"} <= parts.keys() or {"row_splits", "values"} <= parts.keys()) and not keys & taken:
            taken |= keys
            found.append(Together(parts=parts))
    return found


def make(source: SourceGraph, one: Together, values: Values, batch: int) -> dict[str, Array]:
    """Return the arrays by input: one entry a row where `values` are cautious, else as many as chance says."""
    columns = _columns(source, one.parts["indices"], 1 if values.is_cautious else 4) if one.is_sparse else 3
    counts = np.ones(batch, np.int64) if values.is_cautious else values.rng.integers(0, columns + 1, batch)
    counts[0] = max(counts[0], 1)
    if one.is_sparse:
        return _sparse(one, values, counts, columns)
    splits = np.concatenate([[0], np.cumsum(counts)])
    spec = one.parts["row_splits"]
    return {spec.key: splits.astype(spec.dtype)} | _values(one, values, int(counts.sum()))


def _sparse(one: Together, values: Values, counts: Array, columns: int) -> dict[str, Array]:
    indices, shape = one.parts["indices"], one.parts["shape"]
    rank = (indices.shape or (None, 2))[-1] or 2
    places = [
        (row, column)
        for row, count in enumerate(counts)
        for column in sorted(values.rng.choice(columns, min(int(count), columns), replace=False))
    ]
    lead = [(0,) * (rank - 2) + place for place in places] if rank >= 2 else [(row,) for row, _ in places]
    unique = list(dict.fromkeys(lead))
    dense = [*[1] * (rank - 2), len(counts), columns][-rank:] if rank >= 2 else [len(counts)]
    return {
        indices.key: np.array(unique, indices.dtype).reshape(len(unique), rank),
        shape.key: np.array(dense, shape.dtype),
    } | _values(one, values, len(unique))


def _values(one: Together, values: Values, count: int) -> dict[str, Array]:
    if "values" not in one.parts:
        return {}
    spec = one.parts["values"]
    shape = (count, *(size or 1 for size in (spec.shape or (None,))[1:]))
    return {spec.key: values.of(edge_of(spec.tensor), tf.as_dtype(spec.dtype), shape)}


def _columns(source: SourceGraph, indices: TensorSpec, default: int) -> int:
    """Return how wide the sparse tensor is: as a dense one has rows by which it is multiplied."""
    for name, _ in reached(source.graph, edge_of(indices.tensor)):
        if source.graph.nodes[name].op == "SparseTensorDenseMatMul":
            return next(iter(first_dims(source, source.graph.inputs(name)[3].node)), 2)
    return index_bound(source, edge_of(indices.tensor)) or default


def _by_name(spec: TensorSpec) -> Iterator[tuple[tuple[str, str], str]]:
    for number, name in enumerate((spec.key, edge_of(spec.tensor).node)):
        said = PART.match(name)
        if said:
            yield (f"name {number}", said["base"]), said["part"].removeprefix("dense_")


def _by_use(graph: Graph, spec: TensorSpec) -> Iterator[tuple[tuple[str, str], str]]:
    """Yield (op, argument's base) and part for every op that takes the input as a part of a sparse tensor."""
    node, output = edge_of(spec.tensor)
    for name, index, ours in graph.consumers(node):
        if ours != output:
            continue
        definition = op_def_registry.get(graph.nodes[name].op)
        names = [arg.name for arg in definition.input_arg] if definition else []
        said = PART.match(names[index]) if index < len(names) else None
        if said:
            yield (name, said["base"]), said["part"].removeprefix("dense_")
