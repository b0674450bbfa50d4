"""What is said of a source in which nothing can be converted, or nothing that was asked for."""

from collections.abc import Sequence
from typing import Final

from job.content import MEANINGS, Content, Kind
from job.errors import NoInput
from job.nearest import nearest
from job.records import Artifact, LeftAlone
from job.survey import Survey
from job.wording import shown

_OTHERS_MODELS: Final = (Kind.KERAS_ZIP, Kind.TFLITE, Kind.ONNX, Kind.PYTORCH, Kind.HDF5)
"""What may well be the model that a user means, and is none of TF1's."""

_NAME_ANOTHER: Final = "name a prefix or directory with SavedModels, GraphDefs (.pb, .pbtxt) or checkpoints"


class NothingFits(NoInput):
    """There are models, and ``--only`` fits none of them."""


def nothing_found(survey: Survey, only: str, found: Sequence[Artifact], left_alone: Sequence[LeftAlone]) -> NoInput:
    """Return the error of a listing without an artifact, or without one that `only` fits."""
    if found:
        names = sorted(artifact.name for artifact in found)
        close = nearest(only.strip("*"), names, most=5)
        what = f"none of {len(found)} artifacts fits --only '{only}'"
        remedy = f"the closest names are {shown(close)}" if close else f"the names are {shown(names, 3)}"
        return NothingFits(what, where=survey.uri, remedy=remedy)
    if not left_alone:
        return NoInput("the source is empty: 0 objects listed", where=survey.uri, remedy=_NAME_ANOTHER)
    kinds = {one.key: look.kind for one in left_alone if isinstance(look := survey.looks.get(one.key), Content)}
    others = [one for one in left_alone if kinds.get(one.key) in _OTHERS_MODELS]
    example = (others or left_alone)[0]
    what = f"no TF1 model among the {len(left_alone)} objects listed; {example.key}, for one: {example.reason}"
    return NoInput(what, where=survey.uri, remedy=MEANINGS[kinds[example.key]][1] if others else _NAME_ANOTHER)
