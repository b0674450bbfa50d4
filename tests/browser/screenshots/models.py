"""Models for the pictures: a ResNet-50 of full size, and goldens by names that an owner might have given them."""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from tests.jobs import GOLDENS, ROOT

SHOWN: Final = "vision/resnet50"
"""The model whose report is in the pictures."""

_MODELS: Final = {
    "keep_prob_checkpoint": "ranking/clicks",
    "vocabulary_saved_model/saved_model": "text/topics",
    "truncated_frozen/frozen.pb": "uploads/cut_off.pb",
    "py_func_frozen/frozen.pb": "uploads/detector.pb",
}


def lay_out(folder: Path) -> None:
    """Put the models into a folder, each below its name; one is written anew, the others are copied."""
    with tempfile.TemporaryDirectory(prefix="tf1lift-example-") as written:
        subprocess.run([sys.executable, ROOT / "scripts" / "make-example", "--out", written], check=True)
        shutil.copytree(Path(written, "resnet50_saved_model"), folder / SHOWN)
    for golden, name in _MODELS.items():
        source, place = GOLDENS / golden, folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, place, ignore=shutil.ignore_patterns("case.json", "*.npz"))
        else:
            shutil.copyfile(source, place)
