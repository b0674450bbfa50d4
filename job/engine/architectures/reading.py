"""From a checkpoint without a graph to the MetaGraph of the architecture that it was written by."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import tensorflow as tf
from tensorflow.core.framework.variable_pb2 import VariableDef
from tensorflow.core.protobuf import meta_graph_pb2

from job.engine.architectures import ARCHITECTURES
from job.engine.architectures.base import Proposal
from job.engine.architectures.catalogue import Catalogue
from job.engine.architectures.graph import GraphLayers
from job.engine.architectures.inventory import AVERAGE, Inventory, take
from job.engine.architectures.matching import Fit
from job.engine.formats.base import GRAPH_WANTED, LoadedMetaGraph, checkpoint_of, predict_signature
from job.engine.state.checkpoint import TRAINABLE, stored_dtypes, stored_shapes
from job.engine.state.recorded import OBJECTS, object_names
from job.errors import BadInput, Incomplete, UsageError
from job.nearest import meant
from job.records import Finding
from job.requests import SourceRequest
from job.wording import shown

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
    has_words = any(name.endswith("word_embeddings") for name in inventory.weights)
    return replace(inventory, dtypes=others, config=_config(beside) if has_words else {})


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
    raise _misnamed(proposal, fit, where) if scheme else _unknown(proposal, fit, sorted(inventory.weights), where)


def _called(scheme: str, proposals: list[Proposal]) -> list[Proposal]:
    """Return what is called so; a depth is the checkpoint's own, so that of another one is not among them."""
    found = [proposal for proposal in proposals if proposal.scheme == scheme]
    if not found:
        known = sorted({proposal.scheme for proposal in proposals})
        what = f"no architecture is called {scheme} for a checkpoint of this depth"
        remedy = f"give --architecture one of {', '.join(known)}, or a function as package.module:function"
        raise UsageError(what, remedy=f"{meant(scheme, known)} {remedy}".strip())
    return found


def restate(proposal: Proposal, inventory: Inventory) -> meta_graph_pb2.MetaGraphDef:
    """Return the architecture's graph, its variables called as in the checkpoint, with a saver and a signature.

    Raises `BadInput` where layers of the right names do not go together.
    """
    graph = tf.Graph()
    with _told(proposal), graph.as_default(), tf.device("/CPU:0"):
        layers = GraphLayers(Catalogue(naming=proposal.naming(), stored=inventory.weights), inventory.dtypes)
        outputs = {key: tf.identity(tensor, name=key) for key, tensor in proposal.build(layers).items()}
        _require_floats(layers.variables)
        saver = v1.train.Saver({inventory.keys[name]: variable for name, variable in layers.variables.items()})
        meta_graph: meta_graph_pb2.MetaGraphDef = v1.train.export_meta_graph(saver_def=saver.as_saver_def())
    meta_graph.collection_def[TRAINABLE].bytes_list.value.extend(
        _definition(name, meta_graph.saver_def.restore_op_name).SerializeToString() for name in layers.trained
    )
    inputs = {op.name: op.outputs[0] for op in graph.get_operations() if op.type == "Placeholder"}
    meta_graph.signature_def["serving_default"].CopyFrom(predict_signature(inputs, outputs))
    meta_graph.meta_info_def.tensorflow_version = proposal.title
    return meta_graph


def _definition(name: str, initializer: str) -> VariableDef:
    """Define a variable in whole, as TensorFlow wants to read it: its first value is the one that is restored."""
    tensor = f"{name}:0"
    return VariableDef(variable_name=tensor, initializer_name=initializer, snapshot_name=tensor)


def _require_floats(variables: Mapping[str, tf.Tensor]) -> None:
    """Raise `BadInput` for weights that somebody has quantised, whose scales are nowhere, and for what is no number."""
    others = [f"{name} {one.dtype.name}" for name, one in variables.items() if not one.dtype.is_floating]
    if others:
        raise BadInput(f"weights are stored otherwise than as floats: {shown(others)}", remedy=_BEFORE)


