import hashlib
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from job import codec
from job.errors import DestinationConflict, StorageError
from job.publishing import Absent, PublishOutcome, find_commit, publish, publish_failure
from job.records import Commit
from job.storage.base import Storage
from tests.storage.watched import Watched

pytest_plugins = ["tests.storage.stores"]

FILES = {
    "saved_model/saved_model.pb": b"graph",
    "saved_model/variables/variables.index": b"index",
    "saved_model/variables/variables.data-00000-of-00001": b"weights" * 1000,
    "report.json": b"{}",
    "log.jsonl": b"",
}
PLAN = hashlib.sha256(b"plan").hexdigest()
HOME = f"nets/resnet50/{PLAN[:12]}"


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    for name, data in FILES.items():
        (tmp_path / "done" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "done" / name).write_bytes(data)
    return tmp_path / "done"


def published(dest: Storage, directory: Path, attempt: str = "one") -> PublishOutcome:
    return publish(
        dest,
        artifact="nets/resnet50",
        plan=PLAN,
        attempt=attempt,
        directory=directory,
        verdict="passed",
        versions={"tensorflow": "2.21.0"},
    )


def seen_by_a_reader(dest: Storage) -> dict[str, bytes]:
    """Return the files that the commit lists, whole; nothing where there is no commit."""
    commit = find_commit(dest, "nets/resnet50", PLAN)
    if isinstance(commit, Absent):
        return {}
    files = {file.path: dest.read(f"{HOME}/{commit.attempt}/{file.path}") for file in commit.files}
    for file in commit.files:
        assert hashlib.sha256(files[file.path]).hexdigest() == file.sha256
        assert len(files[file.path]) == file.size_bytes
    return files


def keys(dest: Storage, prefix: str = "") -> list[str]:
    return [stored.key for stored in dest.list(prefix) if not stored.key.startswith("_create_only")]


class Step(BaseException):
    """The writer is killed: nothing catches this."""


def test_a_published_result_is_where_the_layout_says(store: Storage, directory: Path) -> None:
    """Files of one attempt, the commit beside them, the pointer above."""
    outcome = published(store, directory)
    assert outcome.outcome == "committed"
    assert seen_by_a_reader(store) == FILES
    assert keys(store) == sorted(
        [*(f"{HOME}/one/{name}" for name in FILES), f"{HOME}/commit.json", "nets/resnet50/latest.json"]
    )
    latest = json.loads(store.read("nets/resnet50/latest.json"))
    assert store.read(f"nets/resnet50/{latest['commit']}") == store.read(f"{HOME}/commit.json")
    assert store.read(f"nets/resnet50/{latest['saved_model']}/saved_model.pb") == b"graph"


def test_the_commit_says_what_was_published(store: Storage, directory: Path) -> None:
    """Verdict, versions, and every file with its size and digest."""
    published(store, directory)
    commit = codec.loads(store.read(f"{HOME}/commit.json"), Commit)
    assert commit == find_commit(store, "nets/resnet50", PLAN)
    assert (commit.verdict, commit.versions) == ("passed", {"tensorflow": "2.21.0"})
    assert {file.path: file.size_bytes for file in commit.files} == {name: len(data) for name, data in FILES.items()}


def test_the_model_becomes_one_last(store: Storage, directory: Path) -> None:
    """saved_model.pb goes up after all other files, the commit after that, the pointer after the commit."""
    order: list[str] = []
    watched = Watched(store)
    watched.before = lambda _action, key: order.append(key)
    published(watched, directory)
    assert order[-3:] == [f"{HOME}/one/saved_model/saved_model.pb", f"{HOME}/commit.json", "nets/resnet50/latest.json"]


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("step", range(len(FILES) + 2))
def test_killed_at_any_step_a_reader_sees_all_or_nothing(
    store: Storage, directory: Path, step: int, moment: str
) -> None:
    """Whichever change was the last before the kill, the result is whole or absent, and the next attempt completes."""
    watched = Watched(store)
    left = iter(range(step))

    def die(_action: str, _key: str) -> None:
        if next(left, None) is None:
            raise Step

    setattr(watched, moment, die)
    with pytest.raises(Step):
        published(watched, directory)
    done = step + (moment == "after")
    assert seen_by_a_reader(store) == (FILES if done > len(FILES) else {})
    published(store, directory, attempt="two")
    assert seen_by_a_reader(store) == FILES
    assert "nets/resnet50/latest.json" in keys(store)


def test_of_many_attempts_one_stands(store: Storage, directory: Path) -> None:
    """Attempts that all come to the commit at the same time end with one commit, and only the winner's files."""
    assert store.supports_create_only()
    attempts = [f"attempt{number}" for number in range(4)]
    barrier = Barrier(len(attempts))

    def meet(action: str, _key: str) -> None:
        if action == "create":
            barrier.wait(60)

    def publish_together(attempt: str) -> PublishOutcome:
        watched = Watched(store)
        watched.before = meet
        return published(watched, directory, attempt)

    with ThreadPoolExecutor(len(attempts)) as pool:
        outcomes = dict(zip(attempts, pool.map(publish_together, attempts), strict=True))
    (winner,) = [attempt for attempt in attempts if outcomes[attempt].outcome == "committed"]
    assert {outcome.commit.attempt for outcome in outcomes.values()} == {winner}
    assert seen_by_a_reader(store) == FILES
    assert {key.split("/")[3] for key in keys(store, f"{HOME}/")} == {winner, "commit.json"}


