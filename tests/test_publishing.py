import hashlib
import json
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest
from botocore.awsrequest import AWSResponse
from botocore.exceptions import ConnectionClosedError
from botocore.httpsession import URLLib3Session
from structlog.testing import capture_logs

from job import codec
from job.commits import Absent, find_commit
from job.errors import DestinationConflict, Poison, StorageError
from job.plan import versions
from job.publishing import PublishOutcome, publish, publish_failure
from job.records import Artifact, ArtifactReport, Commit, Format
from job.results import ParityResult
from job.storage import open_storage
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


def reported(plan: str = PLAN) -> ArtifactReport:
    artifact = Artifact(name="nets/resnet50", format=Format.GRAPH_DEF, entry="nets/resnet50", objects=())
    parity = ParityResult(mode="exact", verdict="passed")
    return ArtifactReport(artifact=artifact, status="published", plan=plan, parity=parity)


def published(dest: Storage, directory: Path, attempt: str = "one") -> PublishOutcome:
    return publish(dest, reported(), attempt=attempt, directory=directory, began_s=1.0)


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


@pytest.mark.parametrize("strange", ["link", "link to a directory", "pipe"])
def test_nothing_is_followed_out_of_it(store: Storage, directory: Path, tmp_path: Path, strange: str) -> None:
    """Without a sandbox, a worker might leave a link to a file of the job's own: it is not published."""
    (tmp_path / "secret").write_text("canary", encoding="ascii")
    if strange == "pipe":
        os.mkfifo(directory / "saved_model" / "more")
    else:
        target = tmp_path if "directory" in strange else tmp_path / "secret"
        (directory / "saved_model" / "more").symlink_to(target)
    with pytest.raises(Poison, match="holds links or devices, which are not followed: more"):
        published(store, directory)
    assert seen_by_a_reader(store) == {}
    assert keys(store) == []


def test_the_commit_says_what_was_published(store: Storage, directory: Path) -> None:
    """Verdict, versions, and every file with its size and digest."""
    published(store, directory)
    commit = codec.loads(store.read(f"{HOME}/commit.json"), Commit)
    assert commit == find_commit(store, "nets/resnet50", PLAN)
    assert (commit.verdict, commit.versions) == ("passed", versions())
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
    publish(store, reported(other), attempt="x", directory=directory, began_s=2.0)
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


@pytest.mark.parametrize(("plan", "part"), [(PLAN, PLAN[:12]), ("", "unplanned")])
def test_a_failure_publishes_its_report_alone(store: Storage, directory: Path, plan: str, part: str) -> None:
    """The report of what failed can be read; no model, no commit and no pointer say otherwise."""
    place = publish_failure(store, artifact="nets/resnet50", plan=plan, attempt="one", directory=directory)
    assert place == f"_failed/nets/resnet50/{part}/one"
    assert keys(store) == [f"{place}/log.jsonl", f"{place}/report.json"]
    assert store.read(f"{place}/report.json") == b"{}"


def repaired(dest: Storage, directory: Path, attempt: str) -> PublishOutcome:
    return publish(dest, reported(), attempt=attempt, directory=directory, began_s=2.0, repair=True)


@pytest.mark.parametrize("damage", [damage_file, lose_file, cut_commit])
def test_a_repair_replaces_the_commit_and_nothing_else(
    store: Storage, directory: Path, damage: Callable[[Storage], None]
) -> None:
    """The new attempt lies beside what is left of the old one, and the commit names the new one."""
    published(store, directory)
    damage(store)
    before = keys(store)
    assert repaired(store, directory, "two").outcome == "committed"
    assert seen_by_a_reader(store) == FILES
    assert set(before) <= set(keys(store))


