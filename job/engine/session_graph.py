"""The original nodes of a model in a TF1 session: what its signatures compute, and the state that this needs."""

from collections.abc import Callable, Iterator
from typing import Any, Final

import tensorflow as tf

from job.engine.graph import Edge, Graph, edge_of
from job.engine.pruning import computed_by, subgraph
from job.engine.runtime import Mode, session_config
from job.engine.shapes import dtype_of, shape_of
from job.engine.source_graph import SourceGraph
from job.engine.state.checkpoint import ASSIGN_OPS, RESTORE_OPS, StoredVariable, read_tensor, read_values, restore_nodes
from job.engine.state.tables import filling_nodes
from job.records import Signature

PURE_OPS: Final = ("Identity", "Reshape", "Cast")
"""What may lie between a restored tensor and its variable, so that nothing else runs when it is restored."""

FED: Final = "tf1lift_fed"
PREFIX: Final = "tf1lift_checkpoint"
"""Names of placeholders that no model has; that of `PREFIX` holds the checkpoint's path."""

TAKES_OVER: Final = "_grappler_relax_allocator_constraints"
"""An assignment so marked makes the memory of what it is given the variable's own, and no copy."""


def agreeing(source: SourceGraph) -> list[tuple[Signature, ...]]:
    """Return the signatures in groups, in each of which none computes what another one is fed."""
    groups = list[tuple[Signature, ...]]()
    for signature in source.signatures:
        fitting = next((group for group in groups if not _disagree(source, (*group, signature))), ())
        groups = [group for group in groups if group != fitting] + [(*fitting, signature)]
    return groups


def _disagree(source: SourceGraph, signatures: tuple[Signature, ...]) -> bool:
    fed = {edge.node for signature in signatures for edge in source.cut(signature)}
    return bool(fed & _computed(source, signatures))


def _computed(source: SourceGraph, signatures: tuple[Signature, ...]) -> set[str]:
    return set[str]().union(*(computed_by(source.graph, signature, source.switches) for signature in signatures))


