"""``export``: versions as servers look for them, whole, in order, and never with other bytes than before."""

import json
import os
import re
import threading
from collections.abc import MutableMapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from job import serving
from job.errors import (
    BadInput,
    CredentialsExpired,
    Denied,
    DestinationConflict,
    JobError,
    NoInput,
    StorageError,
    UsageError,
)
from job.publishing import publish
from job.served import Chosen, chosen_of
from job.serving import Layout, export
from job.settings import Settings
from job.storage import open_storage
from job.storage.base import Storage
from job.storage.local import LocalStorage
from tests.jobs import run_job
from tests.publications import FILES, NAME, ONE, OTHER_PLAN, PLAN, TWO, keys, publish_one, put_model, reported

pytest_plugins = ["tests.storage.stores"]

MODEL = {name.removeprefix("saved_model/"): data for name, data in FILES.items() if name.startswith("saved_model/")}


def exported(
    dest: str, target: str, *, only: str = "*", layout: Layout = "tf-serving", fast: bool = False
) -> list[str]:
    """Export, and return what became of each model."""
    with capture_logs() as events:
        settings = Settings(dest=dest, only=only, log_format="json")
        assert export(settings, target, layout=layout, fast=fast) == 0
    return versions(events)


def versions(events: Sequence[MutableMapping[str, Any]]) -> list[str]:
    """Return what a log says of each exported model."""
    told = [event for event in events if event["event"].startswith("version_")]
    return [f"{event['event'].removeprefix('version_')} {event['model']}/{event['version']}" for event in told]


def failed(dest: str, target: str) -> tuple[int, str]:
    """Export what cannot be; return the exit code and why."""
    with capture_logs() as events:
        code = export(Settings(dest=dest, log_format="json"), target, layout="tf-serving", fast=False)
    return code, "; ".join(event["reason"] for event in events if event["event"] == "export_failed")


def contents(target: str, version: str) -> dict[str, bytes]:
    """Return the files of a version."""
    shelf = open_storage(target)
    return {key.removeprefix(f"{version}/"): shelf.read(key) for key in keys(shelf, f"{version}/")}


def publish_other(dest: Storage, tmp_path: Path, graph: bytes = b"other", *, began_s: float = 2.0) -> None:
    """Publish the model anew, with another graph."""
    directory = put_model(tmp_path / graph.decode())
    (directory / "saved_model/saved_model.pb").write_bytes(graph)
    publish(dest, reported(plan=OTHER_PLAN), attempt=TWO, directory=directory, began_s=began_s)


def test_the_first_version_is_one_and_the_same_bytes_are_no_second(uri: str) -> None:
    """An export that is repeated by a timer must not make servers load the same model again."""
    dest, target = f"{uri}/out", f"{uri}/models"
    publish_one(open_storage(dest))
    assert exported(dest, target) == [f"exported {NAME}/1"]
    assert contents(target, f"{NAME}/1") == MODEL
    before = [(stored.key, stored.etag) for stored in open_storage(target).list(NAME)]
    assert exported(dest, target) == [f"there {NAME}/1"]
    assert [(stored.key, stored.etag) for stored in open_storage(target).list(NAME)] == before


def test_other_bytes_are_the_next_version_and_so_is_the_way_back(uri: str, tmp_path: Path) -> None:
    """Servers load the highest version: a model that is published again has to come after the one in between."""
    dest, target = f"{uri}/out", f"{uri}/models"
    store = open_storage(dest)
    publish_one(store)
    exported(dest, target)
    publish_other(store, tmp_path)
    assert exported(dest, target) == [f"exported {NAME}/2"]
    publish_one(store, attempt="444444444444", began_s=3.0)
    assert exported(dest, target) == [f"exported {NAME}/3"]
    assert contents(target, f"{NAME}/2")["saved_model.pb"] == b"other"
    assert contents(target, f"{NAME}/1") == contents(target, f"{NAME}/3") == MODEL


