"""What whole runs write to a destination, and how they meet what is there already."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from job import assignment
from job.errors import DestinationConflict
from job.inventory import take_inventory
from job.layout import COMMIT, LATEST, is_ours, place_in
from job.records import Commit
from job.storage import open_storage
from job.storage.base import Storage
from job.storage.local import LocalStorage
from job.summary import RunSummary
from job.verifying import verify_all
from tests.fakes import ends, put, run_here, use_fake_stages
from tests.storage.watched import Watched


@pytest.fixture(autouse=True)
def _fake_stages(monkeypatch: pytest.MonkeyPatch) -> None:
    use_fake_stages(monkeypatch)


@dataclass
class Ledger:
    """Every change that runs make to their destination, and which of them met something there."""

    written: list[str] = field(default_factory=list)
    replaced: list[str] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)


@pytest.fixture
def ledger(monkeypatch: pytest.MonkeyPatch) -> Ledger:
    ledger = Ledger()

    def opened(uri: str) -> Storage:
        watched = Watched(open_storage(uri))

        def note(action: str, key: str) -> None:
            exists = any(stored.key == key for stored in watched.list(key))
            if action in ("delete", "abandon"):
                ledger.deleted.append(key)
            elif not exists:
                ledger.written.append(key)
            elif action != "create":  # which stores nothing where there is something
                ledger.replaced.append(key)

        watched.before = note
        return watched

    monkeypatch.setattr(assignment, "open_storage", opened)
    return ledger


def test_nothing_but_the_pointer_is_ever_replaced(tmp_path: Path, ledger: Ledger) -> None:
    """A first run, one that has nothing to do, one with another plan, failures, and a source that went back."""
    put(tmp_path / "in", "a.pb", "nets/b.pb", "segfault.pb")
    for seed in (0, 0, 1, 0):
        run_here(tmp_path, seed=seed)
    assert {key.rpartition("/")[2] for key in ledger.replaced} == {LATEST}
    assert (len(ledger.written), ledger.deleted) == (len(set(ledger.written)), [])


def test_every_key_that_a_run_writes_is_one_of_the_layout(tmp_path: Path, ledger: Ledger) -> None:
    """What gc takes for the job's own, and what it would leave for ever, follows from the names of keys alone."""
    put(tmp_path / "in", "a.pb", "segfault.pb")
    put(tmp_path / "in", "bad.pb", data=b"<html>")
    run_here(tmp_path)
    others = [key for key in ledger.written if not is_ours(key, place_in(key))]
    assert {key.rpartition("/")[2] for key in others if not key.startswith("_runs/")} == {COMMIT, LATEST}
    assert sum(key.startswith("_runs/") for key in others) == 2


def test_the_commit_holds_what_decided_it(tmp_path: Path) -> None:
    """Sources with their digests, the verdict, what each comparison came to, versions, and what held the worker."""
    put(tmp_path / "in", "a.pb")
    summary = run_here(tmp_path)
    (commit,) = commits(tmp_path)
    (report,) = summary.reports
    assert commit.sources == report.sources
    assert commit.sources[0].key == "a.pb"
    assert {one.mode: one.verdict for one in commit.parity} == {"exact": "passed", "as_run": "passed"}
    assert (commit.verdict, set(commit.versions)) == ("passed", {"tf1lift", "tensorflow"})
    assert report.environment["publishing"] == "create-only commits"


def commits(tmp_path: Path) -> list[Commit]:
    found = take_inventory(LocalStorage(tmp_path / "out")).commits
    return [commit for _, commit in sorted(found.items()) if isinstance(commit, Commit)]


def test_one_source_taken_twice_is_one_commit(tmp_path: Path) -> None:
    """Row 79: who lists a model in two shards, or starts the job twice, has it published once."""
    put(tmp_path / "in", "a.pb")
    assert ends(run_here(tmp_path)) == {"a.pb": "published"}
    assert ends(run_here(tmp_path, source=str(tmp_path / "in" / "a.pb"))) == {"a.pb": "already_published"}
    assert len(commits(tmp_path)) == 1


def test_names_that_differ_in_case_or_begin_alike_have_plans_of_their_own(tmp_path: Path) -> None:
    """Row 73: equal bytes under other names lie apart, on a file system that folds case, too."""
    names = ("Net/m.pb", "net/m.pb", "net/m.pb2.pb", "ne.pb")
    put(tmp_path / "in", *names)
    assert set(ends(run_here(tmp_path)).values()) == {"published"}
    assert len({commit.plan for commit in commits(tmp_path)}) == len(names)


