"""What the feature columns of an Estimator's graph say of the tensors that its input pipeline hands over.

Each column has its scope, so that the features' names and kinds can be read off it; where its ops do not
bear out what its name says, nothing is told.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

import tensorflow as tf

from job.engine.graph import Edge, Graph, NodeDef, edge_of
from job.engine.interface.guessing import PIPELINE_ENDS
from job.engine.pruning import computed_by
from job.records import Signature, TensorSpec

COLUMN: Final = re.compile(
    r"^(?P<layer>(?:.*/)?(?:input_layer|linear_model|dense_features)(?:_\d+)?)/(?P<column>[^/]+)/(?P<rest>.+)$"
)
"""Where ``tf.feature_column`` puts what it computes of one column."""

IGNORED: Final = {tf.string: b"", tf.int64: -1, tf.int32: -1}
"""What stands for a missing value in a dense categorical feature (feature_column_v2.py, `to_sparse_input`)."""

Bound = Mapping[str, object]


class Untold(Exception):
    """Why the features cannot be told for sure."""


@dataclass(frozen=True, kw_only=True)
class Feature:
    """One feature of the examples, and the pipeline's tensor that held it.

    `expanded` are the nodes that make columns of a vector. `shape` is that of one example; a categorical
    feature has any number of values.
    """

    name: str
    spec: TensorSpec
    dtype: tf.DType
    categorical: bool
    expanded: tuple[str, ...]

    @property
    def component(self) -> Edge:
        """Return the pipeline's tensor."""
        return edge_of(self.spec.tensor)

    @property
    def shape(self) -> list[int]:
        """Return the shape of one example's values; raises `Untold` where the pipeline does not tell it."""
        shape = self.spec.shape
        if not shape or None in shape[1:]:
            raise Untold(f"the shape of {self.spec.tensor}, which is {self.name}, is not known")
        return [size or 0 for size in shape[1:]]

    @property
    def parsed_as(self) -> tf.DType:
        """Return the dtype in the examples: what a column of numbers declares, or the values of a category."""
        if self.dtype == tf.string:
            return tf.string
        return tf.int64 if self.categorical else tf.float32

    def described(self) -> str:
        """Return the entry of the parse spec, as a user would write it."""
        name = self.parsed_as.name
        if self.categorical:
            return f"{self.name}: VarLenFeature({name})"
        cast = "" if self.parsed_as == self.dtype else f", cast to {self.dtype.name}"
        return f"{self.name}: FixedLenFeature({self.shape}, {name}){cast}"


def is_made_of_columns(graph: Graph, signature: Signature, bound: Bound) -> bool:
    """Whether a signature begins at a pipeline, and feature columns take something of it."""
    ends = {spec.tensor for spec in signature.inputs if graph.nodes[edge_of(spec.tensor).node].op in PIPELINE_ENDS}
    computed = computed_by(graph, signature, bound)
    return any(COLUMN.match(name) for tensor in ends for name in readers_of(graph, edge_of(tensor), computed))


def features_of(graph: Graph, signature: Signature, bound: Bound) -> tuple[Feature, ...]:
    """Return which feature each of a signature's inputs is; raises `Untold`."""
    computed = computed_by(graph, signature, bound)
    columns = _Columns(graph, computed)
    uses = {spec.tensor: _use(columns, spec) for spec in signature.inputs}
    names = _assigned({tensor: use.names for tensor, use in uses.items()})
    return tuple(
        Feature(
            name=names[spec.tensor],
            spec=spec,
            dtype=tf.as_dtype(spec.dtype),
            categorical=uses[spec.tensor].categorical,
            expanded=uses[spec.tensor].expanded,
        )
        for spec in signature.inputs
    )


def _assigned(candidates: Mapping[str, frozenset[str]]) -> dict[str, str]:
    """Give each tensor the one name that is left for it; a cross names all its features at once."""
    names: dict[str, str] = {}
    while len(names) < len(candidates):
        left = {tensor: found - set(names.values()) for tensor, found in candidates.items() if tensor not in names}
        sure = {tensor: name for tensor, (name, *others) in ((t, [*f, ""]) for t, f in left.items()) if others == [""]}
        if not sure:
            tensor, found = next(iter(left.items()))
            raise Untold(f"which feature {tensor} is cannot be told: {' or '.join(sorted(found)) or 'no name is left'}")
        if len(set(sure.values())) < len(sure):
            raise Untold(f"several tensors would be {', '.join(sorted(set(sure.values())))}")
        names |= sure
    return names


class _Use(NamedTuple):
    names: frozenset[str]
    categorical: bool
    expanded: tuple[str, ...]


