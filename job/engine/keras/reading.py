"""From a Keras file to a MetaGraph with a checkpoint."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import tensorflow as tf
from numpy.typing import NDArray

from job.engine.formats.base import LoadedMetaGraph
from job.engine.keras.building import KerasGraph
from job.engine.keras.configuration import todays
from job.engine.keras.hdf5 import Json, StoredModel, opened, parsed
from job.errors import BadInput
from job.records import ArtifactOptions, Finding

CHECKPOINT: Final = "ram://keras"
"""Where the weights are put: TensorFlow's files in memory, gone with the process, which reads one source."""


def read(path: Path, options: ArtifactOptions) -> LoadedMetaGraph:
    """Return the model's graph, signature and weights.

    Raises `BadInput` for damaged files, unknown layers and weights that do not fit, `Refused` for code and
    for data outside the file.
    """
    with opened(path) as found:
        stored = completed(path, found, options)
        built = KerasGraph(stored.config, stored, path.name)
        _write(CHECKPOINT, built.values())
    return LoadedMetaGraph(
        meta_graph=built.meta_graph(f"Keras {stored.keras_version}"),
        checkpoint=CHECKPOINT,
        beside=path.parent,
        findings=tuple(_findings(built, stored)),
    )


def completed(path: Path, stored: StoredModel, options: ArtifactOptions) -> StoredModel:
    """Return a stored model whose configuration is in today's words.

    What a file of weights does not say is in the configuration beside it; Keras 1 wrote no version anywhere.
    """
    config = stored.config or _beside(path)
    version = stored.keras_version or str(config.get("keras_version") or "1")
    backend = stored.backend or str(config.get("backend") or "")
    return replace(stored, config=todays(config, version, options), keras_version=version, backend=backend)


def _beside(path: Path) -> Json:
    """Return the configuration that lies beside a file of weights; one of the file's own name comes first."""
    others = sorted(path.parent.glob("*.json"), key=lambda other: (other.stem != path.stem, other.name))
    found = {other: config for other in others if (config := _model_in(other))}
    if not found:
        raise BadInput(
            "the file holds weights without a model",
            where=path.name,
            remedy="put the output of model.to_json() beside it, or save the model by model.save()",
        )
    first = next(iter(found))
    if len(found) > 1 and first.stem != path.stem:
        names = ", ".join(other.name for other in found)
        raise BadInput(f"several models lie beside the weights: {names}", remedy=f"name it {path.stem}.json")
    return found[first]


def _model_in(path: Path) -> Json:
    try:
        return parsed(path.read_bytes(), path.name)
    except BadInput:
        return {}


def _write(checkpoint: str, values: Mapping[str, NDArray[Any]]) -> None:
    names = sorted(values)
    if names:
        tf.raw_ops.SaveV2(
            prefix=checkpoint,
            tensor_names=names,
            shape_and_slices=[""] * len(names),
            tensors=[tf.constant(values[name]) for name in names],
        )


def _findings(built: KerasGraph, stored: StoredModel) -> Iterator[Finding]:
    if built.keeps_state:
        yield Finding(
            code="keras_stateful",
            cause="a recurrent layer is stateful: every call begins where the one before ended, as in Keras",
            remedy="load the SavedModel anew to begin from zero, or save the model with stateful=False",
        )
    if stored.backend == "theano":
        yield Finding(
            code="keras_theano",
            cause="the model was trained with Theano: convolution kernels were turned round for TensorFlow",
            remedy="compare with answers that Theano gave: name `samples` and `goldens` in the manifest",
            severity="warning",
        )
