"""``gc``: what it removes, and all that it must not."""

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from job import codec
from job.collecting import collect, garbage_of, remove, seconds_of
from job.errors import Denied, UsageError
from job.inventory import take_inventory
from job.records import Commit
from job.settings import Settings
from job.storage import open_storage
from job.storage.base import Unfinished
from job.storage.local import LocalStorage
from tests.jobs import run_job
from tests.publications import (
    FILES,
    HOME,
    NAME,
    ONE,
    OTHER_PLAN,
    THREE,
    TWO,
    age,
    fail_one,
    keys,
    leave_attempt,
    publish_one,
)
from tests.storage.raw import client

pytest_plugins = ["tests.storage.stores"]

FUTURE_S = 3600.0


@pytest.fixture
def dest(tmp_path: Path) -> LocalStorage:
    return LocalStorage(tmp_path / "out")


def collected(tmp_path: Path, *, dry_run: bool = False, reports: bool = False) -> list[str]:
    """Return the places of what was removed."""
    with capture_logs() as events:
        settings = Settings(dest=str(tmp_path / "out"), log_format="json")
        assert collect(settings, "7d", dry_run=dry_run, reports=reports) == 0
    return [event["place"] for event in events if event["event"] in ("garbage_removed", "garbage_found")]


def test_an_old_attempt_without_a_commit_goes(tmp_path: Path, dest: LocalStorage) -> None:
    """Of what lies at a destination, all old, it alone: what is published stays to the byte."""
    publish_one(dest)
    died, alone = leave_attempt(dest), leave_attempt(dest, THREE, "nets/vgg/0123456789ab")
    failed = fail_one(dest)
    dest.replace("_runs/20261122T000000Z-abcdef/shard-0.json", b"{}")
    age(tmp_path)
    before = {key: dest.read(key) for key in keys(dest)}
    assert collected(tmp_path) == [died, alone]
    after = {key: dest.read(key) for key in keys(dest)}
    assert after == {key: data for key, data in before.items() if not key.startswith((died, alone))}
    assert not (tmp_path / "out" / "nets" / "vgg").exists()
    assert failed in {key.rpartition("/")[0] for key in after}
    assert collected(tmp_path) == []


def test_a_dry_run_tells_the_same_and_removes_nothing(tmp_path: Path, dest: LocalStorage) -> None:
    """What it says would be removed is what the next call removes."""
    publish_one(dest)
    leave_attempt(dest)
    fail_one(dest)
    age(tmp_path)
    before = keys(dest)
    told = collected(tmp_path, dry_run=True, reports=True)
    assert (len(told), keys(dest)) == (2, before)
    assert collected(tmp_path, reports=True) == told


def test_a_young_attempt_stays(tmp_path: Path, dest: LocalStorage) -> None:
    """One file that was written lately means that a writer may be at work."""
    died = leave_attempt(dest)
    age(tmp_path)
    os.utime(tmp_path / "out" / died / "report.json")
    assert collected(tmp_path) == []


def test_reports_of_failures_go_only_if_asked_for(tmp_path: Path, dest: LocalStorage) -> None:
    """They are small, and may be all that is left of an artifact."""
    failed = fail_one(dest)
    age(tmp_path)
    assert collected(tmp_path) == []
    assert collected(tmp_path, reports=True) == [failed]


def test_what_is_not_ours_stays(tmp_path: Path, dest: LocalStorage) -> None:
    """Neither files of another form, nor somebody's file in an attempt that goes, nor other programs' leftovers."""
    foreign = [
        "notes.txt",
        "data/0123456789ab/0123456789ab/data.csv",
        f"{HOME}/notes/report.json",
        f"{HOME}/{TWO}/notes.txt",
        "data/.part-1",
    ]
    died = leave_attempt(dest)
    for key in foreign:
        dest.replace(key, b"mine")
    age(tmp_path)
    assert collected(tmp_path) == [died]
    assert keys(dest) == sorted(foreign)


@pytest.mark.parametrize("text", [b"", b"[]", b'{"artifact": "x"', b'{"of": "a newer version"}'])
def test_nothing_goes_beside_a_commit_that_cannot_be_read(tmp_path: Path, dest: LocalStorage, text: bytes) -> None:
    """It may list any of the attempts there."""
    publish_one(dest)
    leave_attempt(dest)
    dest.replace(f"{HOME}/commit.json", text)
    age(tmp_path)
    assert collected(tmp_path) == []


