import shutil
from pathlib import Path
from typing import Any

import pytest

from job.discovery import discover
from job.errors import JobError
from job.records import ConvertResult, ErrorRecord
from job.requests import ConvertRequest, SourceRequest, VerifyRequest
from job.results import ParityResult
from job.storage import open_source
from job.workers import Forkserver

MODELS = Path(__file__).parent.parent.parent.parent / "shared" / "models"
EVERY_OPGRAPH = 40
"""Of the many graphs of single operators one in so many is taken."""
TIMEOUT_S = 120


def models() -> list[Any]:
    """Return the directories of other people's models as parameters; a skipped one where they are absent."""
    if not MODELS.is_dir():
        return [pytest.param(MODELS, marks=pytest.mark.skip(reason="no models beside the repository"), id="absent")]
    opgraphs = sorted((MODELS / "opgraphs").iterdir())[::EVERY_OPGRAPH]
    whole = [path for path in sorted(MODELS.glob("*/*")) if path.is_dir() and path.parent.name != "opgraphs"]
    return [pytest.param(path, id=f"{path.parent.name}-{path.name}") for path in (*whole, *opgraphs)]


@pytest.mark.slow
@pytest.mark.parametrize("model", models())
def test_inspect_gives_the_reason_for_which_a_conversion_fails(
    forkserver: Forkserver, model: Path, tmp_path: Path
) -> None:
    """What a conversion and its verification end with, `inspect` has said before, in the same words."""
    copy = str(shutil.copytree(model, tmp_path / "source"))  # readers may write beside what they read
    for number, artifact in enumerate(discover(open_source(copy), only="*").artifacts):
        if artifact.problem is None:
            source = SourceRequest(format=artifact.format, directory=copy, entry=artifact.entry)
            foreseen, _ = forkserver.run("inspect", source, ConvertResult, timeout_s=TIMEOUT_S)
            assert end_of(forkserver, source, tmp_path / str(number)) == foreseen.error


def end_of(forkserver: Forkserver, source: SourceRequest, place: Path) -> ErrorRecord | None:
    """Convert and verify, and return the error that this ends with; answers that differ are none."""
    request = ConvertRequest(source=source, saved_model=str(place))
    converted, _ = forkserver.run("convert", request, ConvertResult, timeout_s=TIMEOUT_S)
    if converted.error is not None:
        return converted.error
    verified = VerifyRequest(source=source, saved_model=str(place), mode="exact", tolerance=1e-5)
    try:
        forkserver.run("verify", verified, ParityResult, timeout_s=TIMEOUT_S)
    except JobError as error:
        return error.to_record()
    return None
