"""What counts as committed."""

from dataclasses import replace

import pytest

from job import codec
from job.commits import Absent, Damaged, commit_at, examine, find_commit
from job.errors import BadInput, DestinationConflict
from job.records import Commit
from job.storage.base import Storage
from tests.publications import FILES, HOME, NAME, ONE, OTHER_PLAN, PLAN, publish_one
from tests.storage.watched import Watched

pytest_plugins = ["tests.storage.stores"]

OLD_COMMIT = """{
  "artifact": "nets/resnet50",
  "attempt": "111111111111",
  "files": [
    {
      "path": "report.json",
      "sha256": "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a",
      "size_bytes": 2
    }
  ],
  "plan": "%s",
  "verdict": "passed",
  "versions": {
    "tensorflow": "2.21.0",
    "tf1lift": "0.1.0"
  }
}
"""
"""As the first version wrote it."""


def test_a_commit_of_the_first_version_is_read(store: Storage) -> None:
    """What came later has defaults: a destination outlives the version that wrote it."""
    store.replace(f"{HOME}/{ONE}/report.json", FILES["report.json"])
    store.replace(f"{HOME}/commit.json", (OLD_COMMIT % PLAN).encode())
    commit = find_commit(store, NAME, PLAN, repair=True)
    assert isinstance(commit, Commit)
    assert (commit.attempt, commit.sources, commit.parity, commit.allowed_ops) == (ONE, (), (), ())


def test_a_commit_says_what_decided_it(store: Storage) -> None:
    """Sources, the comparison in short, and what the worker was held by."""
    commit = publish_one(store)
    assert commit == commit_at(store, HOME)
    assert (commit.sources[0].key, commit.sandbox) == (NAME, "landlock")
    (parity,) = commit.parity
    assert (parity.verdict, parity.outputs, parity.relative, parity.tolerance) == ("passed", 1, 2e-7, 1e-5)


def test_a_commit_that_may_not_be_read_is_a_conflict(store: Storage) -> None:
    """A permission that the destination lacks is no fault of the artifact's."""

    class Closed(Watched):
        def read(self, *_: object, **__: object) -> bytes:
            raise BadInput("the object may not be read", remedy="allow s3:GetObject there")

    publish_one(store)
    with pytest.raises(DestinationConflict, match=r"may not be read.*commit\.json.*allow s3:GetObject"):
        find_commit(Closed(store), NAME, PLAN)
    assert isinstance(commit_at(Closed(store), HOME), Damaged)


def test_other_bytes_of_the_same_size_are_found_by_reading(store: Storage) -> None:
    """A listing tells sizes; a flipped bit takes a look at every byte."""
    commit = publish_one(store)
    store.replace(f"{HOME}/{ONE}/report.json", b"[]")
    assert examine(store, NAME, PLAN) == commit
    found = examine(store, NAME, PLAN, rehash=True)
    assert isinstance(found, Damaged)
    assert found.what == "published files have other bytes: report.json"


def test_another_plan_s_commit_is_never_repaired(store: Storage) -> None:
    """It is somebody's, and whole: to replace it would lose it."""
    commit = publish_one(store)
    other = PLAN[:12] + OTHER_PLAN[12:]
    with pytest.raises(DestinationConflict, match="of another plan"):
        find_commit(store, NAME, other, repair=True)
    store.replace(f"{HOME}/commit.json", codec.document(replace(commit, plan=other)))
    with pytest.raises(DestinationConflict, match="of another plan"):
        find_commit(store, NAME, PLAN, repair=True)


def test_nothing_is_committed_at_first(store: Storage) -> None:
    """An empty destination has no commit, and says so without an error."""
    assert find_commit(store, NAME, PLAN) == Absent()
