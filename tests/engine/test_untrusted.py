"""By traps: what a stranger wrote is read, converted and run as TF1 without any loader that would trust it."""

import pickle
import shutil
from pathlib import Path
from typing import Any, NoReturn

import keras
import pytest
import tensorflow as tf
import tf_keras

from job.engine.assembling import read_source
from job.engine.exporting import export
from job.engine.lift import lift
from job.engine.runners import Baseline
from job.records import Format
from job.requests import SourceRequest
from tests.jobs import GOLDENS

v1 = tf.compat.v1
TRAPS = (
    (tf.saved_model, "load"),
    (v1.saved_model, "load"),
    (v1.saved_model.loader, "load"),
    (v1.train, "import_meta_graph"),
    (tf_keras.models, "load_model"),
    (tf_keras.models, "model_from_json"),
    (keras.saving, "load_model"),
    (keras.models, "load_model"),
    (pickle, "load"),
    (pickle, "loads"),
)
SOURCES = {
    Format.SAVED_MODEL: ("vocabulary_saved_model", "**/saved_model.pb", "parent"),
    Format.META_GRAPH: ("while_loop_checkpoint", "**/*.meta", "stem"),
    Format.GRAPH_DEF: ("while_loop_frozen", "**/*.pb", "name"),
    Format.KERAS_H5: ("keras", "**/*.h5", "name"),
}
"""A model of every format, and what of its file's path a request names."""


def request_for(kind: Format, folder: Path) -> SourceRequest:
    """Copy a golden and ask for it."""
    name, pattern, entry = SOURCES[kind]
    file = min((GOLDENS / name).glob(pattern))
    shutil.copytree(file.parent, folder / "model")
    named = "" if entry == "parent" else str(getattr(file, entry))
    return SourceRequest(format=kind, directory=str(folder / "model"), entry=named)


@pytest.mark.parametrize("kind", SOURCES)
def test_no_loader_sees_what_a_stranger_wrote(kind: Format, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Read, lift, export and the baseline do without all loaders of TensorFlow and Keras, and without pickle."""

    def trap(*_: Any, **__: Any) -> NoReturn:
        raise AssertionError("a loader was called with what is not trusted")

    for module, name in TRAPS:
        monkeypatch.setattr(module, name, trap)
    request = request_for(kind, tmp_path)
    source = read_source(request)
    export(lift(source, allow_nonfinite=False), source, str(tmp_path / "out"), scratch=request.directory)
    assert (tmp_path / "out" / "saved_model.pb").exists()
    Baseline(source, "exact").close()
