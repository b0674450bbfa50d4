import gzip
import json
import os
import tarfile
import threading
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from job import archives, pipeline, publishing, pulling
from job.errors import NoInput, StorageError
from job.inspecting import inspect
from job.lanes import Lanes
from job.records import Artifact, ArtifactOptions, ArtifactReport
from job.settings import Settings
from job.storage.local import LocalStorage
from job.workshop import Workshop
from tests.fakes import ends, put, run_here, use_fake_stages
from tests.sources import GRAPH_DEF, checkpoint, saved_model


@pytest.fixture(autouse=True)
def without_tensorflow(monkeypatch: pytest.MonkeyPatch) -> None:
    use_fake_stages(monkeypatch)


def put_tar(path: Path, files: Mapping[str, bytes], *, link: str = "") -> None:
    """Write a tar archive compressed with gzip; `link` is the name of a link in it."""
    content = path.with_suffix(".content")
    for name, data in files.items():
        put(content, name, data=data)
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w:gz") as archive:
        archive.add(content, arcname=".")
        if link:
            member = tarfile.TarInfo(link)
            member.type, member.linkname = tarfile.SYMTYPE, "elsewhere"
            archive.addfile(member)
    for file in sorted(content.rglob("*"), reverse=True):
        file.rmdir() if file.is_dir() else file.unlink()
    content.rmdir()


def put_zip(path: Path, files: Mapping[str, bytes]) -> None:
    """Write a zip archive."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)


def test_what_archives_hold_is_converted_like_anything_else(tmp_path: Path) -> None:
    """Each artifact is published under the archive's name and its own, whatever becomes of its neighbours."""
    put(tmp_path / "in", "a.pb")
    put_tar(tmp_path / "in" / "zoo" / "b.tar.gz", {**saved_model("m/"), "n/refused.pb": GRAPH_DEF, "n/z.pb": GRAPH_DEF})
    put_zip(tmp_path / "in" / "c.zip", checkpoint("model.ckpt"))
    put_tar(tmp_path / "in" / "d.tgz", saved_model(""))
    put(tmp_path / "in", "z.pb")
    summary = run_here(tmp_path)
    assert ends(summary) == {
        "a.pb": "published",
        "c.zip/model.ckpt": "published",
        "d.tgz": "published",
        "z.pb": "published",
        "zoo/b.tar.gz/m": "published",
        "zoo/b.tar.gz/n/refused.pb": 42,
        "zoo/b.tar.gz/n/z.pb": "published",
    }
    assert summary.exit_code == 42
    (report,) = (one for one in summary.reports if one.artifact.name == "c.zip/model.ckpt")
    assert [digest.key for digest in report.sources] == [stored.key for stored in report.artifact.objects]
    assert (tmp_path / "out" / report.place / "report.html").is_file()
    assert list((tmp_path / "out" / "zoo" / "b.tar.gz" / "m").glob("*/*/saved_model/saved_model.pb"))


def test_second_run_skips_what_is_committed(tmp_path: Path) -> None:
    """The archive is opened again, for its bytes decide; nothing in it is converted again."""
    put_tar(tmp_path / "in" / "b.tar.gz", {"a.pb": GRAPH_DEF, "b.pb": GRAPH_DEF})
    run_here(tmp_path)
    assert ends(run_here(tmp_path)) == {
        "b.tar.gz/a.pb": "already_published",
        "b.tar.gz/b.pb": "already_published",
    }


@pytest.mark.parametrize(
    ("only", "done"),
    [
        ("b.tgz", ["b.tgz/n/x.pb", "b.tgz/n/y.pb"]),
        ("b.tgz/n/x.pb", ["b.tgz/n/x.pb"]),
        ("*/x.pb", ["b.tgz/n/x.pb", "c.zip/x.pb"]),
        ("*.pb", ["a.pb", "b.tgz/n/x.pb", "b.tgz/n/y.pb", "c.zip/x.pb"]),
        ("a.pb", ["a.pb"]),
    ],
)
def test_only_picks_by_the_whole_name(tmp_path: Path, only: str, done: list[str]) -> None:
    """A pattern fits what is in an archive as it fits what is in a directory; other archives end silently."""
    put(tmp_path / "in", "a.pb")
    put_tar(tmp_path / "in" / "b.tgz", {"n/x.pb": GRAPH_DEF, "n/y.pb": GRAPH_DEF})
    put_zip(tmp_path / "in" / "c.zip", {"x.pb": GRAPH_DEF})
    summary = run_here(tmp_path, only=only)
    assert sorted(ends(summary)) == done
    assert summary.exit_code == 0