class _Columns:
    """The computed nodes of each feature column, by layer and name."""

    def __init__(self, graph: Graph, computed: set[str]) -> None:
        self.graph, self.computed = graph, computed
        self._ops: dict[tuple[str, str], list[tuple[str, NodeDef]]] = {}
        for name in computed:
            if found := COLUMN.match(name):
                key = (found["layer"], found["column"])
                self._ops.setdefault(key, []).append((found["rest"], graph.nodes[name]))

    def names(self, reader: str, *, is_number: bool) -> frozenset[str]:
        """Return what a feature may be called that a node of a column reads."""
        found = COLUMN.match(reader)
        if found is None:
            raise Untold(f"{reader} takes it, which is of no feature column")
        column, nodes = found["column"], self._ops[found["layer"], found["column"]]
        if not {"Reshape", "weighted_sum"} & {rest for rest, _ in nodes}:
            raise Untold(f"the scope {found['layer']}/{column} is no column's of a known kind")
        ops = {node.op for _, node in nodes}
        inner = _without_kind(column, ops, {rest.split("/")[0] for rest, _ in nodes})
        crosses = [node for _, node in nodes if node.op == "SparseCross"]
        if crosses:
            return _crossed(inner, crosses, is_number=is_number)
        has_buckets, is_category = "Bucketize" in ops, not is_number
        is_direct = inner == column
        if (is_category and has_buckets) or (is_number and not is_direct and not has_buckets):
            raise Untold(f"the column {column} is not of the kind that its ops tell")
        if is_category and is_direct and not found["layer"].rpartition("/")[2].startswith("linear_model"):
            raise Untold(f"{column} is neither an embedding nor an indicator")
        return frozenset({_cut(inner, "_bucketized") if has_buckets else inner})


def _without_kind(column: str, ops: set[str], scopes: set[str]) -> str:
    """Return the name of the category that a column embeds or indicates, or the column's own."""
    if "_weighted_by_" in column or column.endswith("_shared_embedding"):
        raise Untold(f"{column} may be weighted, or share its embedding")
    if f"{column}_weights" in scopes:
        return _cut(column, "_embedding")
    return _cut(column, "_indicator") if "OneHot" in ops and column.endswith("_indicator") else column


def _crossed(column: str, crosses: list[NodeDef], *, is_number: bool) -> frozenset[str]:
    """Return the features that a cross may take: buckets are of numbers, the others of categories."""
    parts = column.split("_X_")
    inputs = [cross.attr["N"].i + len(cross.attr["dense_types"].list.type) for cross in crosses]
    if inputs != [len(parts)]:
        raise Untold(f"the parts of {column} cannot be told apart")
    buckets = {part for part in parts if part.endswith("_bucketized")}
    return frozenset(_cut(part, "_bucketized") for part in buckets) if is_number else frozenset(parts) - buckets


def _cut(column: str, suffix: str) -> str:
    if not column.endswith(suffix) or column == suffix:
        raise Untold(f"the column {column} is not of the kind that its ops tell")
    return column.removesuffix(suffix)


def _use(columns: _Columns, spec: TensorSpec) -> _Use:
    """Return how the columns use one of the pipeline's tensors; raises `Untold`."""
    graph, edge, dtype = columns.graph, edge_of(spec.tensor), tf.as_dtype(spec.dtype)
    if graph.nodes[edge.node].op not in PIPELINE_ENDS or spec.shape is None or len(spec.shape) not in (1, 2):
        raise Untold(f"{spec.tensor} is no batch of vectors from a pipeline")
    if spec.shape[0] is not None:
        raise Untold(f"the pipeline makes batches of {spec.shape[0]} only, a size that the columns may have kept")
    readers = readers_of(graph, edge, columns.computed)
    expanded = tuple(name for name in readers if graph.nodes[name].op == "ExpandDims" and len(spec.shape) == 1)
    if expanded and set(expanded) != set(readers):
        raise Untold(f"{spec.tensor} is used as a vector and as columns")
    taking = [who for name in expanded for who in readers_of(graph, Edge(name, 0), columns.computed)] or list(readers)
    kinds = {_kind(graph, name, dtype) for name in taking}
    if kinds not in ({"categorical"}, {"number"}, {"crossed"}, {"categorical", "crossed"}):
        raise Untold(f"{spec.tensor} is used as {' and '.join(sorted(kinds))}")
    names = frozenset.intersection(
        *(columns.names(name, is_number=kinds == {"number"}) for name in {*readers, *taking})
    )
    return _Use(names, kinds == {"categorical"}, expanded)


def _kind(graph: Graph, reader: str, dtype: tf.DType) -> str:
    """Return what a column's first op makes of a feature."""
    found = COLUMN.match(reader)
    rest, op = (found["rest"] if found else ""), graph.nodes[reader].op
    if re.match(r"to_sparse_input(_\d+)?/", rest) and op in ("NotEqual", "GatherNd", "Shape"):
        if op == "NotEqual" and (dtype not in IGNORED or _ignored(graph, reader) != IGNORED[dtype]):
            raise Untold(f"what {reader} takes for missing is not known")
        return "categorical"
    if op == "SparseCross" and dtype == tf.string:
        return "crossed"
    if dtype.is_floating or dtype in (tf.int32, tf.int64):
        return "number" if op != "SparseCross" and not rest.startswith("to_sparse_input") else "a raw number in a cross"
    return f"{op} of {dtype.name}"


def _ignored(graph: Graph, reader: str) -> object:
    try:
        return graph.const(graph.source_of(graph.inputs(reader)[1], through=("Identity", "Cast"))).item()
    except KeyError:
        return None


def readers_of(graph: Graph, edge: Edge, among: set[str]) -> list[str]:
    """Return the nodes among some that take a tensor."""
    taking = (who for who, _, output in graph.consumers(edge.node) if output == edge.output and who in among)
    return list(dict.fromkeys(taking))