class SessionGraph:
    """Some signatures and their state in a session; they are cut at their inputs and at the switches, which are fed.

    Only what `check_ops` has seen is imported, and the saver's way from its checkpoint to a
    variable without control inputs, which consists of `PURE_OPS`.
    """

    def __init__(self, source: SourceGraph, signatures: tuple[Signature, ...], mode: Mode) -> None:
        self._source, self.signatures = source, signatures
        computed = _computed(source, signatures)
        self._variables = [stored for stored in source.variables if stored.name in computed]
        self._tables = tuple(table for table in source.tables if table.name in computed)
        self._initialisers = source.initialisers if self._tables else ()
        self._restored = dict(self._restored_contents())
        self._assigns = dict[str, str](self._saved_assigns())
        self._graph, self._fed = tf.Graph(), dict[str, tf.Tensor]()
        with self._graph.as_default():
            self._import(computed | self._filling())
            self._own_assigns = {stored.name: self._assign(stored) for stored in self._not_saved()}
        self._session = tf.compat.v1.Session(graph=self._graph, config=session_config(mode))
        self.reset()

    def reset(self) -> None:
        """Give variables and tables the values that they were saved with."""
        self._restore()
        self._fill()

    def callable(self, signature: Signature) -> Callable[..., list[Any]]:
        """Return a function of the inputs that runs the session as fast as TF1 can."""
        switches = {self._fed[name]: value for name, value in self._source.switches_of(signature).items()}
        fetches = [self._tensor(spec.tensor) for spec in signature.outputs]
        feeds = [self._tensor(spec.tensor) for spec in signature.inputs]
        run: Callable[..., list[Any]] = self._session.make_callable(fetches, [*feeds, *switches])
        constants = list(switches.values())
        return lambda *values: run(*values, *constants)

    def close(self) -> None:
        """Free the session."""
        self._session.close()

    def _tensor(self, name: str) -> tf.Tensor:
        full = edge_of(name).tensor
        return self._fed[full] if full in self._fed else self._graph.get_tensor_by_name(full)

    def _restored_contents(self) -> Iterator[tuple[str, str]]:
        """Yield (tensor, stored name) of tables' contents that a saver restores."""
        for table in self._tables:
            yield from table.restored.items()

    def _saved_assigns(self) -> Iterator[tuple[str, str]]:
        """Yield (variable, assignment) where the saver assigns it what it read; the last one counts."""
        saved = (stored for stored in self._variables if stored.value is None and not stored.is_average)
        wanted, graph = {stored.name for stored in saved}, self._source.graph
        for assign, variable in restore_nodes(graph):
            target, value = graph.inputs(assign)[:2]
            if variable in wanted and target.node == variable and _way(graph, value):
                yield variable, assign

    def _not_saved(self) -> list[Any]:
        return [stored for stored in self._variables if stored.name not in self._assigns]

    def _filling(self) -> set[str]:
        return filling_nodes(self._source.graph, self._tables, self._initialisers, self._source.assets)

    def _import(self, checked: set[str]) -> None:
        """Import the checked nodes and the ways from the checkpoint, with placeholders for what is fed."""
        graph = self._source.graph
        ways = (_way(graph, graph.inputs(assign)[1]) for assign in self._assigns.values())
        restoring = set(self._assigns.values()).union(*ways) - checked
        graph_def = subgraph(graph, checked | restoring)
        for node in graph_def.node:
            if node.name in restoring:
                data = [text for text in node.input if not text.startswith("^")]
                del node.input[:]
                node.input.extend([PREFIX, *data[1:]] if node.op in RESTORE_OPS else data)
                if node.op in ASSIGN_OPS:
                    node.attr[TAKES_OVER].b = True
        self._fed = {edge.tensor: self._placeholder(edge) for edge in self._cut()}
        self._fed[f"{PREFIX}:0"] = tf.compat.v1.placeholder(tf.string, [], name=PREFIX)
        used = {edge_of(text).tensor for node in graph_def.node for text in node.input if not text.startswith("^")}
        fed = {name: tensor for name, tensor in self._fed.items() if name in used}
        tf.import_graph_def(graph_def, input_map=fed, name="")

    def _cut(self) -> list[Edge]:
        """Return what is fed: inputs, switches, and tables' contents that the checkpoint holds."""
        cut = set[Edge]().union(*(self._source.cut(signature) for signature in self.signatures))
        return sorted(cut | {edge_of(tensor) for tensor in self._restored})

    def _placeholder(self, edge: Edge) -> tf.Tensor:
        specs = {spec.tensor: spec for signature in self.signatures for spec in signature.inputs}
        if edge.tensor in specs:
            return tf.compat.v1.placeholder(specs[edge.tensor].dtype, specs[edge.tensor].shape, name=FED)
        graph = self._source.graph
        return tf.compat.v1.placeholder(dtype_of(graph, edge), shape_of(graph, edge), name=FED)

    def _assign(self, stored: StoredVariable) -> tuple[tf.Tensor, tf.Operation]:
        """Assign a value that is fed to a variable that no saver restores."""
        held = self._graph.get_tensor_by_name(f"{stored.name}:0")
        value = tf.compat.v1.placeholder(stored.dtype, name=FED)
        if held.dtype == tf.resource:
            return value, tf.raw_ops.AssignVariableOp(resource=held, value=value)
        return value, tf.raw_ops.Assign(ref=held, value=value, validate_shape=False).op

    def _restore(self) -> None:
        """Run the saver's assignments; what no saver restores is assigned its value by name."""
        prefix = {self._fed[f"{PREFIX}:0"]: self._source.checkpoint}
        if self._assigns:
            self._session.run([self._graph.get_operation_by_name(name) for name in self._assigns.values()], prefix)
        for stored in self._not_saved():
            fed, assign = self._own_assigns[stored.name]
            (value,) = read_values(self._source.checkpoint, (stored,))
            self._session.run(assign, {fed: value})

    def _fill(self) -> None:
        """Fill tables as the saver does, then as the model's own init ops do, else as its initialisers do."""
        graph, checkpoint = self._source.graph, self._source.checkpoint
        feeds: dict[tf.Tensor, Any] = {
            self._tensor(name): str(path) for name, path in self._source.assets.items() if name in self._filling()
        }
        for tensor, key in self._restored.items():
            feeds[self._fed[tensor]] = read_tensor(checkpoint, key, dtype_of(graph, edge_of(tensor)))
        fills = [node for table in self._tables for node in table.filled_by]
        by_saver = [node for node in fills if any(edge.tensor in self._restored for edge in graph.inputs(node))]
        started = graph.ancestors(self._initialisers)
        others = [node for node in fills if node not in started and node not in by_saver]
        for together in (by_saver, [*self._initialisers, *others]):
            if together:
                self._session.run([self._graph.get_operation_by_name(name) for name in together], feeds)


def _way(graph: Graph, edge: Edge) -> set[str]:
    """Return the nodes that bring a tensor from a checkpoint, by `PURE_OPS` alone; empty if more takes part."""
    way, name = set[str](), edge.node
    while _op(graph, name) in PURE_OPS and name not in way:
        way |= {name, *_constants(graph, graph.inputs(name)[1:])}
        name = graph.inputs(name)[0].node
    if _op(graph, name) not in RESTORE_OPS:
        return set()
    way |= {name, *_constants(graph, graph.inputs(name)[1:])}
    return way if all(_op(graph, one) in (*PURE_OPS, *RESTORE_OPS, "Const") for one in way) else set()


def _op(graph: Graph, name: str) -> str:
    """Return a node's op; empty for one that the graph names and does not hold, which it need not run."""
    return graph.nodes[name].op if name in graph.nodes else ""


def _constants(graph: Graph, edges: list[Edge]) -> set[str]:
    """Return what stands behind names, slices and shapes: constants, where a saver made them."""
    return set[str]().union(*(_behind(graph, edge.node) for edge in edges))


def _behind(graph: Graph, name: str) -> set[str]:
    found = set[str]()
    while name not in found:
        found.add(name)
        name = graph.inputs(name)[0].node if _op(graph, name) == "Identity" else name
    return found
