"""Keras HDF5 files for tests: the goldens, copied, and small ones written by h5py as Keras would."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from job.records import ArtifactOptions, Format
from job.requests import SourceRequest

GOLDENS = Path(__file__).parent.parent.parent / "goldens" / "keras"

Json = dict[str, Any]
Weights = Mapping[str, Mapping[str, Any]]

DENSE: Weights = {"dense": {"dense/kernel:0": np.ones([3, 2], "f4"), "dense/bias:0": np.zeros([2], "f4")}}


def dense(**config: Any) -> Json:
    """Describe a layer from three numbers to two."""
    said = {"name": "dense", "units": 2, "batch_input_shape": [None, 3], "activation": "relu"}
    return {"class_name": "Dense", "config": said | config}


def sequential(*layers: Json) -> Json:
    """Describe a model."""
    return {"class_name": "Sequential", "config": {"name": "model", "layers": list(layers)}}


def write(folder: Path, config: Json | None, weights: Weights = DENSE, **attributes: str) -> SourceRequest:
    """Write a file; one of weights alone where there is no configuration."""
    with h5py.File(folder / "model.h5", "w") as file:
        group = file.create_group("model_weights") if config else file
        if config:
            file.attrs["model_config"] = json.dumps(config).encode()
        group.attrs.update({"layer_names": [name.encode() for name in weights], "keras_version": "2.2.4"} | attributes)
        for layer, arrays in weights.items():
            inner = group.create_group(layer)
            inner.attrs["weight_names"] = [name.encode() for name in arrays]
            for name, array in arrays.items():
                inner[name] = array
    return request(folder)


def request(folder: Path, **options: Any) -> SourceRequest:
    """Ask for the file in a folder."""
    return SourceRequest(
        format=Format.KERAS_H5, directory=str(folder), entry="model.h5", options=ArtifactOptions(**options)
    )


def golden(path: Path, folder: Path) -> SourceRequest:
    """Copy a golden's file: what is read of it is written beside it."""
    shutil.copy(path, folder / "model.h5")
    return request(folder)
