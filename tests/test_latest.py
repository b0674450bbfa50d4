"""Where ``latest.json`` points, whoever writes it and when."""

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from job.errors import Denied, JobError, StorageError
from job.latest import point_latest
from job.records import StoredObject
from job.storage import open_storage
from job.storage.base import Storage
from tests.publications import NAME, ONE, OTHER_PLAN, PLAN, TWO, publish_one
from tests.storage.watched import Watched

pytest_plugins = ["tests.storage.stores"]

POINTER = f"{NAME}/latest.json"


def named(store: Storage) -> str:
    plan: str = json.loads(store.read(POINTER))["plan"]
    return plan


def test_an_attempt_that_began_before_does_not_undo_a_later_one(store: Storage) -> None:
    """A slow worker that finishes last has looked at an older source: its commit stands, and is not the latest."""
    publish_one(store, plan=OTHER_PLAN, attempt=TWO, began_s=20.0)
    slow = publish_one(store, plan=PLAN, attempt=ONE, began_s=10.0)
    assert slow.plan == PLAN
    assert named(store) == OTHER_PLAN


def test_going_back_to_an_older_source_goes_back_to_its_model(store: Storage) -> None:
    """A later run that meets the older commit points to it: the pointer follows the source, not the calendar."""
    old = publish_one(store, plan=PLAN, attempt=ONE, began_s=10.0)
    publish_one(store, plan=OTHER_PLAN, attempt=TWO, began_s=20.0)
    point_latest(store, old, began_s=30.0)
    assert named(store) == PLAN


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b'{"plan": 1}'])
def test_a_pointer_that_is_none_is_replaced(store: Storage, text: bytes) -> None:
    """What is damaged leads nobody anywhere."""
    store.replace(POINTER, text)
    publish_one(store)
    assert named(store) == PLAN


def test_a_pointer_from_before_is_read(store: Storage) -> None:
    """Pointers of earlier versions do not say when their attempt began: any attempt is later."""
    store.replace(
        POINTER, b'{"attempt": "x", "commit": "y/commit.json", "plan": "y", "saved_model": "y/x/saved_model"}'
    )
    publish_one(store)
    assert named(store) == PLAN


def test_a_clock_that_was_wrong_does_not_hold_the_pointer_for_ever(store: Storage) -> None:
    """A pointer that claims to be of next year was set by a machine whose clock was off."""
    publish_one(store, plan=OTHER_PLAN, attempt=TWO, began_s=time.time() + 365 * 86400)
    publish_one(store, plan=PLAN, attempt=ONE, began_s=time.time())
    assert named(store) == PLAN


def test_of_many_that_point_the_one_that_began_last_stays(store: Storage) -> None:
    """Whoever writes when, no earlier attempt's pointer survives."""
    commits = {
        began: publish_one(store, plan=f"{began:012x}{0:052x}", attempt=f"{began:012x}") for began in range(1, 5)
    }
    with ThreadPoolExecutor(len(commits)) as pool:
        for done in [pool.submit(point_latest, store, commit, began_s=10.0 + n) for n, commit in commits.items()]:
            done.result()
    assert json.loads(store.read(POINTER))["began_s"] == 14.0


def test_a_pointer_that_changes_between_reading_and_writing_is_read_again(store: Storage) -> None:
    """Compare and swap: what another has written meanwhile is compared, too, and not overwritten unseen."""
    old = publish_one(store, plan=PLAN, attempt=ONE, began_s=10.0)
    watched = Watched(store)
    swaps: list[str] = []

    def interfere(action: str, key: str) -> None:
        if action == "swap" and not swaps:
            swaps.append(key)
            publish_one(store, plan=OTHER_PLAN, attempt=TWO, began_s=30.0)

    watched.before = interfere
    point_latest(watched, old, began_s=20.0)
    assert swaps == [POINTER]
    assert named(store) == OTHER_PLAN


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("error", [StorageError("503"), Denied("no s3:PutObject")])
def test_a_pointer_that_cannot_be_moved_costs_a_warning(store: Storage, moment: str, error: JobError) -> None:
    """The model is committed and whole; the next run moves the pointer."""
    watched = Watched(store)

    def fail(_action: str, key: str) -> None:
        if key == POINTER:
            raise error

    setattr(watched, moment, fail)
    with capture_logs() as events:
        commit = publish_one(watched)
    assert commit.attempt == ONE
    assert [(event["event"], event["log_level"]) for event in events] == [("latest_not_pointed", "warning")]
    point_latest(store, commit, began_s=2.0)
    assert named(store) == PLAN


def test_a_store_that_folds_case_keeps_the_first_pointer(tmp_path: Path) -> None:
    """Two artifacts whose names differ in case alone share a key there: both are published, and one is told why not."""
    store = Folding(open_storage(str(tmp_path / "out")))
    publish_one(store, "Net", PLAN, ONE, began_s=1.0)
    with capture_logs() as events:
        publish_one(store, "net", OTHER_PLAN, TWO, began_s=2.0)
    assert json.loads(store.read("NET/latest.json"))["artifact"] == "Net"
    (told,) = events
    assert told["event"] == "latest_not_pointed"
    assert "does not tell net from Net" in told["reason"]
    assert f"{OTHER_PLAN[:12]}/commit.json" in told["reason"]


class Folding(Watched):
    """A store on a file system that does not tell upper from lower case."""

    def list(self, prefix: str = "") -> Iterator[StoredObject]:
        """See `Storage`; below a directory that is asked for, keys begin as they were asked for."""
        for stored in self.store.list(prefix.lower()):
            yield replace(stored, key=prefix + stored.key[len(prefix) :])

    def read(self, key: str, *, limit_bytes: int | None = None) -> bytes:
        """See `Storage`."""
        return self.store.read(key.lower(), limit_bytes=limit_bytes)

    def create(self, key: str, data: bytes) -> bool:
        """See `Storage`."""
        return self.store.create(key.lower(), data)

    def upload(self, path: Path, key: str) -> None:
        """See `Storage`."""
        self.store.upload(path, key.lower())
