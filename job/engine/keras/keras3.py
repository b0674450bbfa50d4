"""The same model for Keras 3, where that has layers that compute the same; weights by layer and name."""

import copy
import inspect
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import keras
from keras.src.legacy.saving import saving_utils
from numpy.typing import NDArray

from job.engine import runtime
from job.engine.assembling import read_source
from job.engine.keras.building import KerasGraph, numbered
from job.engine.keras.hdf5 import Json, opened
from job.engine.keras.proving import KERAS_ERRORS, NotHeld, array_of, prove, quietly, reason_of, signature_of
from job.engine.keras.reading import completed
from job.records import KerasResult
from job.requests import KerasRequest

Array = NDArray[Any]

REDEFINED: Final = {"hard_sigmoid": "Keras 3 gave hard_sigmoid another slope"}
"""Functions that have the old name and compute something else."""

OF_EVERY_LAYER: Final = ("name", "trainable", "dtype")


def write(request: KerasRequest) -> KerasResult:
    """Build the model for Keras 3, give it the weights and save it to ``request.file``."""
    runtime.configure("exact", "cpu")
    path = Path(request.source.directory, request.source.entry)
    with opened(path) as found, quietly():
        stored = completed(path, found, request.source.options)
        built = KerasGraph(copy.deepcopy(stored.config), stored, path.name)
        if built.keeps_state:
            return KerasResult(reason="a stateful layer keeps its state in another way in Keras 3")
        try:
            model = saving_utils.model_from_config(_todays(stored.config))
            _fill(model, built.model, {id(weight): array for weight, array in built.pairs})
            model.save(request.file)
        except (*KERAS_ERRORS, NotHeld) as error:
            return KerasResult(reason=reason_of(error))
    return KerasResult()


def verify(request: KerasRequest) -> KerasResult:
    """Load the file and compare it with what the baseline answered."""
    runtime.configure("exact", "cpu")
    path = Path(request.source.directory, request.source.entry)
    with opened(path) as stored:
        config = completed(path, stored, request.source.options).config
    source = read_source(request.source)
    first = signature_of(source).outputs[0].key
    return prove(request, source, lambda model, feeds: _answers(model, config, feeds, first))


def _answers(model: Any, config: Json, fed: Mapping[str, Array], first: str) -> dict[str, Array]:
    """Return the outputs by key, where Keras keeps the model's own order; a Sequential's only one is `first`."""
    inputs, outputs = _names(config, "input_layers"), _names(config, "output_layers")
    feeds = [fed[name] for name in inputs] if inputs else list(fed.values())
    results = model(feeds[0] if len(feeds) == 1 else feeds, training=False)
    arrays = [array_of(result) for result in (results if isinstance(results, list | tuple) else [results])]
    return dict(zip(numbered(outputs), arrays, strict=True)) if outputs else {first: arrays[0]}


def _names(config: Json, which: str) -> list[str]:
    """Return the layers where a functional model begins or ends; a single one may be written without a list."""
    ends = config["config"].get(which, []) if isinstance(config["config"], dict) else []
    return [ends[0]] if ends and isinstance(ends[0], str) else [end[0] for end in ends]


def _todays(described: Json) -> Json:
    """Return a layer's or model's description in the words of Keras 3; raises `NotHeld` for what it has no word for."""
    kind, config = described["class_name"], described["config"]
    if kind == "Sequential":
        named: Json = {"name": None, "layers": config} if isinstance(config, list) else config
        return described | {"config": {"name": named["name"], "layers": _beginning(named["layers"])}}
    if kind == "Functional":
        return described | {"config": config | {"layers": _called(config["layers"])}}
    if kind == "InputLayer":
        return _input(config["name"], config)
    kind, config = _renamed(kind, config)
    if not hasattr(keras.layers, kind):
        raise NotHeld(f"Keras 3 has no layer {kind} ({config.get('name')})")
    for value in (config.get("activation"), config.get("recurrent_activation")):
        if isinstance(value, str) and value in REDEFINED:
            raise NotHeld(f"{REDEFINED[value]} ({config.get('name')})")
    known = {*inspect.signature(getattr(keras.layers, kind)).parameters, *OF_EVERY_LAYER}
    kept = {key: _inner(value) for key, value in config.items() if key in known}
    return described | {"class_name": kind, "config": kept}