def damaged(tmp_path: Path, text: bytes) -> Path:
    """Publish an artifact, write `text` over one of its files, and return that."""
    put(tmp_path / "in", "a.pb")
    run_here(tmp_path)
    (path,) = (tmp_path / "out").glob("a.pb/*/*/report.html")
    path.write_bytes(text)
    return path


def problems(tmp_path: Path) -> list[str]:
    dest = LocalStorage(tmp_path / "out")
    return [problem for one in verify_all(dest, take_inventory(dest)) for problem in one.problems]


def test_a_damaged_commit_is_repaired_if_asked_for(tmp_path: Path) -> None:
    """Row 70: without --repair code 45 and nothing touched; with it a new attempt, whose commit replaces the old."""
    path = damaged(tmp_path, b"cut")
    commit = path.parent.parent / COMMIT
    before = commit.read_bytes()
    refused = run_here(tmp_path)
    assert (ends(refused), commit.read_bytes()) == ({"a.pb": 45}, before)
    error = refused.reports[0].error
    assert error is not None
    assert ("missing or cut: report.html" in error.what, "--repair" in error.remedy) == (True, True)
    with capture_logs() as events:
        assert ends(run_here(tmp_path, repair=True)) == {"a.pb": "published"}
    assert "commit_damaged" in [event["event"] for event in events]
    assert path.read_bytes() == b"cut"
    assert problems(tmp_path) == []
    latest = json.loads((tmp_path / "out" / "a.pb" / LATEST).read_bytes())
    assert latest["attempt"] == json.loads(commit.read_bytes())["attempt"] != path.parent.name


def test_repair_finds_what_the_size_does_not_tell(tmp_path: Path) -> None:
    """Bytes that were flipped where they lie: only who asks for it pays for reading everything again."""
    path = damaged(tmp_path, b"")
    path.write_bytes(b"x" * path_size(tmp_path))
    assert ends(run_here(tmp_path)) == {"a.pb": "already_published"}
    assert problems(tmp_path) == ["report.html has other bytes"]
    assert ends(run_here(tmp_path, repair=True)) == {"a.pb": "published"}
    assert problems(tmp_path) == []


def path_size(tmp_path: Path) -> int:
    (commit,) = commits(tmp_path)
    return next(file.size_bytes for file in commit.files if file.path == "report.html")


def test_repair_leaves_alone_what_is_whole(tmp_path: Path, ledger: Ledger) -> None:
    """It is no way to have everything made again."""
    put(tmp_path / "in", "a.pb")
    run_here(tmp_path)
    ledger.written.clear()
    assert ends(run_here(tmp_path, repair=True)) == {"a.pb": "already_published"}
    assert [key for key in ledger.written if not key.startswith("_runs/")] == []


class Weak(LocalStorage):
    """A store that overwrites whatever is asked."""

    def supports_create_only(self) -> bool:
        """See `Storage`."""
        return False

    def create(self, key: str, data: bytes) -> bool:
        """See `Storage`."""
        self.replace(key, data)
        return True


def run_weak(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, **chosen: Any) -> RunSummary:
    monkeypatch.setattr(assignment, "open_storage", lambda uri: Weak(Path(uri)))
    put(tmp_path / "in", "a.pb")
    return run_here(tmp_path, **chosen)


def test_a_weak_destination_is_refused_before_any_work_if_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Row 71: --require-atomic is code 45, and nothing is written."""
    with capture_logs() as events, pytest.raises(DestinationConflict, match="overwrites what exists"):
        run_weak(tmp_path, monkeypatch, require_atomic=True)
    assert [event["event"] for event in events if event["event"].startswith("artifact")] == []
    assert not (tmp_path / "out").exists()


def test_a_weak_destination_is_told_in_log_and_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Row 71: without it the model is published whole, and whoever reads its report knows how."""
    with capture_logs() as events:
        summary = run_weak(tmp_path, monkeypatch)
    assert "destination_is_weak" in [event["event"] for event in events]
    (report,) = (tmp_path / "out").glob("a.pb/*/*/report.json")
    assert json.loads(report.read_bytes())["environment"]["publishing"].startswith("weak")
    assert summary.reports[0].environment["publishing"].startswith("weak")
    assert "weak: of two commits" in report.with_suffix(".html").read_text()
    assert problems(tmp_path) == []