def test_a_version_says_where_it_comes_from(tmp_path: Path) -> None:
    """An operator finds the report of what is served: the claim names the commit."""
    publish_one(LocalStorage(tmp_path / "out"))
    exported(str(tmp_path / "out"), str(tmp_path / "models"))
    claim = json.loads((tmp_path / "models" / NAME / "1.json").read_text())
    assert (claim["artifact"], claim["plan"], claim["attempt"], claim["saved_model"]) == (
        NAME,
        PLAN,
        ONE,
        "saved_model",
    )
    assert {file["path"] for file in claim["files"]} == MODEL.keys()


def test_a_directory_s_version_appears_in_one_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """TF Serving looks every second: it must not meet a number with half a model in it."""
    publish_one(LocalStorage(tmp_path / "out"))
    seen, upload = list[list[str]](), LocalStorage.upload

    def watched(self: LocalStorage, path: Path, key: str) -> None:
        upload(self, path, key)
        seen.append([entry for entry in os.listdir(tmp_path / "models" / NAME) if entry.isdecimal()])  # noqa: PTH208 - as a server does

    monkeypatch.setattr(LocalStorage, "upload", watched)
    exported(str(tmp_path / "out"), str(tmp_path / "models"))
    assert seen == [[]] * len(MODEL)
    assert sorted(os.listdir(tmp_path / "models" / NAME)) == ["1", "1.json"]  # noqa: PTH208