def _renamed(kind: str, config: Json) -> tuple[str, Json]:
    """Return a layer's class and arguments as Keras 3 calls them."""
    if kind == "ThresholdedReLU":
        return "ReLU", config | {"threshold": config["theta"]}
    if kind == "LeakyReLU" and "alpha" in config:
        return kind, config | {"negative_slope": config["alpha"]}
    return kind, config | ({"reset_after": config.get("reset_after", False)} if kind == "GRU" else {})


def _beginning(layers: Sequence[Json]) -> list[Json]:
    """Put the input's shape, which the first layer of a Sequential says, before it."""
    first = layers[0]["config"] if layers and isinstance(layers[0]["config"], dict) else {}
    told = "batch_input_shape" in first and layers[0]["class_name"] != "InputLayer"
    return [*([_input(f"{first['name']}_input", first)] if told else []), *(_todays(one) for one in layers)]


def _input(name: str, config: Json) -> Json:
    said = {"name": name, "batch_shape": config["batch_input_shape"], "dtype": config.get("dtype") or "float32"}
    return {"class_name": "InputLayer", "name": name, "config": said}


def _called(layers: Sequence[Json]) -> list[Json]:
    """Number the calls of a nested Sequential from 0: Keras 3 does not count its making, as it does a Functional's."""
    sequential = {layer["name"] for layer in layers if layer["class_name"] == "Sequential"}

    def counted(value: Any) -> Any:
        if isinstance(value, list) and len(value) >= 3 and value[0] in sequential and isinstance(value[1], int):
            return [value[0], max(value[1] - 1, 0), *value[2:]]
        return [counted(one) for one in value] if isinstance(value, list) else value

    return [
        _todays(layer) | {"name": layer["name"], "inbound_nodes": counted(layer.get("inbound_nodes", []))}
        for layer in layers
    ]


def _inner(value: Any) -> Any:
    """Translate what a layer wraps: a layer, a cell, cells."""
    if isinstance(value, list):
        return [_inner(one) for one in value]
    return _todays(value) if isinstance(value, dict) and {"class_name", "config"} <= value.keys() else value


def _fill(model: Any, original: Any, values: Mapping[int, Array]) -> None:
    """Give every layer the weights of the layer of its name; raises `NotHeld` where it has others."""
    theirs, ours = dict(_leaves(model)), dict(_leaves(original))
    if theirs.keys() != ours.keys():
        raise NotHeld(
            f"its layers are others: {', '.join(sorted('/'.join(path) for path in theirs.keys() ^ ours.keys())[:3])}"
        )
    for path, layer in theirs.items():
        held, weights = _weights(layer), _weights(ours[path])
        if [(_last(one.name), tuple(one.shape)) for one in held] != [
            (_last(one.name), tuple(one.shape)) for one in weights
        ]:
            raise NotHeld(f"layer {path[-1]} has other weights in Keras 3")
        for variable, weight in zip(held, weights, strict=True):
            variable.assign(values[id(weight)])


def _leaves(model: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield the layers that have weights, by their place in nested models, whose own names may be made up."""
    models = 0
    for layer in model.layers:
        if hasattr(layer, "layers"):
            models += 1
            yield from _leaves(layer, (*path, f"model {models}"))
        elif layer.weights:
            yield (*path, layer.name), layer


def _weights(layer: Any) -> list[Any]:
    """Return what counts as a model's weights; Keras 3 counts the seeds of dropout, too."""
    weights = [*layer.trainable_weights, *layer.non_trainable_weights]
    return [one for one in weights if "seed" not in _last(one.name)]


def _last(name: str) -> str:
    """Return what a weight is to its layer; Keras 3 calls the kernel of a depthwise convolution just that."""
    return name.split(":", maxsplit=1)[0].rsplit("/", 1)[-1].removeprefix("depthwise_")
