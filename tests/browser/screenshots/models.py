"""Models for the pictures: goldens that TensorFlow 1.15.5 wrote, by names that an owner might have given them."""

import shutil
from pathlib import Path
from typing import Final

from tests.jobs import GOLDENS

SHOWN: Final = "vision/resnet50_narrow"
"""The model whose report is in the pictures: the largest of the goldens here, and a small one still."""

MODELS: Final = {
    "resnet50_saved_model/saved_model": SHOWN,
    "keep_prob_checkpoint": "ranking/clicks",
    "vocabulary_saved_model/saved_model": "text/topics",
    "truncated_frozen/frozen.pb": "uploads/cut_off.pb",
    "py_func_frozen/frozen.pb": "uploads/detector.pb",
}
"""By its place in the goldens: where a model lies in the source of the run that is shown."""


def lay_out(folder: Path) -> None:
    """Copy the models into a folder, each below its name."""
    for golden, name in MODELS.items():
        source, place = GOLDENS / golden, folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, place, ignore=shutil.ignore_patterns("case.json", "*.npz"))
        else:
            shutil.copyfile(source, place)
