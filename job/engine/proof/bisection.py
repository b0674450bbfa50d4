"""Where baseline and candidate part: the first node on the way to an output whose value differs."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from typing import Any, Final

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from job import parity
from job.engine.graph import Graph, edge_of
from job.engine.interface.contexts import Contexts
from job.engine.lift import LiftedModel, argument_names, lift
from job.engine.runners import Baseline
from job.engine.shapes import dtype_of
from job.engine.source_graph import SourceGraph
from job.errors import JobError
from job.records import Signature, TensorSpec
from job.requests import VerifyRequest
from job.results import DivergingNode

Array = NDArray[Any]

AT_ONCE: Final = 64
"""How many nodes' values are held at a time on each side."""

UNFETCHED: Final = (
    *("Const", "Placeholder", "PlaceholderWithDefault", "NoOp", "Assert", "VarHandleOp"),
    *("NextIteration", "RefNextIteration"),
)
"""What says nothing, or runs once an iteration."""


def first_diverging(
    source: SourceGraph, request: VerifyRequest, signature: Signature, output: str, feeds: Sequence[Array]
) -> DivergingNode | None:
    """Compare the nodes before an output in the baseline and in the candidate's graph, lifted with them as outputs.

    The lifted variables get the published values. Nodes in loops and branches are not looked into:
    what comes out of one is. `None` where no node differs or the graph cannot be asked.
    """
    published = tf.saved_model.load(request.saved_model)
    names = _names(source, signature, output)
    for start in range(0, len(names), AT_ONCE):
        probe = _probe(source, signature, names[start : start + AT_ONCE])
        try:
            found = next(_differing(replace(source, signatures=(probe,)), probe, feeds, published, request), None)
        except (JobError, tf.errors.OpError, ValueError, TypeError):  # what fails here explains nothing
            return None
        if found is not None:
            return found
    return None


def _differing(
    source: SourceGraph, probe: Signature, feeds: Sequence[Array], published: Any, request: VerifyRequest
) -> Iterator[DivergingNode]:
    with closing(Baseline(source, "exact")) as baseline:
        expected = baseline.run(probe, feeds)
    model = lift(source, allow_nonfinite=True, is_to_run=True)
    _take_values(model, published)
    tensors = [tf.constant(feed, spec.dtype) for feed, spec in zip(feeds, probe.inputs, strict=True)]
    said = model.functions[probe.key](**dict(zip(argument_names(probe), tensors, strict=True)))
    for spec, left in zip(probe.outputs, expected, strict=True):
        tolerance = parity.tolerance_for(left.dtype, request.tolerance)
        found = parity.compare(left, np.asarray(said[spec.key].numpy()), tolerance=tolerance)
        if found.verdict == "failed":
            name = edge_of(spec.tensor).node
            yield DivergingNode(node=name, op=source.graph.nodes[name].op, reason=found.reason)


def _take_values(model: LiftedModel, published: Any) -> None:
    """Give the variables what the published model holds, which may be where the fault is."""
    for name, variable in model.state.items():
        held = getattr(published, "state", {})
        if name in held:
            variable.assign(held[name])


def _names(source: SourceGraph, signature: Signature, output: str) -> list[str]:
    """Return the nodes that an output needs and that always run, each after its inputs."""
    graph, contexts = source.graph, Contexts(source.graph)
    cut = {edge.node for edge in source.cut(signature)}
    needed = graph.ancestors([edge_of(output).node], stop=cut) - cut
    ordered = (name for name in _in_order(graph, needed) if _can_be_fetched(graph, name))
    return [name for name in ordered if not contexts.of(name)]


def _in_order(graph: Graph, names: set[str]) -> Iterator[str]:
    """Yield nodes after their inputs, but for what an iteration hands to the next one."""
    done = set[str]()
    for start in sorted(names):
        stack = [start]
        while stack:
            waiting = [] if graph.nodes[stack[-1]].op == "NextIteration" else graph.inputs(stack[-1])
            before = next((edge.node for edge in waiting if edge.node in names - done and edge.node not in stack), "")
            if before:
                stack.append(before)
            elif (name := stack.pop()) not in done:
                done.add(name)
                yield name


def _can_be_fetched(graph: Graph, name: str) -> bool:
    try:
        dtype = dtype_of(graph, edge_of(name))
    except JobError:
        return False
    plain = dtype.is_floating or dtype.is_integer or dtype.is_bool or dtype == tf.string
    return graph.nodes[name].op not in UNFETCHED and bool(plain) and not dtype.is_quantized


def _probe(source: SourceGraph, signature: Signature, names: Sequence[str]) -> Signature:
    outputs = tuple(
        TensorSpec(
            key=f"node_{number}", tensor=f"{name}:0", dtype=dtype_of(source.graph, edge_of(name)).name, shape=None
        )
        for number, name in enumerate(names)
    )
    return replace(signature, outputs=outputs)