def test_the_files_of_a_damaged_commit_stay(tmp_path: Path, dest: LocalStorage) -> None:
    """What is left of a model is its owner's to judge; once it is repaired the old attempt is garbage."""
    publish_one(dest)
    dest.delete(f"{HOME}/{ONE}/report.json")
    age(tmp_path)
    assert collected(tmp_path) == []


def test_what_the_pointer_leads_to_stays(tmp_path: Path, dest: LocalStorage) -> None:
    """Where a store let a second commit replace the first, ``latest.json`` may still name the first one's files."""
    publish_one(dest)
    commit = codec.loads(dest.read(f"{HOME}/commit.json"), Commit)
    leave_attempt(dest, TWO)
    dest.replace(f"{HOME}/commit.json", codec.document(replace(commit, attempt=TWO)))
    age(tmp_path)
    assert collected(tmp_path) == []
    dest.replace(f"{NAME}/latest.json", dest.read(f"{NAME}/latest.json").replace(ONE.encode(), TWO.encode()))
    assert collected(tmp_path) == [f"{HOME}/{ONE}"]


def test_an_artifact_below_another_s_dead_attempt_stays(tmp_path: Path, dest: LocalStorage) -> None:
    """A name may look like an attempt of another artifact; its files are told by their own commit."""
    name = f"{HOME}/{ONE}/saved_model"
    publish_one(dest, name, OTHER_PLAN, TWO)
    leave_attempt(dest, ONE)
    age(tmp_path)
    assert collected(tmp_path) == [f"{HOME}/{ONE}"]
    assert set(take_inventory(dest).commits) == {f"{name}/{OTHER_PLAN[:12]}"}
    assert len(keys(dest, f"{name}/{OTHER_PLAN[:12]}/{TWO}/")) == len(FILES)


def commit_it(dest: LocalStorage, place: str) -> None:
    commit = replace(publish_one(dest, "nets/other"), attempt=place.rpartition("/")[2])
    dest.replace(f"{HOME}/commit.json", codec.document(commit))


def write_more(dest: LocalStorage, place: str) -> None:
    dest.replace(f"{place}/saved_model/fingerprint.pb", b"more")


@pytest.mark.parametrize("go_on", [commit_it, write_more])
def test_an_attempt_whose_writer_turns_out_to_live_stays(
    tmp_path: Path, dest: LocalStorage, go_on: Callable[[LocalStorage, str], None]
) -> None:
    """It is looked at again right before it would go: a commit, or one file more, keeps it."""
    place = leave_attempt(dest)
    age(tmp_path)
    before_s = time.time() - 7 * 86400
    (garbage,) = garbage_of(dest, take_inventory(dest), before_s=before_s, reports=False)
    go_on(dest, place)
    assert not remove(dest, garbage, before_s=before_s)
    assert len(keys(dest, f"{place}/")) >= len(FILES)


def test_another_s_commit_does_not_keep_it(tmp_path: Path, dest: LocalStorage) -> None:
    """Whoever lost a race and died before it could clean up has left garbage."""
    leave_attempt(dest)
    age(tmp_path)
    before_s = time.time() - 7 * 86400
    (garbage,) = garbage_of(dest, take_inventory(dest), before_s=before_s, reports=False)
    publish_one(dest)
    assert remove(dest, garbage, before_s=before_s)
    assert keys(dest, f"{HOME}/{TWO}/") == []


@pytest.mark.parametrize(("modified_s", "found"), [(0.0, 0), (1.0, 1)])
def test_of_what_the_age_is_not_known_nothing_goes(dest: LocalStorage, modified_s: float, found: int) -> None:
    """A store need not say when it stored something."""
    place = leave_attempt(dest)
    inventory = take_inventory(dest)
    aged = [replace(stored, modified_s=modified_s) for stored in inventory.attempts[place]]
    garbage = garbage_of(dest, replace(inventory, attempts={place: aged}), before_s=time.time(), reports=True)
    assert len(list(garbage)) == found


