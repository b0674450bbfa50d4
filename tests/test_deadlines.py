from dataclasses import replace
from typing import Any

import pytest

from job.deadlines import Deadlines, stage_timeout_s
from job.errors import Poison
from job.records import ArtifactOptions, Format
from job.requests import BenchmarkRequest, ConvertRequest, RaceRequest, SourceRequest, VerifyRequest
from job.settings import Settings

GIB = 2**30
SOURCE = SourceRequest(format=Format.GRAPH_DEF, directory="d", entry="e")
SOME_SIZES = SourceRequest(
    format=Format.GRAPH_DEF, directory="d", entry="e", options=ArtifactOptions(batch_sizes=(1, 2, 3))
)
CONVERT = ConvertRequest(source=SOURCE, saved_model="s")
VERIFY = VerifyRequest(source=SOURCE, saved_model="s", mode="exact", tolerance=1e-5)
QUICK = BenchmarkRequest(source=SOURCE, saved_model="s", effort="quick")
FULL = BenchmarkRequest(source=SOURCE, saved_model="s", effort="full")
RACE = RaceRequest(source=SOURCE, saved_models={"faithful": "s", "folded": "f"}, budget_s=45)
CHOSEN = BenchmarkRequest(source=SOME_SIZES, saved_model="s", effort="full")


@pytest.mark.parametrize(
    ("request_", "signatures", "gib", "seconds"),
    [
        (CONVERT, 1, 0, 600),
        (CONVERT, 5, 2, 720),
        (VERIFY, 1, 0, 600),
        (VERIFY, 3, 1, 600 + 60 + 2 * 300),
        (VERIFY, 0, 0, 600),
        (QUICK, 1, 0, 600 + 60 + (2 + 1) * 6),
        (FULL, 1, 0, 600 + 60 + (9 + 1) * 20),
        (CHOSEN, 1, 0, 600 + 60 + (3 + 1) * 20),
        (replace(CHOSEN, device="gpu"), 1, 0, 600 + 60 + (2 * 3 + 1) * 20),
        (RACE, 1, 1, 60 + 60 + 45),
        (replace(VERIFY, precision="exact"), 3, 1, 90 + 60 + 60),
    ],
)
def test_stage_has_the_time_of_its_kind_and_size(request_: Any, signatures: int, gib: int, seconds: float) -> None:
    """The base is the setting; bytes, signatures and what is measured come on top.

    That is each batch size, on a GPU by both feedings, and the overhead of a call.
    """
    assert Deadlines(Settings(), gib * GIB).timeout_s(request_, signatures) == pytest.approx(seconds, abs=0.1)


def test_setting_is_the_base() -> None:
    """Who sets 2 s gets 2 s, and the artifact's size is counted still."""
    assert Deadlines(Settings(stage_timeout_s=2), 0).timeout_s(CONVERT, 1) == 2
    assert stage_timeout_s(Settings(stage_timeout_s=2), GIB) == 62


def test_stages_of_an_artifact_share_its_time() -> None:
    """What one stage has used the next one lacks; with nothing left none is begun."""
    now = [1000.0]
    deadlines = Deadlines(Settings(item_timeout_s=700), 0, clock=lambda: now[0])
    assert deadlines.timeout_s(CONVERT, 1) == 600
    now[0] += 400
    assert deadlines.timeout_s(CONVERT, 1) == 300
    now[0] += 300
    with pytest.raises(Poison, match=r"took more than 700 s together and were stopped; raise --item-timeout-s"):
        deadlines.timeout_s(CONVERT, 1)


def test_time_waited_for_the_download_does_not_count() -> None:
    """The clock begins with the first stage: transfers have bounds of their own."""
    now = [1000.0]
    deadlines = Deadlines(Settings(item_timeout_s=700), 0, clock=lambda: now[0])
    now[0] += 5000
    assert deadlines.timeout_s(CONVERT, 1) == 600
