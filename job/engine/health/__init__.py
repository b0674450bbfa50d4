"""How a model was trained and left: what its owner should know before relying on its answers.

A check is a function from what is examined to findings; `CHECKS` lists them in the order in which they are reported.
Each looks at every node once at most, and reads of the values only what it needs.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final

from job.engine.graph import Graph
from job.engine.health import dropout
from job.engine.health.averages import averages_unused, averages_used
from job.engine.health.batch_norm import BatchNorm, find_training_mode
from job.engine.health.inference_mode import to_inference
from job.engine.health.leftovers import training_graph, trains
from job.engine.health.moving_statistics import pair
from job.engine.health.path import Path, path_of
from job.engine.health.random_numbers import random_in_graph
from job.engine.health.statistics import have_moved, statistics_untrained
from job.engine.health.subject import Subject
from job.engine.health.training_mode import batch_norm_inference, batch_norm_training
from job.engine.health.weights import half_precision, quantised
from job.engine.state.checkpoint import VARIABLE_OPS, stored_shapes
from job.records import ArtifactOptions, Finding, Signature

Check = Callable[[Subject], Iterable[Finding]]

CHECKS: Final[tuple[Check, ...]] = (
    batch_norm_training,
    statistics_untrained,
    random_in_graph,
    averages_used,
    averages_unused,
    half_precision,
    quantised,
    training_graph,
)


def findings(subject: Subject) -> Iterator[Finding]:
    """Yield what all checks find."""
    for check in CHECKS:
        yield from check(subject)


def _without_dropout(graph: Graph, options: ArtifactOptions) -> tuple[Graph, frozenset[str]]:
    """Switch dropout off; by itself not where a frozen graph has answers that can be kept: its seeds repeat them."""
    if options.dropout == "as_saved":
        return graph, frozenset()
    is_frozen = not any(graph.of_type(*VARIABLE_OPS))
    return dropout.switch_off(graph, repeatable=options.dropout == "off" or not is_frozen)


def in_inference_mode(
    graph: Graph,
    signatures: tuple[Signature, ...],
    switches: Mapping[str, bool | float],
    checkpoint: str,
    options: ArtifactOptions,
) -> tuple[Path, tuple[Finding, ...]]:
    """Return the path through the graph: without its dropout, and with its batch norm in inference mode, as asked for.

    The nodes are changed in place, and it is said. With ``batch_norm: auto`` that of a graph that trained the
    model is changed, where all of it can be and has statistics: some models never update them, and use those of the
    batch at inference too (pix2pix). Raises `BadInput` where it was asked for and cannot.
    """
    graph, products = _without_dropout(graph, options)
    path = path_of(graph, signatures, switches)
    said = tuple(dropout.findings(products & path.nodes))
    norms = find_training_mode(path) if options.batch_norm != "as_saved" else []
    if not norms:
        return path, said
    stored = stored_shapes(checkpoint) if checkpoint and any(graph.of_type(*VARIABLE_OPS)) else {}
    if options.batch_norm == "auto" and not (trains(graph) and _can_all(path, norms, stored, checkpoint)):
        return path, said
    return path_of(to_inference(path, norms, stored), signatures, switches), (*said, batch_norm_inference(norms))


def _can_all(path: Path, norms: list[BatchNorm], stored: Mapping[str, Sequence[int]], checkpoint: str) -> bool:
    """Whether inference mode is sure to be right for every batch norm."""
    pairs = pair(path, norms, stored)
    return len(pairs) == len(norms) and have_moved(path, pairs.values(), checkpoint)
