"""TensorFlow for the tests of the engine: without oneDNN, Grappler and a GPU, as an exact worker has it."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

ONEDNN = "TF_ENABLE_ONEDNN_OPTS"

_before = os.environ.get(ONEDNN)
os.environ[ONEDNN] = "0"  # decided while TensorFlow is imported; a worker that another test starts decides for itself
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import tensorflow as tf  # noqa: E402, F401 - here, and nowhere before

if _before is None:
    del os.environ[ONEDNN]
else:
    os.environ[ONEDNN] = _before

from job.engine import runtime  # noqa: E402 - it imports TensorFlow
from job.requests import SourceRequest  # noqa: E402 - after TensorFlow, with the rest
from job.workers import Forkserver  # noqa: E402 - as before
from tests.engine.models import Build, Saver, save_checkpoint, v1_graph  # noqa: E402 - it imports TensorFlow


@pytest.fixture(autouse=True, scope="session")
def _exact() -> None:
    """Set TensorFlow up as an exact worker does."""
    runtime.configure("exact", "cpu", seed=0)


@pytest.fixture(scope="session")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a directory for models that tests convert."""
    return tmp_path_factory.mktemp("converted")


@pytest.fixture(scope="session")
def forkserver(scratch: Path) -> Iterator[Forkserver]:
    """Start the real stages, each in a process of its own."""
    with Forkserver("exact", scratch, os.environ) as forkserver:
        yield forkserver


@pytest.fixture
def saved(tmp_path: Path) -> Saver:
    """Build a TF1 graph by a function, initialise it and save it as MetaGraph with checkpoint."""

    def save(build: Build) -> SourceRequest:
        with v1_graph() as graph:
            build()
            return save_checkpoint(graph, tmp_path / "source")

    return save
