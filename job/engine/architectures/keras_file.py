"""The Keras 3 model of a checkpoint whose architecture is known: written, and proven by what the baseline answered."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import keras
from numpy.typing import NDArray

from job.engine import runtime
from job.engine.architectures import reading
from job.engine.architectures.catalogue import Catalogue
from job.engine.architectures.keras import KerasLayers
from job.engine.assembling import read_source
from job.engine.keras.proving import KERAS_ERRORS, NotHeld, array_of, prove, quietly, reason_of, signature_of
from job.engine.source_graph import SourceGraph
from job.engine.state.checkpoint import read_values
from job.records import KerasResult
from job.requests import KerasRequest

Array = NDArray[Any]

OTHERS: Final = "inputs or outputs were chosen that are not those of the architecture"


class _Values(Mapping[str, Array]):
    """The variables' values by name, each read when it is asked for: the model holds them, and that is enough."""

    def __init__(self, source: SourceGraph) -> None:
        self._checkpoint, self._variables = source.checkpoint, {one.name: one for one in source.variables}

    def __getitem__(self, name: str) -> Array:
        (value,) = read_values(self._checkpoint, (self._variables[name],))
        return value

    def __iter__(self) -> Iterator[str]:
        return iter(self._variables)

    def __len__(self) -> int:
        return len(self._variables)


def write(request: KerasRequest) -> KerasResult:
    """Build the model and save it to ``request.file``, with the values that the conversion took, averages or not."""
    runtime.configure("exact", "cpu")
    source = read_source(request.source)
    try:
        with quietly():
            _model(request, source).save(request.file)
    except (*KERAS_ERRORS, NotHeld) as error:
        return KerasResult(reason=reason_of(error))
    return KerasResult()


def verify(request: KerasRequest) -> KerasResult:
    """Load the file and compare it with what the baseline answered."""
    runtime.configure("exact", "cpu")
    source = read_source(request.source)
    outputs = [spec.key for spec in signature_of(source).outputs]
    return prove(request, source, lambda model, feeds: _answers(model, feeds, outputs))


def _model(request: KerasRequest, source: SourceGraph) -> keras.Model:
    """Build the model; raises `NotHeld` where the signature is not the architecture's own."""
    inventory = reading.inventory_of(source.checkpoint, Path(request.source.directory, request.source.entry).parent)
    proposal = reading.recognise(inventory, request.source.entry, request.source.options.architecture)
    names = [variable.name for variable in source.variables]
    if set(names) != set(inventory.weights) - proposal.unread:
        raise NotHeld(OTHERS)
    catalogue = Catalogue(naming=proposal.naming(), stored=inventory.weights)
    layers = KerasLayers(catalogue, _Values(source), momentum=proposal.momentum)
    outputs = proposal.build(layers)
    signature = signature_of(source)
    told = [{spec.key for spec in specs} for specs in (signature.inputs, signature.outputs)]
    if told != [set(layers.inputs), set(outputs)]:
        raise NotHeld(OTHERS)
    return layers.model(outputs, proposal.scheme)


def _answers(model: keras.Model, feeds: Mapping[str, Array], outputs: list[str]) -> dict[str, Array]:
    """Call the model; what is single is no dictionary to it."""
    said = model(dict(feeds) if len(feeds) > 1 else next(iter(feeds.values())), training=False)
    by_key = said if isinstance(said, dict) else {outputs[0]: said}
    return {key: array_of(by_key[key]) for key in outputs}
