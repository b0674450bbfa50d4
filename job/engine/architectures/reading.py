"""From a checkpoint without a graph to the MetaGraph of the architecture that it was written by."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import tensorflow as tf
from tensorflow.core.protobuf import meta_graph_pb2

from job.engine.architectures import ARCHITECTURES
from job.engine.architectures.base import Proposal
from job.engine.architectures.catalogue import Catalogue
from job.engine.architectures.graph import GraphLayers
from job.engine.architectures.inventory import Inventory, take
from job.engine.architectures.matching import Fit, shown
from job.engine.formats.base import GRAPH_WANTED, LoadedMetaGraph, checkpoint_of, predict_signature
from job.engine.state.checkpoint import stored_dtypes, stored_shapes
from job.engine.state.recorded import OBJECTS, object_names
from job.errors import BadInput, Incomplete, UsageError
from job.records import Finding
from job.requests import SourceRequest

v1 = tf.compat.v1

RESEMBLES: Final = 0.1
"""The share of names in common with an architecture from which on it is named as the nearest."""


def read(request: SourceRequest, prefix: str) -> LoadedMetaGraph:
    """Recognise a checkpoint by its names and shapes, and restate the graph that wrote it.

    ``options.architecture`` may name the scheme. Raises `Incomplete` where no architecture fits exactly, or
    not that one, with what the nearest one misses.
    """
    checkpoint = checkpoint_of(prefix)
    inventory = inventory_of(checkpoint, Path(prefix).parent)
    proposal = recognise(inventory, request.entry, request.options.architecture)
    return LoadedMetaGraph(
        meta_graph=restate(proposal, inventory),
        checkpoint=checkpoint,
        beside=Path(prefix).parent,
        findings=tuple(_findings(proposal, inventory)),
    )


def inventory_of(checkpoint: str, beside: Path) -> Inventory:
    """Return what a checkpoint holds; raises `BadInput` where it, or a configuration beside it, cannot be read."""
    shapes = {key: tuple(shape) for key, shape in stored_shapes(checkpoint).items()}
    inventory = take(shapes, dict(object_names(checkpoint)) if OBJECTS in shapes else {})
    stored = stored_dtypes(checkpoint)
    others = {name: stored[key].name for name, key in inventory.keys.items() if stored[key] != tf.float32}
    return replace(inventory, dtypes=others, config=_config(beside))


def recognise(inventory: Inventory, where: str, scheme: str = "") -> Proposal:
    """Return the first architecture whose weights are the checkpoint's, neither fewer nor more.

    With a `scheme` it is that one or none.
    """
    proposals = [proposal for family in ARCHITECTURES for proposal in family(inventory)]
    nearest = list[tuple[float, Proposal, Fit]]()
    for proposal in _called(scheme, proposals) if scheme else proposals:
        fit = proposal.fit_to(inventory)
        if fit.is_exact:
            return proposal
        nearest.append((fit.share, proposal, fit))
    _, proposal, fit = max(nearest, key=lambda one: one[0])
    raise _misnamed(proposal, fit, where) if scheme else _unknown(proposal, fit, where)


def _called(scheme: str, proposals: list[Proposal]) -> list[Proposal]:
    """Return what is called so; a depth is the checkpoint's own, so that of another one is not among them."""
    found = [proposal for proposal in proposals if proposal.scheme == scheme]
    if not found:
        known = ", ".join(sorted({proposal.scheme for proposal in proposals}))
        what = f"no architecture is called {scheme} for a checkpoint of this depth"
        raise UsageError(what, remedy=f"give --architecture one of {known}, or a function as package.module:function")
    return found


def restate(proposal: Proposal, inventory: Inventory) -> meta_graph_pb2.MetaGraphDef:
    """Return the architecture's graph, its variables called as in the checkpoint, with a saver and a signature.

    Raises `BadInput` where layers of the right names do not go together.
    """
    graph = tf.Graph()
    with _told(proposal), graph.as_default(), tf.device("/CPU:0"):
        layers = GraphLayers(Catalogue(naming=proposal.naming(), stored=inventory.weights), inventory.dtypes)
        outputs = {key: tf.identity(tensor, name=key) for key, tensor in proposal.build(layers).items()}
        saver = v1.train.Saver({inventory.keys[name]: variable for name, variable in layers.variables.items()})
        meta_graph: meta_graph_pb2.MetaGraphDef = v1.train.export_meta_graph(saver_def=saver.as_saver_def())
    inputs = {op.name: op.outputs[0] for op in graph.get_operations() if op.type == "Placeholder"}
    meta_graph.signature_def["serving_default"].CopyFrom(predict_signature(inputs, outputs))
    meta_graph.meta_info_def.tensorflow_version = proposal.title
    return meta_graph


@contextmanager
def _told(proposal: Proposal) -> Iterator[None]:
    """Translate what TensorFlow says of tensors that cannot be added or joined."""
    try:
        yield
    except ValueError as error:
        line = str(error).splitlines()[0][:240]
        what = f"the checkpoint's names are those of {proposal.title}, but its shapes do not go together: {line}"
        raise BadInput(what, remedy="name the graph that wrote it by --graph") from error


def _config(directory: Path) -> dict[str, Any]:
    """Return what the first configuration in a directory says, which is there where somebody trained a BERT."""
    for path in sorted(directory.glob("*config*.json")):
        try:
            said = json.loads(path.read_bytes())
        except ValueError as error:
            raise BadInput(f"the configuration is no JSON: {error}", where=path.name, remedy="copy it again") from error
        if isinstance(said, dict) and "num_attention_heads" in said:
            return said
    return {}


def _findings(proposal: Proposal, inventory: Inventory) -> Iterator[Finding]:
    known = f"{len(inventory.weights)} tensors"
    cause = f"the checkpoint has no graph: its {known} are those of {proposal.title}, name by name and shape by shape"
    yield Finding(code="architecture_recognised", cause=f"{cause} (scheme {proposal.scheme})")
    for fact in proposal.facts:
        yield Finding(code="architecture_original", cause=fact)
    for assumption in proposal.assumptions:
        yield Finding(code="architecture_assumed", cause=assumption, remedy=_JUDGE, severity="warning")


_JUDGE: Final = (
    "compare with answers of the original, as `samples` and `goldens` in the manifest, or give its graph by --graph"
)


def _misnamed(proposal: Proposal, fit: Fit, where: str) -> Incomplete:
    what = f"the checkpoint is not {proposal.title} ({proposal.scheme}): {fit.differences()}"
    return Incomplete(what, where=where, remedy="leave out --architecture, which takes what fits")


def _unknown(nearest: Proposal, fit: Fit, where: str) -> Incomplete:
    resembled = f"nearest is {nearest.title} ({nearest.scheme}), but {fit.differences()}"
    if fit.share < RESEMBLES:
        resembled = f"it resembles none; of its {len(fit.extra)} tensors the first are {shown(sorted(fit.extra))}"
    return Incomplete(
        f"a checkpoint without its graph, of no architecture that is known: {resembled}",
        where=where,
        remedy=GRAPH_WANTED,
    )