def test_pattern_that_fits_in_no_archive_is_told(tmp_path: Path) -> None:
    """A run that has done nothing is no success: a misspelt pattern ends it with code 43, as without archives."""
    put_zip(tmp_path / "in" / "c.zip", {"x.pb": GRAPH_DEF})
    with pytest.raises(NoInput, match=r"nothing fits --only '\*/y.pb', in no archive either"):
        run_here(tmp_path, only="*/y.pb")
    settings = Settings(source=str(tmp_path / "in"), only="*/y.pb", sandbox="best-effort")
    with pytest.raises(NoInput):
        inspect(settings, dict(os.environ), as_json=True, details=True)


def test_what_an_archive_holds_beside_models_is_said(tmp_path: Path) -> None:
    """It is in the run's summary, under the archive's name."""
    put_zip(tmp_path / "in" / "c.zip", {"x.pb": GRAPH_DEF, "notes.md": b"x"})
    assert [left.key for left in run_here(tmp_path).left_alone] == ["c.zip/notes.md"]


def test_misspelt_name_in_an_archive_is_told(tmp_path: Path) -> None:
    """The error names what the archive holds."""
    put_tar(tmp_path / "in" / "b.tgz", {"n/x.pb": GRAPH_DEF})
    (report,) = run_here(tmp_path, only="b.tgz/n/xx.pb").reports
    assert report.error is not None
    assert (report.error.exit_code, report.error.remedy) == (43, "the closest names are b.tgz/n/x.pb")


def test_forms_in_an_archive(tmp_path: Path) -> None:
    """Of one model's forms one is taken, unless all are asked for."""
    zoo = {
        **saved_model("ssd/saved_model/"),
        **checkpoint("ssd/model.ckpt"),
        "ssd/frozen_inference_graph.pb": GRAPH_DEF,
    }
    put_tar(tmp_path / "in" / "ssd.tar.gz", zoo)
    assert list(ends(run_here(tmp_path))) == ["ssd.tar.gz/ssd/saved_model"]
    assert len(ends(run_here(tmp_path, all_forms=True))) == 3


def test_manifest_speaks_of_what_is_in_an_archive(tmp_path: Path) -> None:
    """Its globs fit the whole names, so that none is called unused; an artifact with a bad entry fails alone."""
    put_tar(tmp_path / "in" / "b.tgz", {"x.pb": GRAPH_DEF, "y.pb": GRAPH_DEF})
    said = "[{match: b.tgz/x.pb, tolerance: 0.5}, {match: b.tgz/y.pb, samples: gone.npz}, {match: c.tgz/*}]"
    (tmp_path / "m.yaml").write_text(f"artifacts: {said}")
    with capture_logs() as events:
        summary = run_here(tmp_path, manifest=str(tmp_path / "m.yaml"))
    assert ends(summary) == {"b.tgz/x.pb": "published", "b.tgz/y.pb": 2}
    assert [event["match"] for event in events if event["event"] == "manifest_entry_unused"] == ["c.tgz/*"]
    plain = run_here(tmp_path)
    assert plain.reports[0].plan != summary.reports[0].plan


def test_manifest_entry_that_fits_in_no_archive_is_told(tmp_path: Path) -> None:
    """Whether an entry is misspelt is known once the archives were open; one that fits there is used."""
    put_zip(tmp_path / "in" / "c.zip", {"x.pb": GRAPH_DEF})
    (tmp_path / "m.yaml").write_text("artifacts: [{match: c.zip/y.pb}, {match: c.zip/x.pb}, {match: z.pb}]")
    with capture_logs() as events:
        run_here(tmp_path, manifest=str(tmp_path / "m.yaml"))
    unused = [event for event in events if event["event"] == "manifest_entry_unused"]
    assert [event["match"] for event in unused] == ["z.pb", "c.zip/y.pb"]
    assert unused[1]["remedy"] == "did you mean 'c.zip/x.pb'?"


def test_vocabulary_that_the_manifest_names_is_the_archives(tmp_path: Path) -> None:
    """Its key is one in the archive, and its bytes decide the result."""
    put_tar(tmp_path / "in" / "b.tgz", {"m/x.pb": GRAPH_DEF, "text/words": b"a"})
    (tmp_path / "m.yaml").write_text("artifacts: [{match: '*', assets: {/gone/vocab.txt: text/words}}]")
    (report,) = run_here(tmp_path, manifest=str(tmp_path / "m.yaml")).reports
    assert [digest.key for digest in report.sources] == ["m/x.pb", "text/words"]