def test_a_bucket_s_graph_comes_last(moto_uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bucket has no rename: without ``saved_model.pb`` a server says that there is no model yet, and tries again."""
    dest, target = f"{moto_uri}/out", f"{moto_uri}/models"
    publish_one(open_storage(dest))
    written, kind = list[str](), type(open_storage(target))
    upload = kind.upload

    def watched(self: Storage, path: Path, key: str) -> None:
        upload(self, path, key)
        written.append(key)

    monkeypatch.setattr(kind, "upload", watched)
    exported(dest, target)
    assert len(written) == len(MODEL)
    assert written[-1] == f"{NAME}/1/saved_model.pb"


@pytest.mark.parametrize("died_after", [0, len(MODEL) - 1])
def test_what_died_half_way_is_completed(died_after: int, uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A claimed version is for these bytes alone: whoever comes next completes it under the same number."""
    dest, target = f"{uri}/out", f"{uri}/models"
    publish_one(open_storage(dest))
    kind = type(open_storage(target))
    upload, left = kind.upload, [None] * died_after

    def dying(self: Storage, path: Path, key: str) -> None:
        if not left:
            raise KeyboardInterrupt
        left.pop()
        upload(self, path, key)

    with monkeypatch.context() as patch:
        patch.setattr(kind, "upload", dying)
        patch.setattr("job.serving.PARALLEL", 1)
        with pytest.raises(KeyboardInterrupt):
            exported(dest, target)
    assert "saved_model.pb" not in contents(target, f"{NAME}/1")
    assert exported(dest, target) == [f"exported {NAME}/1"]
    assert contents(target, f"{NAME}/1") == MODEL
    assert {key.split("/")[2] for key in keys(open_storage(target))} == {"1", "1.json"}


def test_a_half_written_version_is_left_to_itself_by_another_model(
    moto_uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its number is claimed for other bytes: mixing the two would be a model that nobody has proven."""
    dest, target = f"{moto_uri}/out", f"{moto_uri}/models"
    store = open_storage(dest)
    publish_one(store)
    with monkeypatch.context() as patch:
        patch.setattr("job.serving._upload", lambda *_: None)
        code, why = failed(dest, target)
        assert code == StorageError.exit_code
        assert "missing or cut" in why
    publish_other(store, tmp_path)
    assert exported(dest, target) == [f"exported {NAME}/2"]
    assert contents(target, f"{NAME}/1") == {}


@pytest.mark.parametrize("name", ["saved_model.pb", "variables/variables.index", "stray"])
def test_a_version_with_other_bytes_is_no_success(name: str, uri: str) -> None:
    """What a server has loaded is not what was exported: that is told, and nothing is overwritten."""
    dest, target = f"{uri}/out", f"{uri}/models"
    publish_one(open_storage(dest))
    exported(dest, target)
    open_storage(target).replace(f"{NAME}/1/{name}", b"tampered")
    code, why = failed(dest, target)
    assert code == DestinationConflict.exit_code
    assert re.search(f"version {NAME}/1 has other files or bytes.*{name}", why)
    assert contents(target, f"{NAME}/1")[name] == b"tampered"


def test_published_bytes_are_hashed_on_their_way(tmp_path: Path) -> None:
    """A model that rotted at its destination must not be served with a proof that is of other bytes."""
    commit = publish_one(LocalStorage(tmp_path / "out"))
    index = tmp_path / "out" / NAME / PLAN[:12] / commit.attempt / "saved_model/variables/variables.index"
    index.write_bytes(b"INDEX")
    code, why = failed(str(tmp_path / "out"), str(tmp_path / "models"))
    assert code == DestinationConflict.exit_code
    assert re.search(r"published files have other bytes.*variables.index", why)
    assert not (tmp_path / "models" / NAME / "1").exists()


def test_somebody_else_s_versions_stay(tmp_path: Path) -> None:
    """A server's directory that has versions by hand gets the next one, whatever is in those."""
    publish_one(LocalStorage(tmp_path / "out"))
    mine = tmp_path / "models" / NAME / "41"
    mine.mkdir(parents=True)
    (mine / "saved_model.pb").write_bytes(MODEL["saved_model.pb"])
    (tmp_path / "models" / NAME / "007").mkdir()
    assert exported(str(tmp_path / "out"), str(tmp_path / "models")) == [f"exported {NAME}/42"]
    assert [path.name for path in mine.iterdir()] == ["saved_model.pb"]


def test_a_claim_that_may_not_be_read_makes_no_other_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever may write and not read would else export the same bytes again and again, and servers load each."""
    dest, target = str(tmp_path / "out"), str(tmp_path / "models")
    publish_one(open_storage(dest))
    exported(dest, target)
    before, read = keys(open_storage(target)), LocalStorage.read

    def denied(self: LocalStorage, key: str, **said: Any) -> bytes:
        if key.endswith("/1.json"):
            raise BadInput("it may not be read", where=key)
        return read(self, key, **said)

    monkeypatch.setattr(LocalStorage, "read", denied)
    assert failed(dest, target) == (40, f"it may not be read; {NAME}/1.json")
    assert keys(open_storage(target)) == before


def test_an_empty_directory_gives_way(tmp_path: Path) -> None:
    """Who has removed a version's files by hand has left its directory: to a bucket that is none, nor to us."""
    publish_one(LocalStorage(tmp_path / "out"))
    (tmp_path / "models" / NAME / "1").mkdir(parents=True)
    assert exported(str(tmp_path / "out"), str(tmp_path / "models")) == [f"exported {NAME}/1"]
    assert contents(str(tmp_path / "models"), f"{NAME}/1") == MODEL


def test_exports_at_the_same_time_make_one_version(uri: str) -> None:
    """Two timers that overlap agree on the number and on the bytes."""
    dest, target = f"{uri}/out", f"{uri}/models"
    publish_one(open_storage(dest))
    errors = list[BaseException]()

    def work() -> None:
        try:
            export(Settings(dest=dest, log_format="json"), target, layout="tf-serving", fast=False)
        except BaseException as error:  # noqa: BLE001 - the test raises it
            errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert contents(target, f"{NAME}/1") == MODEL
    assert {key.split("/")[2] for key in keys(open_storage(target))} == {"1", "1.json"}


def test_the_fast_model_is_taken_where_there_is_one(tmp_path: Path) -> None:
    """``--fast`` is what the benchmark won, and falls back to the faithful model where nothing was faster."""
    dest = LocalStorage(tmp_path / "out")
    publish_one(dest, "plain")
    directory = put_model(tmp_path / "made")
    (directory / "saved_model_fast").mkdir()
    (directory / "saved_model_fast/saved_model.pb").write_bytes(b"fast")
    publish(dest, reported("tuned"), attempt=ONE, directory=directory, began_s=1.0)
    assert exported(str(tmp_path / "out"), str(tmp_path / "m"), fast=True) == ["exported plain/1", "exported tuned/1"]
    assert contents(str(tmp_path / "m"), "tuned/1") == {"saved_model.pb": b"fast"}
    assert contents(str(tmp_path / "m"), "plain/1") == MODEL
    assert exported(str(tmp_path / "out"), str(tmp_path / "m")) == ["there plain/1", "exported tuned/2"]


def test_triton_s_versions_hold_a_model_savedmodel(tmp_path: Path) -> None:
    """Triton's TensorFlow backend looks for ``<model>/<version>/model.savedmodel/``."""
    publish_one(LocalStorage(tmp_path / "out"), "net")
    assert exported(str(tmp_path / "out"), str(tmp_path / "m"), layout="triton") == ["exported net/1"]
    assert contents(str(tmp_path / "m"), "net/1/model.savedmodel") == MODEL
    assert exported(str(tmp_path / "out"), str(tmp_path / "m"), layout="triton") == ["there net/1"]


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (["net"], [("net", "net", 1)]),
        (["net/3", "net/10", "net/9"], [("net", "net/10", 10)]),
        (["a/b/2", "7"], [("7", "7", 1), ("a/b", "a/b/2", 2)]),
        (["net/007", "net/0", "net/x1"], [("net/0", "net/0", 1), ("net/007", "net/007", 1), ("net/x1", "net/x1", 1)]),
    ],
)
def test_artifacts_that_were_versions_are_so_again(names: Sequence[str], told: list[tuple[str, str, int]]) -> None:
    """A source in TF Serving's own layout has ``net/9`` and ``net/10``: the newest goes on as ``net``."""
    assert sorted((one.model, one.artifact, one.first) for one in chosen_of(dict.fromkeys(names))) == told