def test_a_later_attempt_loses_and_cleans_up(store: Storage, directory: Path) -> None:
    """Who comes second gets the first one's commit and leaves its files alone."""
    published(store, directory, "one")
    outcome = published(store, directory, "two")
    assert (outcome.outcome, outcome.commit.attempt) == ("lost_race", "one")
    assert keys(store, f"{HOME}/two/") == []
    assert seen_by_a_reader(store) == FILES


def test_another_plan_stands_beside_it(store: Storage, directory: Path) -> None:
    """A new version of the tool publishes anew, touches nothing of the old, and moves the pointer."""
    published(store, directory)
    other = hashlib.sha256(b"other plan").hexdigest()
    publish(
        store, artifact="nets/resnet50", plan=other, attempt="x", directory=directory, verdict="passed", versions={}
    )
    assert seen_by_a_reader(store) == FILES
    assert json.loads(store.read("nets/resnet50/latest.json"))["plan"] == other


def test_a_lost_response_is_recognised(store: Storage, directory: Path) -> None:
    """Where the commit was stored and only the answer was lost, the attempt finds that it has won."""
    watched = Watched(store)

    def lose(action: str, _key: str) -> None:
        if action == "create":
            raise StorageError("connection reset")

    watched.after = lose
    assert published(watched, directory).outcome == "committed"
    assert seen_by_a_reader(store) == FILES


def test_a_repeated_request_is_recognised(store: Storage, directory: Path) -> None:
    """Where the client itself repeats a create whose answer was lost, "it exists" means that we have won."""

    class Repeating(Watched):
        def create(self, key: str, data: bytes) -> bool:
            super().create(key, data)
            return super().create(key, data)

    assert published(Repeating(store), directory).outcome == "committed"
    assert seen_by_a_reader(store) == FILES


def test_a_commit_that_failed_is_an_error(store: Storage, directory: Path) -> None:
    """Where the commit was not stored, the store's failure is told."""
    watched = Watched(store)

    def fail(action: str, _key: str) -> None:
        if action == "create":
            raise StorageError("connection reset")

    watched.before = fail
    with pytest.raises(StorageError, match="connection reset"):
        published(watched, directory)
    assert seen_by_a_reader(store) == {}


def test_a_failed_upload_is_never_committed(store: Storage, directory: Path) -> None:
    """One file that cannot be stored ends the attempt with its error."""
    watched = Watched(store)

    def fail(_action: str, key: str) -> None:
        if key.endswith("report.json"):
            raise StorageError("SlowDown")

    watched.before = fail
    with pytest.raises(StorageError, match="SlowDown"):
        published(watched, directory)
    assert f"{HOME}/commit.json" not in keys(store)


def test_a_lost_upload_is_never_committed(store: Storage, directory: Path) -> None:
    """A file that the store took and does not have is seen before the commit, not by the reader after it."""
    watched = Watched(store)
    watched.after = lambda action, key: store.delete(key) if action == "upload" and key.endswith("index") else None
    with pytest.raises(StorageError, match=r"missing or cut: saved_model/variables/variables\.index"):
        published(watched, directory)
    assert f"{HOME}/commit.json" not in keys(store)


def damage_file(store: Storage) -> None:
    store.replace(f"{HOME}/one/report.json", b"longer than it was")


def lose_file(store: Storage) -> None:
    store.delete(f"{HOME}/one/saved_model/saved_model.pb")


def cut_commit(store: Storage) -> None:
    store.replace(f"{HOME}/commit.json", store.read(f"{HOME}/commit.json", limit_bytes=100))


def swap_commit(store: Storage) -> None:
    text = store.read(f"{HOME}/commit.json")
    store.replace(f"{HOME}/commit.json", text.replace(PLAN.encode(), PLAN[:12].encode() + b"0" * 52))


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (damage_file, "missing or cut: report.json"),
        (lose_file, "missing or cut: saved_model/saved_model.pb"),
        (cut_commit, "the commit is damaged"),
        (swap_commit, "the commit is of another plan"),
    ],
)
def test_a_damaged_commit_is_a_conflict(
    store: Storage, directory: Path, damage: Callable[[Storage], None], said: str
) -> None:
    """What was published and is no longer whole is neither skipped nor overwritten; the user is told what to remove."""
    published(store, directory)
    damage(store)
    before = keys(store)
    for attempt in (lambda: find_commit(store, "nets/resnet50", PLAN), lambda: published(store, directory, "two")):
        with pytest.raises(DestinationConflict) as caught:
            attempt()
        assert said in caught.value.what
        assert f"{HOME}/commit.json" in caught.value.where
        assert "remove that commit.json" in caught.value.remedy
    assert set(before) <= set(keys(store))


def test_removing_a_damaged_commit_publishes_anew(store: Storage, directory: Path) -> None:
    """The remedy that the message names is one."""
    published(store, directory)
    lose_file(store)
    store.delete(f"{HOME}/commit.json")
    assert published(store, directory, "two").outcome == "committed"
    assert seen_by_a_reader(store) == FILES


def test_nothing_is_committed_at_first(store: Storage) -> None:
    """An empty destination has no commit, and says so without an error."""
    assert find_commit(store, "nets/resnet50", PLAN) == Absent()


@pytest.mark.parametrize(("plan", "part"), [(PLAN, PLAN[:12]), ("", "unplanned")])
def test_a_failure_publishes_its_report_alone(store: Storage, directory: Path, plan: str, part: str) -> None:
    """The report of what failed can be read; no model, no commit and no pointer say otherwise."""
    place = publish_failure(store, artifact="nets/resnet50", plan=plan, attempt="one", directory=directory)
    assert place == f"_failed/nets/resnet50/{part}/one"
    assert keys(store) == [f"{place}/log.jsonl", f"{place}/report.json"]
    assert store.read(f"{place}/report.json") == b"{}"