def test_half_written_files_of_a_directory_go(tmp_path: Path, dest: LocalStorage) -> None:
    """What a writer that was killed has left under a name that no reader sees."""
    dest.replace("nets/a", b"x")
    (tmp_path / "out" / "nets" / ".tf1lift-part-dead").write_bytes(b"half")
    age(tmp_path)
    (tmp_path / "out" / "nets" / ".tf1lift-part-alive").write_bytes(b"half")
    assert collected(tmp_path) == ["nets/.tf1lift-part-dead"]
    assert sorted(path.name for path in (tmp_path / "out" / "nets").iterdir()) == [".tf1lift-part-alive", "a"]


def test_an_object_store_is_cleaned_alike(s3_uri: str) -> None:
    """Attempts by the store's clock, and uploads in parts that never ended, but for those of other programs."""
    store = open_storage(s3_uri)
    publish_one(store)
    died = leave_attempt(store)
    bucket, _, prefix = s3_uri.removeprefix("s3://").partition("/")
    ours, others = f"{HOME}/{TWO}/saved_model/saved_model.pb", "backups/disk.img"
    for key in (ours, others):
        client().create_multipart_upload(Bucket=bucket, Key=f"{prefix}/{key}")
    inventory, later_s = take_inventory(store), time.time() + FUTURE_S
    found = list(garbage_of(store, inventory, before_s=later_s, reports=False))
    assert [(garbage.kind, garbage.place) for garbage in found] == [("attempt", died), ("write", ours)]
    assert all(remove(store, garbage, before_s=later_s) for garbage in found)
    assert keys(store, f"{died}/") == []
    assert {write.key for write in store.unfinished()} == {others}
    assert list(garbage_of(store, take_inventory(store), before_s=later_s, reports=False)) == []
    store.abandon(next(store.unfinished()))


def test_uploads_that_may_not_be_listed_cost_a_warning(
    tmp_path: Path, dest: LocalStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The right to list them is one of its own; without it the rest is removed all the same."""

    def unfinished(_: LocalStorage) -> Iterator[Unfinished]:
        raise Denied("s3:ListBucketMultipartUploads is not allowed")

    monkeypatch.setattr(LocalStorage, "unfinished", unfinished)
    died = leave_attempt(dest)
    age(tmp_path)
    with capture_logs() as events:
        collect(Settings(dest=str(tmp_path / "out"), log_format="json"), "7d", dry_run=False, reports=False)
    assert [event["event"] for event in events] == ["garbage_removed", "unfinished_writes_unknown", "gc_ended"]
    assert keys(dest, died) == []


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("30m", 1800), ("1.5h", 5400), ("7d", 604800), ("2w", 1209600)]
)
def test_lengths_of_time(text: str, seconds: float) -> None:
    """A number and a unit."""
    assert seconds_of(text) == seconds


@pytest.mark.parametrize("text", ["", "7", "d", "-1d", "1y", "7 d", "٣d"])
def test_what_is_no_length_of_time_is_told(text: str) -> None:
    """Nothing is removed by a guess."""
    with pytest.raises(UsageError, match="is no length of time"):
        seconds_of(text)


def test_by_the_command_line(tmp_path: Path, dest: LocalStorage) -> None:
    """Lines for people, events for machines; variables as for every option."""
    publish_one(dest)
    died = leave_attempt(dest)
    age(tmp_path)
    text = run_job("gc", str(tmp_path / "out"), "--dry-run", "--log-format", "text")
    assert (text.code, text.stderr) == (0, "")
    assert text.stdout.startswith(f"would remove attempt  {died}  5 files, 7.0 kB, 30.0 days old\n")
    assert text.stdout.endswith("1 attempt, 0 reports, 0 writes would be removed, 7.0 kB; commits that stay: 1\n")
    assert run_job("gc", str(tmp_path / "out"), extra={"JOB_OLDER_THAN": "60d"}).named("gc_ended")[0]["attempt"] == 0
    ended = run_job("gc", str(tmp_path / "out"))
    assert (ended.code, ended.stdout) == (0, "")
    assert [event["place"] for event in ended.named("garbage_removed")] == [died]
    assert f"{NAME}/latest.json" in keys(dest)
    wrong = run_job("gc", str(tmp_path / "out"), "--older-than", "7")
    assert (wrong.code, "'7' is no length of time" in wrong.events[0]["reason"]) == (2, True)
