from typing import Literal

import pytest

from job.errors import UsageError
from job.settings import Settings, kind_of, knobs, misspelt, shard_from

KINDS = {knob.name: kind_of(knob) for knob in knobs()}


def test_every_knob_says_what_it_does_and_its_default_is_allowed() -> None:
    """Help shows the description, and a default below its own minimum would be refused on its way in."""
    for knob in knobs():
        assert knob.metadata["description"].endswith(".")
        minimum = knob.metadata["minimum"]
        assert minimum is None or knob.default is None or knob.default >= minimum


def test_a_default_is_what_the_command_line_makes_of_it() -> None:
    """A plan is a digest of settings: 90 and 90.0 would be two plans, one by default and one by saying so."""
    floats = [knob for knob in knobs() if kind_of(knob) is float]
    assert [knob.name for knob in floats if type(knob.default) is not float and knob.default is not None] == []


def test_kinds_are_plain() -> None:
    """What may be absent is to a command line what it is when present; choices stay choices."""
    assert KINDS["shard_index"] is int
    assert KINDS["tolerance"] is float
    assert KINDS["allow_nonfinite"] is bool
    assert KINDS["device"] == Literal["auto", "cpu", "gpu"]


@pytest.mark.parametrize(
    ("environment", "shard"),
    [
        ({}, (0, 1)),
        ({"JOB_COMPLETION_INDEX": "3", "JOB_SHARD_COUNT": "5"}, (3, 5)),
        ({"AWS_BATCH_JOB_ARRAY_INDEX": "0", "AWS_BATCH_JOB_ARRAY_SIZE": "2"}, (0, 2)),
        ({"BATCH_TASK_INDEX": "7", "BATCH_TASK_COUNT": "8"}, (7, 8)),
        ({"BATCH_TASK_INDEX": "1", "JOB_COMPLETION_INDEX": "1", "JOB_SHARD_COUNT": "2"}, (1, 2)),
        ({"JOB_COMPLETION_INDEX": "", "JOB_SHARD_COUNT": ""}, (0, 1)),
    ],
)
def test_share_is_what_the_batch_engine_says(environment: dict[str, str], shard: tuple[int, int]) -> None:
    """Kubernetes, AWS Batch and GCP Batch each name index and count in their own variables."""
    assert shard_from(Settings(), environment) == shard


def test_settings_come_before_the_batch_engine() -> None:
    """What a user says on the command line holds."""
    assert shard_from(Settings(shard_index=1, shard_count=2), {"BATCH_TASK_INDEX": "7", "BATCH_TASK_COUNT": "8"}) == (
        1,
        2,
    )


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"JOB_COMPLETION_INDEX": "1", "BATCH_TASK_INDEX": "2"}, ("JOB_COMPLETION_INDEX=1", "BATCH_TASK_INDEX=2")),
        ({"JOB_COMPLETION_INDEX": "1"}, ("index 1", "JOB_SHARD_COUNT")),
        ({"JOB_SHARD_COUNT": "4"}, ("4 shards", "--shard-index")),
        ({"JOB_COMPLETION_INDEX": "one", "JOB_SHARD_COUNT": "2"}, ("JOB_COMPLETION_INDEX=one",)),
        ({"JOB_COMPLETION_INDEX": "-1", "JOB_SHARD_COUNT": "2"}, ("JOB_COMPLETION_INDEX=-1",)),
        ({"JOB_SHARD_COUNT": "0"}, ("JOB_SHARD_COUNT=0",)),
        ({"JOB_COMPLETION_INDEX": "²", "JOB_SHARD_COUNT": "2"}, ("JOB_COMPLETION_INDEX=²",)),
    ],
)
def test_contradictions_are_told_with_their_variables(environment: dict[str, str], said: tuple[str, ...]) -> None:
    """Taking the wrong share loses artifacts without a word: what does not fit together ends with code 2."""
    with pytest.raises(UsageError) as caught:
        shard_from(Settings(), environment)
    assert all(part in str(caught.value) for part in said)


def test_misspelt_variable_is_found_and_others_are_left_alone() -> None:
    """A variable that sets nothing looks as if it did; those of others that begin alike are none of our business."""
    environment = dict.fromkeys(("JOB_DEVCIE", "JOB_SEED", "JOB_COMPLETION_INDEX", "JOB_SERVICE_HOST", "PATH"), "x")
    assert misspelt(environment) == {"JOB_DEVCIE": "JOB_DEVICE"}