def test_a_source_s_version_numbers_go_on(tmp_path: Path) -> None:
    """Who moves a server from the old directory to the new one sees the number that he knows, and then higher ones."""
    dest = LocalStorage(tmp_path / "out")
    publish_one(dest, "net/9")
    assert exported(str(tmp_path / "out"), str(tmp_path / "m")) == ["exported net/9"]
    directory = put_model(tmp_path / "made")
    (directory / "saved_model/saved_model.pb").write_bytes(b"other")
    publish(dest, reported("net/9", OTHER_PLAN), attempt=TWO, directory=directory, began_s=2.0)
    assert exported(str(tmp_path / "out"), str(tmp_path / "m")) == ["exported net/10"]


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (["net", "net/7"], "net/7 is a version of net, which is a model, too; net/7; export"),
        (["net", "net/7/8"], "net/7 is a version of net, which is a model, too; net/7/8; export"),
        (["net", "net/7/x.pb"], "net/7 is a version of net, which is a model, too; net/7/x.pb; export"),
        (["net/2", "net/9/x.pb"], "net/9 is a version of net, which is a model, too; net/9/x.pb; export"),
        (["a/net/2", "a/net/2/b/x"], "a/net/2 is a version of a/net, which is a model, too; a/net/2/b/x; export"),
    ],
)
def test_a_model_below_a_model_s_versions_is_refused(names: Sequence[str], told: str) -> None:
    """``net`` and ``net/7`` would be one model to a server, and its seventh version no model."""
    with pytest.raises(UsageError, match=told):
        list(chosen_of(dict.fromkeys(names)))


def test_nothing_published_is_told(tmp_path: Path) -> None:
    """A wrong URI must not look like a success."""
    with pytest.raises(NoInput, match="nothing is published"):
        exported(str(tmp_path / "nowhere"), str(tmp_path / "models"))


