"""Run both sides: the baseline (the TF1 graph in a session) and the candidate (the TF2 SavedModel)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from job.engine.checkpoint import ASSIGN_OPS, HANDED_ON, read_values, restore_nodes
from job.engine.graph import Edge, Graph, edge_of
from job.engine.lift import argument_names
from job.engine.pruning import subgraph
from job.engine.runtime import Mode, session_config
from job.engine.source_graph import SourceGraph
from job.engine.switches import PLACEHOLDERS
from job.records import Signature

Array = NDArray[Any]


class Baseline:
    """The original nodes, in a session, with state restored by the saver's own nodes.

    Nothing is rewritten: switches are fed, pipelines are fed where they hand over, files that
    moved are fed by their new path.
    """

    def __init__(self, source: SourceGraph, mode: Mode) -> None:
        self._source = source
        self._graph, self._fed = tf.Graph(), dict[str, tf.Tensor]()
        self._restores, self._fills = self._state_nodes()
        with self._graph.as_default():
            self._import([*self._restores, *self._fills])
        self._session = tf.compat.v1.Session(graph=self._graph, config=session_config(mode))
        self.reset()

    def reset(self) -> None:
        """Give variables and tables the values that they were saved with."""
        self._restore(self._restores)
        self._fill(self._fills)

    def run(self, signature: Signature, feeds: Sequence[Array]) -> list[Array]:
        """Return the signature's outputs for one batch."""
        return [np.asarray(value) for value in self.callable(signature)(*feeds)]

    def callable(self, signature: Signature) -> Callable[..., list[Any]]:
        """Return a function of the inputs that runs the session as fast as TF1 can."""
        switches = {self._tensor(name): value for name, value in self._source.switches.items()}
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

    def _state_nodes(self) -> tuple[dict[str, str], list[str]]:
        """Return the assignments that restore needed variables, by node, and what fills needed tables."""
        needed = {stored.name for stored in self._source.variables}
        restores = {assign: variable for assign, variable in restore_nodes(self._source.graph) if variable in needed}
        for assign, variable in _initial_assigns(self._source.graph, needed - set(restores.values())):
            restores.setdefault(assign, variable)
        return restores, [table.filled_by for table in self._source.tables if table.filled_by]

    def _import(self, state_nodes: list[str]) -> None:
        """Import what outputs and state need; cut tensors that are no placeholders get one."""
        graph, outputs, cut = self._source.graph, list[str](), set[Edge]()
        for signature in self._source.signatures:
            outputs += [edge_of(spec.tensor).node for spec in signature.outputs]
            inputs = {edge_of(spec.tensor) for spec in signature.inputs}
            cut |= {edge for edge in inputs if graph.nodes[edge.node].op not in PLACEHOLDERS}
        keep = graph.ancestors([*outputs, *state_nodes], stop={edge.node for edge in cut}) - {edge.node for edge in cut}
        keep |= {edge_of(spec.tensor).node for signature in self._source.signatures for spec in signature.inputs} - {
            edge.node for edge in cut
        }
        specs = {spec.tensor: spec for signature in self._source.signatures for spec in signature.inputs}
        for edge in sorted(cut):
            spec = specs[edge.tensor]
            self._fed[edge.tensor] = tf.compat.v1.placeholder(spec.dtype, spec.shape)
        graph_def = subgraph(graph, keep)
        used = {edge_of(text).tensor for node in graph_def.node for text in node.input if not text.startswith("^")}
        tf.import_graph_def(
            graph_def, input_map={name: fed for name, fed in self._fed.items() if name in used}, name=""
        )

    def _restore(self, restores: Mapping[str, str]) -> None:
        """Run the saver's assignments; what no saver restores is assigned its value by name."""
        graph = self._source.graph
        feeds = dict[tf.Tensor, Any]()
        by_name = {stored.name: stored for stored in self._source.variables}
        from_saver = dict(restore_nodes(graph))
        for assign, variable in restores.items():
            value = graph.inputs(assign)[1]
            if assign in from_saver:
                restore = graph.source_of(value, through=HANDED_ON).node
                feeds[self._tensor(graph.inputs(restore)[0].tensor)] = self._source.checkpoint
            else:
                feeds[self._tensor(value.tensor)] = read_values(self._source.checkpoint, (by_name[variable],))[0]
        if restores:
            self._session.run([self._graph.get_operation_by_name(name) for name in restores], feeds)

    def _fill(self, fills: list[str]) -> None:
        feeds = {self._tensor(f"{name}:0"): str(path) for name, path in self._source.assets.items()}
        restored = [edge_of(tensor) for table in self._source.tables for tensor in table.restored]
        for edge in restored:
            restore = self._source.graph.source_of(edge, through=HANDED_ON).node
            feeds[self._tensor(self._source.graph.inputs(restore)[0].tensor)] = self._source.checkpoint
        if fills:
            self._session.run([self._graph.get_operation_by_name(name) for name in fills], feeds)


class Candidate:
    """A SavedModel as its users load it."""

    def __init__(self, directory: str) -> None:
        self._loaded = tf.saved_model.load(directory)

    def run(self, signature: Signature, feeds: Sequence[Array]) -> list[Array]:
        """Return the signature's outputs for one batch."""
        return [np.asarray(tensor.numpy()) for tensor in self.callable(signature)(*self.tensors(signature, feeds))]

    def callable(self, signature: Signature) -> Callable[..., list[tf.Tensor]]:
        """Return a function of the inputs, as tensors, in the signature's order."""
        function, names = self._loaded.signatures[signature.key], argument_names(signature)
        keys = [spec.key for spec in signature.outputs]

        def call(*tensors: tf.Tensor) -> list[tf.Tensor]:
            outputs = function(**dict(zip(names, tensors, strict=True)))
            return [outputs[key] for key in keys]

        return call

    def tensors(self, signature: Signature, feeds: Sequence[Array]) -> list[tf.Tensor]:
        """Return a batch as tensors."""
        return [tf.constant(feed, dtype=spec.dtype) for feed, spec in zip(feeds, signature.inputs, strict=True)]


@dataclass(frozen=True, kw_only=True)
class Sides:
    """Baseline and candidate of one artifact."""

    baseline: Baseline
    candidate: Candidate


def _initial_assigns(graph: Graph, variables: set[str]) -> list[tuple[str, str]]:
    """Return the first assignment of each variable that no saver restores."""
    found = dict[str, str]()
    for node in graph.of_type(*ASSIGN_OPS):
        found.setdefault(graph.source_of(graph.inputs(node.name)[0]).node, node.name)
    return [(found[name], name) for name in variables if name in found]