def test_archive_that_cannot_be_opened_is_one_artifact(tmp_path: Path) -> None:
    """Damaged, hostile, without a model, with archives only: each is reported on like a broken model."""
    put_tar(tmp_path / "in" / "cut.tgz", {"x.pb": GRAPH_DEF})
    whole = (tmp_path / "in" / "cut.tgz").read_bytes()
    put(tmp_path / "in", "cut.tgz", data=whole[:-20])
    put_zip(tmp_path / "in" / "out.zip", {"../x.pb": GRAPH_DEF})
    put_zip(tmp_path / "in" / "images.zip", {"cat.jpg": b"x"})
    put_zip(tmp_path / "in" / "nested.zip", {"cut.tgz": whole})
    summary = run_here(tmp_path)
    assert ends(summary) == {"cut.tgz": 40, "images.zip": 40, "nested.zip": 40, "out.zip": 42}
    said = {report.artifact.name: report.error for report in summary.reports}
    assert all(error and error.where.endswith(name) for name, error in said.items())
    assert "an archive without a model: no TF1 model among the 1 objects" in str(said["images.zip"])
    assert "it is a tar archive within an archive, which is not opened" in str(said["nested.zip"])
    failed = sorted(path.name for path in (tmp_path / "out" / "_failed").iterdir())
    assert failed == ["cut.tgz", "images.zip", "nested.zip", "out.zip"]


def test_archive_is_pulled_by_the_shard_that_owns_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The archive's name decides; what is in it stays together."""
    for name in "abcd":
        put_tar(tmp_path / "in" / f"{name}.tgz", {"x.pb": GRAPH_DEF, "y.pb": GRAPH_DEF})
    pulled = list[str]()
    download = LocalStorage.download

    def noted(self: LocalStorage, stored: object, path: Path) -> object:
        pulled.append(getattr(stored, "key", ""))
        return download(self, stored, path)  # type: ignore[arg-type]

    monkeypatch.setattr(LocalStorage, "download", noted)
    done = list[str]()
    for index in range(2):
        pulled.clear()
        names = list(ends(run_here(tmp_path, {"JOB_COMPLETION_INDEX": str(index), "JOB_SHARD_COUNT": "2"})))
        assert {name.partition("/")[0] for name in names} == {key for key in pulled if key.endswith(".tgz")}
        done += names
    assert sorted(done) == [f"{name}.tgz/{inner}.pb" for name in "abcd" for inner in "xy"]


def test_scratch_holds_one_archive_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was unpacked goes before the next archive is, the archive itself as soon as it is unpacked."""
    for name in "abc":
        put_tar(tmp_path / "in" / f"{name}.tgz", {"x.pb": GRAPH_DEF, "y.pb": GRAPH_DEF})
    seen = list[tuple[str, list[str]]]()
    process = pipeline.process

    def noted(shop: Workshop, artifact: Artifact, options: ArtifactOptions) -> ArtifactReport:
        unpacked = [path.name for path in (shop.scratch / "pulled").glob("*.unpacked") for path in path.iterdir()]
        seen.append((artifact.name, sorted(unpacked)))
        return process(shop, artifact, options)

    monkeypatch.setattr(pipeline, "process", noted)
    (tmp_path / "scratch").mkdir()
    run_here(tmp_path, scratch=str(tmp_path / "scratch"), lanes=1)
    assert [unpacked for _, unpacked in seen] == [["x.pb", "y.pb"]] * 6
    assert list((tmp_path / "scratch").iterdir()) == []


def test_what_is_in_an_archive_is_pulled_by_the_same_manners(tmp_path: Path) -> None:
    """Its artifacts wait for the same benchmarks, and claim the same room."""
    storage = LocalStorage(tmp_path)
    outer = pulling.PullAhead(storage, tmp_path / "scratch", [], manners=pulling.Manners(ahead=3))
    inner = outer.within(storage, [])
    assert (inner._manners, inner._room) == (outer._manners, outer._room)


def test_what_takes_time_waits_for_those_who_measure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Unpacking, the digests of `--repair` and the report of a failure; who awaits an archive keeps nobody waiting."""
    here, transfer, seen = threading.local(), Lanes.transfer, set[tuple[str, bool]]()

    @contextmanager
    def gate(self: Lanes, **how: bool) -> Iterator[None]:
        with transfer(self, **how):
            here.is_inside = True
            yield
            here.is_inside = False

    def note(module: object, name: str) -> None:
        call = getattr(module, name)

        def noted(*given: Any, **more: Any) -> Any:
            seen.add((name, getattr(here, "is_inside", False)))
            return call(*given, **more)

        monkeypatch.setattr(module, name, noted)

    monkeypatch.setattr(Lanes, "transfer", gate)
    note(archives, "unpack")
    note(publishing, "find_commit")
    note(publishing, "publish_failure")
    note(pulling.PullAhead, "take")
    put_tar(tmp_path / "in" / "m.tgz", {"a.pb": GRAPH_DEF, "refused.pb": GRAPH_DEF})
    run_here(tmp_path)
    assert seen == {("take", False), ("unpack", True), ("find_commit", True), ("publish_failure", True)}


