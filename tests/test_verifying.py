"""``verify``: every byte that was published, and what it says of what is not."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from job.errors import NoInput
from job.settings import Settings
from job.storage import open_storage
from job.storage.base import Storage
from job.verifying import verify
from tests.jobs import run_job
from tests.publications import FILES, HOME, NAME, ONE, OTHER_PLAN, TWO, fail_one, leave_attempt, publish_one

pytest_plugins = ["tests.storage.stores"]

PLACE = f"{HOME}/{ONE}"
MODEL = "saved_model/saved_model.pb"


def verified(uri: str, only: str = "*") -> tuple[int, list[dict[str, object]]]:
    """Return the exit code and the events."""
    with capture_logs() as events:
        code = verify(Settings(dest=uri, only=only, log_format="json"))
    return code, [dict(event) for event in events]


def test_what_is_whole_is_told_line_by_line(uri: str) -> None:
    """One line for each commit and one for the whole; what died or failed is no part of it, and counted."""
    store = open_storage(uri)
    publish_one(store)
    publish_one(store, "texts/bert", OTHER_PLAN, TWO)
    leave_attempt(store)
    fail_one(store)
    code, events = verified(uri)
    size_bytes = sum(map(len, FILES.values()))
    assert code == 0
    assert [event["event"] for event in events] == ["commit_verified", "commit_verified", "verify_ended"]
    assert events[0] | {"artifact": NAME, "place": PLACE, "files": len(FILES), "size_bytes": size_bytes} == events[0]
    assert events[2] | {"commits": 2, "files": 2 * len(FILES), "damaged": 0, "uncommitted_attempts": 1} == events[2]


def flip(store: Storage) -> None:
    store.replace(f"{PLACE}/{MODEL}", b"grapH")


def cut(store: Storage) -> None:
    store.replace(f"{PLACE}/{MODEL}", b"gra")


def lose(store: Storage) -> None:
    store.delete(f"{PLACE}/{MODEL}")


def add(store: Storage) -> None:
    store.replace(f"{PLACE}/saved_model/assets/planted.txt", b"mine")


def cut_commit(store: Storage) -> None:
    store.replace(f"{HOME}/commit.json", b'{"artifact":')


def empty_list(store: Storage) -> None:
    store.replace(f"{HOME}/commit.json", b"[]")


def lose_commit(store: Storage) -> None:
    store.delete(f"{HOME}/commit.json")


def cut_pointer(store: Storage) -> None:
    store.replace(f"{NAME}/latest.json", b"{")


def misdirect(store: Storage) -> None:
    text = store.read(f"{NAME}/latest.json")
    store.replace(f"{NAME}/latest.json", text.replace(b"/saved_model", b"/saved_modle"))


def mislead(store: Storage) -> None:
    text = store.read(f"{NAME}/latest.json")
    store.replace(f"{NAME}/latest.json", text.replace(ONE.encode(), TWO.encode()))


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (flip, f"{MODEL} has other bytes"),
        (cut, f"{MODEL} has 3 bytes and not 5"),
        (lose, f"{MODEL} is missing"),
        (add, "saved_model/assets/planted.txt is there and not in the commit"),
        (cut_commit, "the commit is damaged"),
        (empty_list, "the commit is damaged"),
        (lose_commit, f"names attempt {ONE}, which no commit lists"),
        (cut_pointer, "the pointer is damaged"),
        (mislead, f"names attempt {TWO}, which no commit lists; `run` on the same source sets it again"),
        (misdirect, f"/{ONE}/saved_modle and not to"),
    ],
)
def test_what_is_not_as_it_was_published_is_code_45(uri: str, damage: Callable[[Storage], None], said: str) -> None:
    """One byte is enough; the other artifacts are told of all the same."""
    store = open_storage(uri)
    publish_one(store)
    publish_one(store, "zoo/bert", OTHER_PLAN, TWO)
    damage(store)
    code, events = verified(uri)
    problems = [problem for event in events for problem in event.get("problems", ())]  # type: ignore[attr-defined]
    assert code == 45
    assert said in problems[0]
    assert [event["artifact"] for event in events if event["event"] == "commit_verified"][-1] == "zoo/bert"
    assert events[-1]["damaged"] == len([event for event in events if event["event"] == "commit_damaged"])


def test_a_missing_pointer_is_told_and_is_no_damage(uri: str) -> None:
    """The writer may have died before it: the commit is whole, and the line says what sets the pointer."""
    store = open_storage(uri)
    publish_one(store)
    store.delete(f"{NAME}/latest.json")
    code, events = verified(uri)
    assert code == 0
    (said,) = (event for event in events if event["event"] == "latest_missing")
    assert (said["artifact"], said["remedy"]) == (NAME, "`run` on the same source sets it again")


def test_a_file_that_cannot_be_read_is_no_published_one(tmp_path: Path) -> None:
    """A link out of the destination is not followed, whatever lies behind it."""
    store = open_storage(str(tmp_path / "out"))
    publish_one(store)
    (tmp_path / "elsewhere").write_bytes(FILES[MODEL])
    path = tmp_path / "out" / PLACE / MODEL
    path.unlink()
    path.symlink_to(tmp_path / "elsewhere")
    code, events = verified(str(tmp_path / "out"))
    assert (code, "cannot be read" in str(events[0])) == (45, True)


@pytest.mark.parametrize("only", ["*", "images/*"])
def test_nothing_published_is_code_43(uri: str, only: str) -> None:
    """A misspelt destination, or one where all is still in the making, does not count as whole."""
    store = open_storage(uri)
    leave_attempt(store)
    fail_one(store)
    store.replace("others/latest.json", b"not ours")
    with pytest.raises(NoInput, match="nothing is published"):
        verify(Settings(dest=uri, only=only))


def test_only_what_is_asked_for_is_read(uri: str) -> None:
    """Another artifact's damage is another's."""
    store = open_storage(uri)
    publish_one(store)
    publish_one(store, "texts/bert", OTHER_PLAN, TWO)
    flip(store)
    assert verified(uri, only="texts/bert")[0] == 0
    assert verified(uri, only="nets/*")[0] == 45


def test_many_commits_come_in_order(tmp_path: Path) -> None:
    """More commits than are read at a time: each is told once, by name."""
    names = [f"nets/{number:02}" for number in range(20)]
    store = open_storage(str(tmp_path))
    for name in names:
        publish_one(store, name)
    code, events = verified(str(tmp_path))
    assert code == 0
    assert [event["artifact"] for event in events[:-1]] == names


def test_people_read_lines_and_machines_json(tmp_path: Path) -> None:
    """By the command line: text on stdout where a person looks, events elsewhere, and the code either way."""
    store = open_storage(str(tmp_path))
    publish_one(store)
    publish_one(store, "zoo/bert", OTHER_PLAN, TWO)
    lose(store)
    text = run_job("verify", str(tmp_path), "--log-format", "text")
    assert (text.code, text.stderr) == (45, "")
    assert text.stdout.splitlines()[:2] == [
        f"DAMAGED  {PLACE}  {MODEL} is missing",
        f"whole    zoo/bert/{OTHER_PLAN[:12]}/{TWO}  5 files, 7.0 kB",
    ]
    assert "uncommitted attempts: 0" in text.stdout.splitlines()[-1]
    machine = run_job("verify", str(tmp_path), "--only", "zoo/*")
    assert (machine.code, machine.stdout) == (0, "")
    assert machine.named("verify_ended")[0]["commits"] == 1
    assert json.loads(machine.stderr.splitlines()[0])["place"].startswith("zoo/bert/")
