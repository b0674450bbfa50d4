"""A Keras HDF5 file: a whole model, or weights with the configuration that ``to_json`` wrote beside them."""

import importlib
from pathlib import Path

from job.engine.formats.base import LoadedMetaGraph
from job.requests import SourceRequest


def read(request: SourceRequest) -> LoadedMetaGraph:
    """Build the model's graph as TensorFlow 1 would have, with its weights as a checkpoint in memory.

    Raises `BadInput` or `Refused` as `job.engine.keras.reading.read` does.
    """
    reading = importlib.import_module("job.engine.keras.reading")  # Keras is imported for those who need it
    loaded: LoadedMetaGraph = reading.read(Path(request.directory, request.entry), request.options)
    return loaded
