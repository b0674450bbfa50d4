"""A Keras HDF5 file: checked before anything in it is used, and read without following anything out of it."""

import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import h5py
import numpy as np
from numpy.typing import NDArray

from job.engine.scanning.sizes import check_claim
from job.errors import BadInput, Refused

Json = dict[str, Any]

MAX_OBJECTS: Final = 1_000_000
"""Groups and datasets; a model has some thousands."""

FILTERS: Final = {1: "deflate", 2: "shuffle", 3: "fletcher32", 4: "szip", 5: "nbit", 6: "scaleoffset", 32000: "lzf"}
"""What HDF5 and h5py bring along to compress with; for any other one HDF5 would look for a library to load."""

DAMAGED: Final = "copy it again from where it was made"
OUTSIDE: Final = "save the model again, its weights in the file itself"


@dataclass(frozen=True, kw_only=True)
class StoredModel:
    """What a file says of a model: its configuration (empty in a file of weights alone) and its weights by layer.

    `keras_version` and `backend` are empty where the file names none, as files of Keras 1 did.
    """

    config: Json
    keras_version: str
    backend: str
    layers: dict[str, dict[str, "h5py.Dataset"]]


@contextmanager
def opened(path: Path) -> Iterator[StoredModel]:
    """Open and check a file; its weights can be read while it is open.

    Raises `Refused` for links and data outside the file and for bombs, `BadInput` for what is damaged
    or holds no Keras weights.
    """
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise BadInput(f"the HDF5 file cannot be opened: {error}", where=path.name, remedy=DAMAGED) from error
    with file:
        try:
            _check(file, path.name)
            stored = _stored(file, path.name)
        except (OSError, KeyError, RuntimeError, TypeError, ValueError) as error:
            raise BadInput(f"the HDF5 file is damaged: {error}", where=path.name, remedy=DAMAGED) from error
        yield stored


def read(dataset: "h5py.Dataset") -> NDArray[Any]:
    """Return one weight's values; raises `BadInput` where they cannot be read."""
    try:
        return np.asarray(dataset)
    except OSError as error:
        raise BadInput(f"the values of {dataset.name} cannot be read: {error}", remedy=DAMAGED) from error


def parsed(text: str | bytes, where: str) -> Json:
    """Return a model's configuration from its JSON; raises `BadInput` for what is none."""
    try:
        config = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadInput(f"the model's configuration is no JSON: {error}", where=where, remedy=DAMAGED) from error
    if not isinstance(config, dict) or not {"class_name", "config"} <= config.keys():
        raise BadInput("the configuration describes no Keras model", where=where, remedy="save it by model.to_json()")
    return config


def _check(file: "h5py.File", where: str) -> None:
    """Look at every object once: hard links may form rings."""
    seen, queue = set[int](), [file["/"]]
    while queue:
        group = queue.pop()
        for name in group:
            link = group.get(name, getlink=True)
            if isinstance(link, h5py.SoftLink | h5py.ExternalLink):
                raise Refused(f"{group.name}/{name} is a link to {link.path!r}", where=where, remedy=OUTSIDE)
            one = group[name]
            address = h5py.h5o.get_info(one.id).addr
            if address not in seen and isinstance(one, h5py.Dataset):
                _check_dataset(one, where)
            elif address not in seen and isinstance(one, h5py.Group):
                queue.append(one)
            seen.add(address)
            if len(seen) > MAX_OBJECTS:
                raise Refused(f"the file holds more than {MAX_OBJECTS} objects", where=where, remedy=DAMAGED)


def _check_dataset(dataset: "h5py.Dataset", where: str) -> None:
    if dataset.is_virtual or dataset.external:
        raise Refused(f"the values of {dataset.name} lie in another file", where=where, remedy=OUTSIDE)
    made = dataset.id.get_create_plist()
    foreign = [number for at in range(made.get_nfilters()) if (number := made.get_filter(at)[0]) not in FILTERS]
    if foreign:
        what = f"the values of {dataset.name} need a library, HDF5's filter {foreign[0]}"
        raise Refused(what, where=where, remedy="no library is loaded for a model; save it again without compression")
    declared, stored = (dataset.size or 0) * dataset.dtype.itemsize, dataset.id.get_storage_size()
    check_claim(declared, stored, dataset.name, where)
    check_claim(
        math.prod(dataset.chunks or ()) * dataset.dtype.itemsize, stored, f"each piece of {dataset.name}", where
    )
    if stored < declared and not made.get_nfilters():
        raise BadInput(
            f"{dataset.name} holds {stored} of its {declared} bytes: it was never written", where=where, remedy=DAMAGED
        )


def _stored(file: "h5py.File", where: str) -> StoredModel:
    weights = file.get("model_weights", file)
    if not isinstance(weights, h5py.Group) or not _names_under(weights, "layer_names"):
        raise BadInput("the HDF5 file holds no Keras weights", where=where, remedy="save the model by model.save()")
    written = {**_attributes(file), **_attributes(weights)}
    return StoredModel(
        config=parsed(written["model_config"], where) if "model_config" in written else {},
        keras_version=written.get("keras_version", ""),
        backend=written.get("backend", ""),
        layers={name: _weights(weights, name, where) for name in _names(weights, "layer_names")},
    )


def _attributes(group: "h5py.Group") -> dict[str, str]:
    """Return the attributes that describe a model; Keras 1 wrote bytes, h5py 3 reads text."""
    wanted = [name for name in ("model_config", "keras_version", "backend") if name in group.attrs]
    return {name: _text(group.attrs[name]) for name in wanted}


def _weights(weights: "h5py.Group", layer: str, where: str) -> dict[str, "h5py.Dataset"]:
    group = weights[layer]
    found = {name: group[name] for name in _names(group, "weight_names")}
    for name, dataset in found.items():
        if not isinstance(dataset, h5py.Dataset) or dataset.dtype.kind not in "fiub":
            raise BadInput(f"{layer}/{name} is no array of numbers", where=where, remedy=DAMAGED)
    return found


def _names_under(group: "h5py.Group", attribute: str) -> bool:
    return attribute in group.attrs or f"{attribute}0" in group.attrs


def _names(group: "h5py.Group", attribute: str) -> list[str]:
    """Return a list of names, which Keras spreads over several attributes where it is longer than 64 kB."""
    if attribute in group.attrs:
        return [_text(name) for name in group.attrs[attribute]]
    names, part = list[str](), 0
    while f"{attribute}{part}" in group.attrs:
        names += [_text(name) for name in group.attrs[f"{attribute}{part}"]]
        part += 1
    return names


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
