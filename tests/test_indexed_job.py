"""The real manifest and the real image: an Indexed Job of eight indexes, one of which holds a poisoned artifact."""

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from tests.indexed_job import INDEXES, MODELS, POISON, Index, decide, ends_by_index, rehearse
from tests.jobs import ROOT

IMAGE = os.environ.get("TF1LIFT_TEST_IMAGE", "")
DRAINED = 3

in_containers = [
    pytest.mark.slow,
    pytest.mark.skipif(not IMAGE, reason="TF1LIFT_TEST_IMAGE names no image; scripts/test-image builds one"),
    pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not here to render the manifest"),
]


@dataclass(frozen=True, kw_only=True)
class Ended:
    """The indexes, and what each said of its artifacts."""

    indexes: list[Index]
    told: Mapping[int, Mapping[str, object]]
    out: Path


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> Ended:
    """The whole Job, one of whose pods is drained at its work."""
    home = tmp_path_factory.mktemp("cluster")
    indexes = rehearse(IMAGE, home, DRAINED)
    return Ended(indexes=indexes, told=ends_by_index(home / "data/out"), out=home / "data/out")


@pytest.mark.parametrize(
    ("code", "is_drained", "action"),
    [
        (2, False, "FailJob"),
        (43, False, "FailJob"),
        (47, False, "FailIndex"),
        (75, False, "Count"),
        (75, True, "Ignore"),
        (143, True, "Ignore"),
        (137, False, "Count"),
    ],
)
def test_rules_are_tried_in_their_order(code: int, action: str, *, is_drained: bool) -> None:
    """As the Job controller does: a drained pod is ignored before its exit code is looked at."""
    job = yaml.safe_load((ROOT / "k8s/base/job.yaml").read_text())
    assert decide(job, code, is_drained=is_drained) == action


class TestIndexedJob:
    """What Kubernetes would report of the Job."""

    pytestmark = in_containers

    def test_the_poisoned_index_alone_fails(self, ended: Ended) -> None:
        """Its only pod ends with 47, which is not tried again; the seven others succeed."""
        (failed,) = [one for one in ended.indexes if one.state == "Failed"]
        assert (failed.codes[-1], failed.action) == (47, "FailIndex")
        assert POISON in ended.told[failed.index]
        others = [one for one in ended.indexes if one is not failed]
        assert [one.state for one in others] == ["Succeeded"] * (INDEXES - 1)
        assert all(one.codes[-1] == 0 for one in others)

    def test_the_poisoned_index_publishes_the_rest_of_its_share(self, ended: Ended) -> None:
        """Every artifact but the poisoned one is published, once, whichever index it is in."""
        ends = {name: end for told in ended.told.values() for name, end in told.items()}
        assert ends.pop(POISON) == 47
        assert len(ends) == len(MODELS)
        assert set(ends.values()) <= {"published", "already_published"}
        assert len(list(ended.out.rglob("commit.json"))) == len(MODELS)

    def test_a_drained_pod_is_replaced_and_does_not_count(self, ended: Ended) -> None:
        """It ends with 75 within its grace, by its own doing; the next pod of the index does the rest."""
        one = ended.indexes[DRAINED]
        assert one.codes[0] == 75
        assert one.failures == 0
        assert len(one.codes) == 2