_BEFORE: Final = "take the checkpoint from before they were quantised, or give the graph that wrote it by --graph"


@contextmanager
def _told(proposal: Proposal) -> Iterator[None]:
    """Translate what TensorFlow says of tensors that cannot be added or joined, and of names that it does not take."""
    try:
        yield
    except ValueError as error:
        line = str(error).splitlines()[0][:240]
        what = f"the checkpoint's names are those of {proposal.title}, but TensorFlow builds no graph of them: {line}"
        raise BadInput(what, remedy="name the graph that wrote it by --graph") from error


def _config(directory: Path) -> dict[str, Any]:
    """Return what the configuration in a directory says, which is there where somebody trained a BERT.

    Raises `BadInput` where two say otherwise, and where one that is called as BERT's are is no JSON.
    """
    read = {path.name: _json(path) for path in sorted(directory.glob("*config*.json"))}
    found = {name: said for name, said in read.items() if "num_attention_heads" in said}
    first = next(iter(found.values()), {})
    if any(said.get(key) != first.get(key) for said in found.values() for key in _TELLING):
        raise BadInput(f"configurations that differ: {shown(list(found))}", remedy="leave only the checkpoint's own")
    return first


_TELLING: Final = ("num_attention_heads", "hidden_act", "hidden_size", "num_hidden_layers")
"""What a configuration says of the model that its weights do not, or that tells whose it is."""


def _json(path: Path) -> dict[str, Any]:
    """Return what a file says, nothing where that is no object; one that is not called a BERT's need be no JSON."""
    try:
        said = json.loads(path.read_bytes())
    except ValueError as error:
        if not path.name.startswith("bert"):
            return {}
        raise BadInput(f"the configuration is no JSON: {error}", where=path.name, remedy="copy it again") from error
    return said if isinstance(said, dict) else {}


def _findings(proposal: Proposal, inventory: Inventory) -> Iterator[Finding]:
    known = f"{len(inventory.weights)} tensors"
    cause = f"the checkpoint has no graph: its {known} are those of {proposal.title}, name by name and shape by shape"
    yield Finding(code="architecture_recognised", cause=f"{cause} (scheme {proposal.scheme})")
    averages = [key for key in inventory.keys.values() if key.endswith(AVERAGE)]
    if averages:
        cause = f"of {len(averages)} weights the checkpoint holds only the moving averages (first {averages[0]})"
        yield Finding(code="averages_used", cause=cause)
    for fact in proposal.facts:
        yield Finding(code="architecture_original", cause=fact)
    for assumption in (*proposal.assumptions, *_precision(inventory)):
        yield Finding(code="architecture_assumed", cause=assumption, remedy=_JUDGE, severity="warning")


def _precision(inventory: Inventory) -> Iterator[str]:
    if inventory.dtypes:
        kinds = " and ".join(sorted(set(inventory.dtypes.values())))
        yield f"{kinds} of {len(inventory.dtypes)} stored tensors is taken to be computed with as float32"


_JUDGE: Final = (
    "compare with answers of the original, as `samples` and `goldens` in the manifest, or give its graph by --graph"
)


def _misnamed(proposal: Proposal, fit: Fit, where: str) -> Incomplete:
    what = f"the checkpoint is not {proposal.title} ({proposal.scheme}): {fit.differences()}"
    return Incomplete(what, where=where, remedy="leave out --architecture, which takes what fits")


def _unknown(nearest: Proposal, fit: Fit, names: list[str], where: str) -> Incomplete:
    resembled = f"nearest is {nearest.title} ({nearest.scheme}), but {fit.differences()}"
    if fit.share < RESEMBLES:
        resembled = f"it resembles none; of its {len(names)} tensors the first are {shown(names)}"
    return Incomplete(
        f"a checkpoint without its graph, of no architecture that is known: {resembled}",
        where=where,
        remedy=GRAPH_WANTED,
    )
