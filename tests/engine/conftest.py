"""What the tests of the engine share; TensorFlow without Grappler and a GPU, as an exact worker has it."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from job.engine import runtime
from job.requests import SourceRequest
from job.workers import Forkserver
from tests.engine.models import Build, Saver, save_checkpoint, v1_graph


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