def damage(dest: LocalStorage, how: str) -> str:
    """Publish three models, let the first be damaged or its pointer lead nowhere, and return why it will fail."""
    for name in ("a", "b", "c"):
        publish_one(dest, name)
    if how == "damaged":
        dest.replace(f"a/{PLAN[:12]}/{ONE}/saved_model/variables/variables.index", b"INDEX")
        return "published files have other bytes"
    if how == "cut":
        dest.delete(f"a/{PLAN[:12]}/{ONE}/saved_model/variables/variables.index")
        return "published files are missing or cut"
    if how == "mispointed":
        dest.replace("a/latest.json", dest.read("a/latest.json").replace(PLAN.encode(), OTHER_PLAN.encode()))
        return "it names what is not committed"
    dest.replace("a/latest.json", b"{}")
    return "the pointer is damaged"


@pytest.mark.parametrize("how", ["damaged", "cut", "mispointed", "spoilt"])
def test_one_model_that_cannot_be_exported_keeps_none_from_it(tmp_path: Path, how: str) -> None:
    """The first of three is told of as it fails, in a line or an event; both others are there at the end."""
    why = damage(LocalStorage(tmp_path / "out"), how)
    with capture_logs() as events:
        settings = Settings(dest=str(tmp_path / "out"), log_format="json")
        assert export(settings, str(tmp_path / "m"), layout="tf-serving", fast=False) == DestinationConflict.exit_code
    assert [event["event"] for event in events] == ["export_failed", "version_exported", "version_exported"]
    assert versions(events) == ["exported b/1", "exported c/1"]
    assert (events[0]["artifact"], events[0]["model"], events[0]["code"]) == ("a", "a", 45)
    assert why in events[0]["reason"]
    assert contents(str(tmp_path / "m"), "c/1") == MODEL


def test_a_person_reads_a_line_for_what_was_not_exported(tmp_path: Path) -> None:
    """The line begins with FAILED and says what to do; the code is that of the failure."""
    damage(LocalStorage(tmp_path / "out"), "spoilt")
    ended = run_job("export", str(tmp_path / "out"), str(tmp_path / "m"), "--log-format", "text")
    assert ended.code == DestinationConflict.exit_code
    first, *others = ended.stdout.splitlines()
    assert first.startswith("FAILED    a  dest_conflict: the pointer is damaged")
    assert first.endswith("run the job again, which writes it anew")
    assert [line.split()[:2] for line in others] == [["exported", "b/1"], ["exported", "c/1"]]


def test_the_weightiest_failure_is_the_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that failed may be asked again: its code is not hidden behind a model that no second try will mend."""
    damage(LocalStorage(tmp_path / "out"), "spoilt")
    real = serving.claimed

    def claimed(shelf: Storage, chosen: Chosen, wanted: serving.Version) -> tuple[int, bool]:
        if chosen.model == "b":
            raise StorageError("503")
        return real(shelf, chosen, wanted)

    monkeypatch.setattr(serving, "claimed", claimed)
    assert failed(str(tmp_path / "out"), str(tmp_path / "m"))[0] == StorageError.exit_code
    assert contents(str(tmp_path / "m"), "c/1") == MODEL


@pytest.mark.parametrize("error", [Denied("no"), CredentialsExpired("old")])
def test_what_no_other_model_would_fare_better_after_ends_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: JobError
) -> None:
    """Thousands of models are not tried with credentials that the store has refused."""
    for name in ("a", "b"):
        publish_one(LocalStorage(tmp_path / "out"), name)
    asked = list[str]()

    def claimed(_: Storage, chosen: Chosen, __: serving.Version) -> tuple[int, bool]:
        asked.append(chosen.model)
        raise error

    monkeypatch.setattr(serving, "claimed", claimed)
    with pytest.raises(type(error)):
        failed(str(tmp_path / "out"), str(tmp_path / "m"))
    assert asked == ["a"]


def test_the_command_tells_each_model(tmp_path: Path) -> None:
    """A person reads one line for each version; a second time it is there."""
    publish_one(LocalStorage(tmp_path / "out"))
    command = ("export", str(tmp_path / "out"), str(tmp_path / "models"), "--log-format", "text")
    first, second = run_job(*command), run_job(*command)
    assert (first.code, first.stdout) == (0, f"exported  {NAME}/1  saved_model, 7.0 kB\n")
    assert (second.code, second.stdout.split()[0]) == (0, "there")
