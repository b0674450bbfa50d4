"""A whole run within this process, with the stages of `tests.stages` in place of TensorFlow."""

import functools
import os
from pathlib import Path
from typing import Any

import pytest

from job import inspecting, running
from job.running import run
from job.settings import Settings
from job.summary import RunSummary
from job.workers import Forkserver
from tests.sources import GRAPH_DEF


def use_fake_stages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let runs of this process have stages for which an artifact's name says what befalls it."""
    forkserver = functools.partial(Forkserver, stages="tests.stages")
    monkeypatch.setattr(running, "Forkserver", forkserver)
    monkeypatch.setattr(inspecting, "Forkserver", forkserver)


def put(directory: Path, *names: str, data: bytes = GRAPH_DEF) -> None:
    """Write one file for each name, a frozen GraphDef unless it is told otherwise."""
    for name in names:
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_bytes(data)


def run_here(tmp_path: Path, environment: dict[str, str] | None = None, **chosen: Any) -> RunSummary:
    """Run over ``in`` to ``out``."""
    plain = {
        "source": str(tmp_path / "in"),
        "dest": str(tmp_path / "out"),
        "benchmark": "off",
        "sandbox": "best-effort",
    }
    return run(Settings(**plain | chosen), {"PATH": os.environ["PATH"]} | (environment or {}))


def ends(summary: RunSummary) -> dict[str, object]:
    """Return what became of each artifact: its status, or its code."""
    return {
        report.artifact.name: report.error.exit_code if report.error else report.status for report in summary.reports
    }