def test_bug_costs_its_archive_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error of ours in opening one archive does not end the run."""
    put_tar(tmp_path / "in" / "a.tgz", {"x.pb": GRAPH_DEF})
    put(tmp_path / "in", "b.pb")
    monkeypatch.setattr(archives, "unpack", lambda *_: 1 / 0)
    assert ends(run_here(tmp_path)) == {"a.tgz": 70, "b.pb": "published"}


def test_store_that_fails_is_told_of_the_archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An archive that cannot be pulled keeps its code, so that another attempt may follow."""
    put_tar(tmp_path / "in" / "a.tgz", {"x.pb": GRAPH_DEF})

    def fail(*_: object) -> None:
        raise StorageError("the store failed", remedy="try again")

    monkeypatch.setattr(LocalStorage, "download", fail)
    assert ends(run_here(tmp_path)) == {"a.tgz": 74}


def test_signal_within_an_archive_ends_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was done is in the summary; the archive counts as left, for not all of it was."""
    put_tar(tmp_path / "in" / "a.tgz", {"x.pb": GRAPH_DEF, "y.pb": GRAPH_DEF})
    process = pipeline.process

    def interrupted(shop: Workshop, artifact: Artifact, options: ArtifactOptions) -> ArtifactReport:
        if artifact.name.endswith("y.pb"):
            raise KeyboardInterrupt("SIGTERM")
        return process(shop, artifact, options)

    monkeypatch.setattr(pipeline, "process", interrupted)
    with capture_logs() as events:
        summary = run_here(tmp_path)
    assert (ends(summary), summary.exit_code) == ({"a.tgz/x.pb": "published"}, 75)
    (said,) = (event for event in events if event["event"] == "run_interrupted")
    assert (said["left"], said["next"]) == (1, ["a.tgz"])


def _inspected(tmp_path: Path, *, details: bool = True) -> int:
    settings = Settings(source=str(tmp_path / "in"), sandbox="best-effort")
    return inspect(settings, {"PATH": os.environ["PATH"]}, as_json=True, details=details)


def test_inspect_opens_archives(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its artifacts come in an archive's place, and what is left alone in it is said with the archive's key."""
    put_tar(tmp_path / "in" / "b.tgz", {"m/x.pb": GRAPH_DEF, "m/refused.pb": GRAPH_DEF, "m/cat.jpg": b"x"}, link="m/l")
    put(tmp_path / "in", "c.tgz", data=gzip.compress(gzip.decompress((tmp_path / "in" / "b.tgz").read_bytes()))[:-9])
    assert _inspected(tmp_path) == 42
    document = json.loads(capsys.readouterr().out)
    assert {one["artifact"]["name"]: (one["error"] or {}).get("code_name") for one in document["artifacts"]} == {
        "b.tgz/m/x.pb": None,
        "b.tgz/m/refused.pb": "refused",
        "c.tgz": "bad_input",
    }
    left = {one["key"]: one["reason"] for one in document["left_alone"]}
    assert sorted(left) == ["b.tgz/m/cat.jpg", "b.tgz/m/l"]
    assert "not followed" in left["b.tgz/m/l"]


def test_listing_alone_opens_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Archives are named as what they are; nothing is pulled."""
    put_tar(tmp_path / "in" / "b.tgz", {"m/x.pb": GRAPH_DEF})
    assert _inspected(tmp_path, details=False) == 0
    (one,) = json.loads(capsys.readouterr().out)["artifacts"]
    assert (one["artifact"]["name"], one["artifact"]["format"], one["will_convert"]) == ("b.tgz", "archive", None)


def test_people_see_what_an_archive_holds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The list of it follows the list of everything, and names what is left alone."""
    put_tar(tmp_path / "in" / "b.tgz", {"m/x.pb": GRAPH_DEF, "m/cat.jpg": b"x"})
    settings = Settings(source=str(tmp_path / "in"), sandbox="best-effort")
    inspect(settings, {"PATH": os.environ["PATH"]}, as_json=False, details=True)
    out = capsys.readouterr().out
    assert "open, and convert what it holds" in out
    assert out.index("b.tgz/m/cat.jpg") > out.index("b.tgz/m/x.pb") > out.index("open, and convert")
