import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

GOLDENS = Path(__file__).parent / "goldens"
CASES = sorted(GOLDENS.glob("*/case.json"))


def read(path: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(path.read_text())
    return document


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.parent.name)
def test_artifact_is_whole(path: Path) -> None:
    """A checkout holds exactly the files that TensorFlow 1 wrote, byte for byte as long."""
    found = {
        str(file.relative_to(path.parent)): file.stat().st_size
        for file in path.parent.rglob("*")
        if file.is_file() and file != path
    }
    assert found == read(path)["files"]


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.parent.name)
def test_recorded_answers_are_as_described(path: Path) -> None:
    """Each value that a call feeds or fetches is recorded, finite, with the dtype and shape that the case states."""
    case = read(path)
    assert bool(case["calls"]) == (case["expect"] == "load")
    for tensor in (spec for call in case["calls"] for side in ("feeds", "fetches") for spec in call[side].values()):
        value = np.load(path.parent / "golden.npz")[tensor["npz"]]
        assert list(value.shape) == tensor["shape"]
        assert tensor["dtype"] == ("string" if value.dtype.kind == "S" else value.dtype.name)
        assert value.dtype.kind == "S" or np.isfinite(value).all()


def test_goldens_stay_small() -> None:
    """All goldens together take less than 8 MB of every clone."""
    assert CASES
    assert sum(file.stat().st_size for case in CASES for file in case.parent.rglob("*")) < 8_000_000