def test_of_two_repairs_one_stands(store: Storage, directory: Path) -> None:
    """The commit is replaced only as it was read: who comes second finds a whole one and cleans up."""
    published(store, directory)
    lose_file(store)
    watched = Watched(store)

    def come_first(action: str, _key: str) -> None:
        if action == "swap" and not keys(store, f"{HOME}/two/"):
            repaired(store, directory, "two")

    watched.before = come_first
    outcome = repaired(watched, directory, "three")
    assert (outcome.outcome, outcome.commit.attempt) == ("lost_race", "two")
    assert keys(store, f"{HOME}/three/") == []
    assert seen_by_a_reader(store) == FILES


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_repair_whose_answer_is_lost_is_recognised(store: Storage, directory: Path, moment: str) -> None:
    """As with any commit, what stands tells whether it was stored."""
    published(store, directory)
    lose_file(store)
    watched = Watched(store)

    def lose(action: str, key: str) -> None:
        if action == "swap" and key.endswith("commit.json"):
            raise StorageError("connection reset")

    setattr(watched, moment, lose)
    if moment == "before":
        with pytest.raises(StorageError, match="connection reset"):
            repaired(watched, directory, "two")
    else:
        assert repaired(watched, directory, "two").outcome == "committed"
        assert seen_by_a_reader(store) == FILES


def test_a_weak_store_keeps_the_files_of_the_attempt_that_lost(store: Storage, directory: Path) -> None:
    """There a commit that was given up may still arrive and replace the other's: its files must be there then."""
    late: list[bytes] = []

    class Late(Watched):
        """The request hangs in the network, and its client gives it up."""

        def supports_create_only(self) -> bool:
            return False

        def create(self, key: str, data: bytes) -> bool:
            if not key.endswith("commit.json"):
                return super().create(key, data)
            late.append(data)
            raise StorageError("timed out")

    published(store, directory, "one")
    assert published(Late(store), directory, "two").outcome == "lost_race"
    assert seen_by_a_reader(store) == FILES
    store.replace(f"{HOME}/commit.json", late[0])
    assert seen_by_a_reader(store) == FILES


def test_every_answer_may_be_lost(moto_uri: str, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Over HTTP: each request that changes something arrives and its answer does not; the client asks again."""
    send, lost = URLLib3Session.send, set[str]()

    def forgetful(session: URLLib3Session, request: Any) -> Any:
        answer = send(session, request)
        if request.method == "PUT" and request.url not in lost:
            lost.add(request.url)
            raise ConnectionClosedError(endpoint_url=request.url)
        return answer

    monkeypatch.setattr(URLLib3Session, "send", forgetful)
    monkeypatch.setattr("botocore.endpoint.time.sleep", lambda _: None)
    store = open_storage(moto_uri)
    with capture_logs() as events:
        assert published(store, directory).outcome == "committed"
    assert events == []
    assert seen_by_a_reader(store) == FILES
    assert {url.rpartition("/")[2] for url in lost} >= {"commit.json", "latest.json", "saved_model.pb"}
    assert json.loads(store.read("nets/resnet50/latest.json"))["attempt"] == "one"
    lose_file(store)
    lost.clear()
    assert repaired(store, directory, "two").outcome == "committed"
    assert seen_by_a_reader(store) == FILES


@pytest.mark.parametrize("conflicts", [5, 6])
def test_conflicts_on_the_commit_are_tried_again(
    moto_uri: str, directory: Path, monkeypatch: pytest.MonkeyPatch, conflicts: int
) -> None:
    """409 means that another create is under way: six tries, then code 74, and the next run goes on."""
    send, left = URLLib3Session.send, iter(range(conflicts))

    def contested(session: URLLib3Session, request: Any) -> Any:
        answer = send(session, request) if "commit.json" not in request.url or request.method != "PUT" else None
        if answer is None and next(left, None) is None:
            answer = send(session, request)
        return answer or AWSResponse(request.url, 409, {}, Conflict())

    monkeypatch.setattr(URLLib3Session, "send", contested)
    monkeypatch.setattr("job.storage.retrying.pause", lambda *_: None)
    store = open_storage(moto_uri)
    if conflicts < 6:
        assert published(store, directory).outcome == "committed"
    else:
        with pytest.raises(StorageError, match="others keep writing"):
            published(store, directory)
        assert published(store, directory, "two").outcome == "committed"
    assert seen_by_a_reader(store) == FILES


class Conflict:
    """The body of such an answer."""

    def stream(self, *_: object, **__: object) -> Iterator[bytes]:
        """Yield what S3 says."""
        yield b"<Error><Code>ConditionalRequestConflict</Code><Message>busy</Message></Error>"
