"""From a checkpoint without a graph to the MetaGraph of the architecture that it was written by."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import tensorflow as tf
from tensorflow.core.protobuf import meta_graph_pb2

from job.engine.architectures import ARCHITECTURES
from job.engine.architectures.base import Proposal
from job.engine.architectures.catalogue import Catalogue
from job.engine.architectures.graph import GraphLayers
from job.engine.architectures.inventory import Inventory, take
from job.engine.architectures.matching import Fit
from job.engine.formats.base import GRAPH_WANTED, LoadedMetaGraph, checkpoint_of
from job.engine.state.checkpoint import stored_shapes
from job.errors import BadInput, Incomplete
from job.records import Finding
from job.requests import SourceRequest

v1 = tf.compat.v1


def read(request: SourceRequest, prefix: str) -> LoadedMetaGraph:
    """Recognise a checkpoint by its names and shapes, and restate the graph that wrote it.

    Raises `Incomplete` for one that no architecture fits exactly, with what the nearest one misses.
    """
    checkpoint = checkpoint_of(prefix)
    inventory = take({name: tuple(shape) for name, shape in stored_shapes(checkpoint).items()})
    inventory = replace(inventory, config=_config(Path(prefix).parent))
    proposal = recognise(inventory, request.entry)
    return LoadedMetaGraph(
        meta_graph=restate(proposal, inventory),
        checkpoint=checkpoint,
        beside=Path(prefix).parent,
        findings=tuple(_findings(proposal, inventory)),
    )


def recognise(inventory: Inventory, where: str) -> Proposal:
    """Return the first architecture whose weights are the checkpoint's, neither fewer nor more."""
    nearest = list[tuple[float, Proposal, Fit]]()
    for family in ARCHITECTURES:
        for proposal in family(inventory):
            fit = proposal.fit_to(inventory)
            if fit.is_exact:
                return proposal
            nearest.append((fit.share, proposal, fit))
    _, proposal, fit = max(nearest, key=lambda one: one[0])
    raise _unknown(proposal, fit, where)


def restate(proposal: Proposal, inventory: Inventory) -> meta_graph_pb2.MetaGraphDef:
    """Return the architecture's graph, its variables called as in the checkpoint, with a saver and a signature."""
    graph = tf.Graph()
    with graph.as_default(), tf.device("/CPU:0"):
        layers = GraphLayers(Catalogue(naming=proposal.naming(), stored=inventory.weights))
        outputs = {key: tf.identity(tensor, name=key) for key, tensor in proposal.build(layers).items()}
        saver = v1.train.Saver({inventory.keys[name]: variable for name, variable in layers.variables.items()})
        meta_graph: meta_graph_pb2.MetaGraphDef = v1.train.export_meta_graph(saver_def=saver.as_saver_def())
        inputs = {op.name: op.outputs[0] for op in graph.get_operations() if op.type == "Placeholder"}
        signature = v1.saved_model.predict_signature_def(inputs, outputs)
    meta_graph.signature_def["serving_default"].CopyFrom(signature)
    meta_graph.meta_info_def.tensorflow_version = proposal.title
    return meta_graph


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
        yield Finding(code="architecture_assumed", cause=fact, severity="warning")


def _unknown(nearest: Proposal, fit: Fit, where: str) -> Incomplete:
    return Incomplete(
        f"a checkpoint without its graph, of no architecture that is known; nearest is {nearest.title} "
        f"({nearest.scheme}): {fit.differences()}",
        where=where,
        remedy=GRAPH_WANTED,
    )
