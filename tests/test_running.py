import hashlib
import json
import os
import signal
import threading
import time
from pathlib import Path
from typing import Any, Literal

import pytest
from structlog.testing import capture_logs

from job import assignment, pipeline, publishing
from job.errors import Denied, DeviceError, Interrupted, JobError, LocalIOError, NoInput, StorageError, UsageError
from job.manifest import Manifest
from job.preparing import check_apart, check_writable, options_of, read_manifest
from job.records import Artifact, ArtifactOptions, ArtifactReport, Format, TargetTf
from job.settings import Settings
from job.storage.local import LocalStorage
from job.workshop import Workshop
from tests.fakes import ends, put, run_here, use_fake_stages
from tests.jobs import await_worker
from tests.sources import GRAPH_DEF, HTML, MemoryStorage


@pytest.fixture(autouse=True)
def without_tensorflow(monkeypatch: pytest.MonkeyPatch) -> None:
    use_fake_stages(monkeypatch)


def test_one_artifact_never_stops_another(tmp_path: Path) -> None:
    """Whatever befalls one artifact, the others are published, and each kind of end has its own code."""
    put(tmp_path / "in", "a.pb", "bug.pb", "full.pb", "refused.pb", "segfault.pb", "wrong.pb", "z.pb")
    put(tmp_path / "in", "html.pb", data=HTML)
    summary = run_here(tmp_path)
    assert ends(summary) == {
        "a.pb": "published",
        "bug.pb": 70,
        "full.pb": 71,
        "html.pb": 40,
        "refused.pb": 42,
        "segfault.pb": 47,
        "wrong.pb": 41,
        "z.pb": "published",
    }
    assert summary.exit_code == 71  # the highest of those in the order of errors.PRECEDENCE
    models = sorted(path.relative_to(tmp_path / "out").parts[0] for path in (tmp_path / "out").rglob("saved_model.pb"))
    assert models == ["a.pb", "z.pb"]
    failed = sorted(path.name for path in (tmp_path / "out" / "_failed").iterdir())
    assert failed == ["bug.pb", "full.pb", "html.pb", "refused.pb", "segfault.pb", "wrong.pb"]


def test_run_leaves_a_summary_and_an_index(tmp_path: Path) -> None:
    """Each shard's summary lies below ``_runs`` with a page that leads to the reports."""
    put(tmp_path / "in", "a.pb")
    summary = run_here(tmp_path)
    home = tmp_path / "out" / "_runs" / summary.run
    assert json.loads((home / "shard-0.json").read_text())["exit_code"] == 0
    link = (home / "index-0.html").read_text().split('href="')[1].split('"')[0]
    assert (home / link).resolve().is_file()
    assert sorted(path.name for path in home.iterdir()) == ["index-0.html", "shard-0.json"]


def test_second_run_skips_what_is_committed(tmp_path: Path) -> None:
    """Nothing is done twice, and what the first run's death may have left undone is made good: the pointer."""
    put(tmp_path / "in", "a.pb")
    first = run_here(tmp_path)
    (tmp_path / "out" / "a.pb" / "latest.json").unlink()
    second = run_here(tmp_path)
    assert ends(second) == {"a.pb": "already_published"}
    assert (second.exit_code, second.reports[0].place) == (0, first.reports[0].place)
    assert [timing.stage for timing in second.reports[0].timings] == ["pull"]
    assert (tmp_path / "out" / "a.pb" / "latest.json").is_file()


def test_changed_source_and_changed_options_are_made_anew(tmp_path: Path) -> None:
    """What decides a result is part of the plan: other bytes or another tolerance make another result."""
    put(tmp_path / "in", "a.pb")
    plans = [run_here(tmp_path).reports[0].plan, run_here(tmp_path, tolerance=1e-3).reports[0].plan]
    put(tmp_path / "in", "a.pb", data=GRAPH_DEF + GRAPH_DEF)
    plans.append(run_here(tmp_path).reports[0].plan)
    assert len(set(plans)) == 3


def test_vocabulary_that_the_manifest_names_is_part_of_the_plan(tmp_path: Path) -> None:
    """Its bytes decide a result as the model's do, and where it is not there the artifact fails."""
    put(tmp_path / "in", "m/a.pb")
    manifest = tmp_path / "manifest.yaml"
    manifest.write_text("artifacts: [{match: '*', assets: {/gone/vocab.txt: text/words}}]")
    missing = run_here(tmp_path, manifest=str(manifest))
    assert missing.exit_code == 40
    plans = []
    for words in (b"one", b"two"):
        put(tmp_path / "in", "text/words", data=words)
        (report,) = run_here(tmp_path, manifest=str(manifest)).reports
        assert [digest.key for digest in report.sources] == ["m/a.pb", "text/words"]
        plans.append(report.plan)
    assert plans[0] != plans[1]


def test_shards_share_the_work(tmp_path: Path) -> None:
    """Each artifact is one shard's; a shard that has none ends well."""
    names = [f"{number}.pb" for number in range(6)]
    put(tmp_path / "in", *names)
    done = [
        ends(run_here(tmp_path, {"JOB_COMPLETION_INDEX": str(index), "JOB_SHARD_COUNT": "3"})) for index in range(3)
    ]
    assert sorted(name for shard in done for name in shard) == names


def test_shard_without_work_ends_well_and_says_so(tmp_path: Path) -> None:
    """More shards than artifacts are no fault; the log says that there was nothing to do."""
    put(tmp_path / "in", "a.pb")
    quiet = list[str]()
    for index in range(5):
        with capture_logs() as events:
            summary = run_here(tmp_path, {"JOB_COMPLETION_INDEX": str(index), "JOB_SHARD_COUNT": "5"})
        assert summary.exit_code == 0
        said = [event["cause"] for event in events if event["event"] == "shard_empty"]
        assert bool(said) == (not summary.reports)
        quiet += said
    assert len(quiet) == 4
    assert all("nothing for index" in one and "of 5" in one for one in quiet)


@pytest.mark.parametrize("what", ["segfault", "hang"])
def test_worker_that_dies_looking_for_a_device_is_a_device_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """A driver that crashes or hangs its user is the machine's fault: 73, which another machine may not meet."""
    monkeypatch.setenv("TF_TEST_PROBE", what)
    put(tmp_path / "in", "a.pb")
    with pytest.raises(DeviceError, match=r"no device could be found: .*; check driver"):
        run_here(tmp_path, {"TF_TEST_PROBE": what}, stage_timeout_s=2)


def test_samples_are_part_of_the_plan_by_their_content(tmp_path: Path) -> None:
    """Recorded inputs are pulled to another place in each run; the same ones must not lead to another result."""
    put(tmp_path / "in", "a.pb")
    (tmp_path / "m.yaml").write_text("artifacts: [{match: a.pb, samples: in.npz}]")
    (tmp_path / "in.npz").write_bytes(b"one")
    found = [ends(run_here(tmp_path, manifest=str(tmp_path / "m.yaml")))["a.pb"] for _ in range(2)]
    (tmp_path / "in.npz").write_bytes(b"two")
    found.append(ends(run_here(tmp_path, manifest=str(tmp_path / "m.yaml")))["a.pb"])
    assert found == ["published", "already_published", "published"]


def test_refusal_of_the_store_stops_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No other artifact would fare better where the store refuses us: the rest is named, and the code is 44."""

    def process(_: Workshop, artifact: Artifact, __: ArtifactOptions) -> ArtifactReport:
        error = Denied("no").to_record()
        return ArtifactReport(artifact=artifact, status="not_published", error=error)

    monkeypatch.setattr(pipeline, "process", process)
    put(tmp_path / "in", "a.pb", "b.pb", "c.pb")
    with capture_logs() as events:
        summary = run_here(tmp_path, lanes=1)
    assert (summary.exit_code, len(summary.reports)) == (44, 1)
    assert [event["next"] for event in events if event["event"] == "run_stopped"] == [["b.pb", "c.pb"]]


def test_bug_costs_its_artifact_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An exception that nobody foresaw in the supervisor is code 70 of that artifact, told in one line."""
    real = publishing.find_commit

    def find_commit(dest: Any, artifact: str, plan: str, *, repair: bool) -> Any:
        return 1 // 0 if artifact == "a.pb" else real(dest, artifact, plan, repair=repair)

    monkeypatch.setattr(publishing, "find_commit", find_commit)
    put(tmp_path / "in", "a.pb", "b.pb")
    summary = run_here(tmp_path)
    assert ends(summary) == {"a.pb": 70, "b.pb": "published"}
    assert "ZeroDivisionError" in (summary.reports[0].error.what if summary.reports[0].error else "")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_ends_the_run_with_75_and_says_what_is_left(tmp_path: Path, number: signal.Signals) -> None:
    """What is committed stays, the artifact at work is dropped, and a second run does the rest."""
    put(tmp_path / "in", "a.pb", "b/hang.pb", "c.pb")
    handlers = [signal.getsignal(one) for one in (signal.SIGTERM, signal.SIGINT)]

    def send() -> None:
        while not (tmp_path / "out" / "a.pb" / "latest.json").exists():
            time.sleep(0.05)
        await_worker(os.getpid())
        os.kill(os.getpid(), number)

    threading.Thread(target=send).start()
    with capture_logs() as events:
        summary = run_here(tmp_path, lanes=1)
    said = next(event for event in events if event["event"] == "run_interrupted")
    assert (summary.exit_code, ends(summary)) == (75, {"a.pb": "published"})
    assert (said["cause"], said["left"], said["next"]) == (f"{number.name} came", 2, ["b/hang.pb", "c.pb"])
    assert [signal.getsignal(one) for one in (signal.SIGTERM, signal.SIGINT)] == handlers
    assert not (tmp_path / "out" / "_failed").exists()
    (tmp_path / "in" / "b" / "hang.pb").rename(tmp_path / "in" / "b" / "well.pb")
    assert ends(run_here(tmp_path)) == {
        "a.pb": "already_published",
        "b/well.pb": "published",
        "c.pb": "published",
    }


def test_signal_before_the_work_is_an_error_of_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """There is no summary to tell it in yet."""
    monkeypatch.setattr(assignment, "discover", lambda *_, **__: os.kill(os.getpid(), signal.SIGTERM))
    put(tmp_path / "in", "a.pb")
    with pytest.raises(Interrupted, match="SIGTERM came; run again"):
        run_here(tmp_path)


@pytest.mark.parametrize(("device", "end"), [("cpu", 0), ("auto", 0), ("gpu", DeviceError)])
def test_device_is_found_before_the_work(tmp_path: Path, device: str, end: int | type[JobError]) -> None:
    """A GPU that is required and absent ends the run; ``auto`` falls back and says so."""
    put(tmp_path / "in", "a.pb")
    with capture_logs() as events:
        if isinstance(end, int):
            assert run_here(tmp_path, device=device).exit_code == end
        else:
            with pytest.raises(end, match="no GPU; choose --device cpu"):
                run_here(tmp_path, device=device)
            assert list((tmp_path / "out").iterdir()) == []
    assert [event["event"] for event in events if event["event"] == "no_gpu"] == ["no_gpu"] * (device == "auto")


@pytest.mark.parametrize(
    ("source", "dest", "said"),
    [
        ("/a", "/a", "the destination is the source"),
        ("/a/", "/a", "the destination is the source"),
        ("/a", "/a/b/c", "inside the source"),
        ("/", "/b", "inside the source"),
        ("/a/x/..", "/a/b", "inside the source"),
        ("file:///a", "/a/b", "inside the source"),
        ("file://localhost/a%20b", "/a b/c", "inside the source"),
        ("s3://b/a", "s3://b/a/", "the destination is the source"),
        ("s3://b", "s3://b/out", "inside the source"),
        ("", "/a", "--source is not set; pass --source URI or set JOB_SOURCE"),
        ("/a", "", "--dest is not set; pass --dest URI or set JOB_DEST"),
    ],
)
def test_results_must_not_become_sources(source: str, dest: str, said: str) -> None:
    """The next run would convert its own results."""
    with pytest.raises(UsageError) as caught:
        check_apart(source, dest)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("source", "dest"), [("/a/in", "/a/out"), ("/a", "/ab"), ("s3://b/a", "s3://b/ab"), ("/a/b", "/a")]
)
def test_neighbours_are_apart(source: str, dest: str) -> None:
    """What only begins with the same letters, or lies above, is somewhere else."""
    check_apart(source, dest)


@pytest.mark.parametrize("dest", ["/proc/tf1lift", "{tmp_path}/in/a.pb/out"])
def test_destination_is_tried_before_the_work(tmp_path: Path, dest: str) -> None:
    """A destination that cannot be written to costs no conversion, and leaves nothing."""
    put(tmp_path / "in", "a.pb")
    put(tmp_path / "models", "b.pb")
    dest = dest.format(tmp_path=tmp_path)
    with capture_logs() as events, pytest.raises(LocalIOError, match=f"destination cannot be written to.*{dest}"):
        run_here(tmp_path, source=str(tmp_path / "models"), dest=dest)
    assert [event["event"] for event in events] == ["run_started"]


def test_weak_destination_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that overwrites whatever is asked still works for one writer at a time; its user must know."""
    dest = MemoryStorage({})
    monkeypatch.setattr(dest, "supports_create_only", lambda: False)
    with capture_logs() as events:
        check_writable(dest)
    assert [(event["event"], event["log_level"]) for event in events] == [("destination_is_weak", "warning")]


def test_summary_that_cannot_be_stored_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is published is published: a lost summary is a warning (faults §2)."""
    create_ = LocalStorage.create

    def create(storage: LocalStorage, key: str, data: bytes) -> bool:
        if key.startswith("_runs/"):
            raise StorageError("503")
        return create_(storage, key, data)

    monkeypatch.setattr(LocalStorage, "create", create)
    put(tmp_path / "in", "a.pb")
    with capture_logs() as events:
        assert run_here(tmp_path).exit_code == 0
    assert "summary_upload_failed" in [event["event"] for event in events]


def test_run_says_what_it_left_alone(tmp_path: Path) -> None:
    """What is in the source and in no report is in the summary and the index with its reason; of two shards once."""
    put(tmp_path / "in", "a.pb", "b.pb")
    put(tmp_path / "in", "notes.md", data=b"x")
    said = []
    for index in ("0", "1"):
        summary = run_here(tmp_path, {"JOB_COMPLETION_INDEX": index, "JOB_SHARD_COUNT": "2"})
        home = tmp_path / "out" / "_runs" / summary.run
        document = json.loads((home / f"shard-{index}.json").read_bytes())
        said.append([left["key"] for left in document["left_alone"]])
        assert ("notes.md" in (home / f"index-{index}.html").read_text()) == (index == "0")
    assert said == [["notes.md"], []]


@pytest.mark.parametrize("scratch", ["/proc", "{tmp_path}/in/a.pb", "/no/such/directory"])
def test_scratch_that_cannot_be_used_is_told(tmp_path: Path, scratch: str) -> None:
    """A read-only root is common in clusters: the message names the flag."""
    put(tmp_path / "in", "a.pb")
    scratch = scratch.format(tmp_path=tmp_path)
    with pytest.raises(LocalIOError, match=rf"scratch directory cannot be used.*{scratch}.*--scratch"):
        run_here(tmp_path, scratch=scratch)


def test_scratch_is_left_as_it_was(tmp_path: Path) -> None:
    """Neither success nor failure leaves pulled or converted files on the machine."""
    put(tmp_path / "in", "a.pb", "segfault.pb")
    (tmp_path / "scratch").mkdir()
    run_here(tmp_path, scratch=str(tmp_path / "scratch"))
    assert list((tmp_path / "scratch").iterdir()) == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("artifacts: [{match: a, tolerence: 1}]", "m.yaml:1; did you mean 'tolerance'?"),
        ("artifacts: [{match: a.pb, samples: gone.npz}]", "gone.npz; correct the manifest"),
        ("][", "no YAML"),
    ],
)
def test_wrong_manifest_ends_the_run_before_the_work(tmp_path: Path, text: str, said: str) -> None:
    """What a user says wrongly is told with file and line; nothing is converted by halves of what was meant."""
    put(tmp_path / "in", "a.pb")
    (tmp_path / "m.yaml").write_text(text)
    with pytest.raises(UsageError) as caught:
        run_here(tmp_path, manifest=str(tmp_path / "m.yaml"))
    assert said in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_absent_manifest_is_a_usage_error(tmp_path: Path) -> None:
    """It is no missing source: the flag is named."""
    with pytest.raises(UsageError, match=r"there is no manifest; .*absent\.yaml; check --manifest"):
        read_manifest(Settings(manifest=str(tmp_path / "absent.yaml")), [], tmp_path)
    (tmp_path / "manifest.yaml").touch()
    with pytest.raises(UsageError, match=r"there is no manifest; .*; did you mean .*/manifest\.yaml\?"):
        read_manifest(Settings(manifest=str(tmp_path / "manifesto.yaml")), [], tmp_path)


def test_manifest_entry_that_fits_nothing_is_named(tmp_path: Path) -> None:
    """It is misspelt, most likely; the run goes on."""
    (tmp_path / "m.yaml").write_text("artifacts: [{match: typo*}, {match: a*}]")
    with capture_logs() as events:
        read_manifest(
            Settings(manifest=str(tmp_path / "m.yaml")),
            [Artifact(name="a.pb", format=Format.GRAPH_DEF, entry="a.pb", objects=())],
            tmp_path,
        )
    assert [event["match"] for event in events] == ["typo*"]


@pytest.mark.parametrize(
    ("flag", "entry", "allowed"), [(False, False, False), (True, False, True), (False, True, True)]
)
def test_nonfinite_weights_are_allowed_by_flag_or_entry(tmp_path: Path, flag: bool, entry: bool, allowed: bool) -> None:  # noqa: FBT001 - parameters of a test
    """Either is enough."""
    text = f"artifacts: [{{match: a.pb, allow_nonfinite: {str(entry).lower()}}}]"
    (tmp_path / "m.yaml").write_text(text)
    settings = Settings(manifest=str(tmp_path / "m.yaml"), allow_nonfinite=flag)
    put(tmp_path / "in", "a.pb")
    artifact = run_here(tmp_path).reports[0].artifact
    manifest: Manifest = read_manifest(settings, [artifact], tmp_path)
    assert options_of(settings, manifest, artifact, tmp_path).allow_nonfinite is allowed


@pytest.mark.parametrize(
    ("flag", "entry", "taken"),
    [("auto", "auto", "auto"), ("auto", "off", "off"), ("auto", "on", "on"), ("off", "on", "off"), ("on", "off", "on")],
)
def test_averages_are_chosen_by_flag_or_entry(
    tmp_path: Path, flag: Literal["auto", "on", "off"], entry: str, taken: str
) -> None:
    """The flag comes first; without one the manifest says of each artifact which weights it has."""
    (tmp_path / "m.yaml").write_text(f"artifacts: [{{match: a.pb, ema: {entry}}}]")
    settings = Settings(manifest=str(tmp_path / "m.yaml"), ema=flag)
    artifact = Artifact(name="a.pb", format=Format.GRAPH_DEF, entry="a.pb", objects=())
    manifest = read_manifest(settings, [artifact], tmp_path)
    assert options_of(settings, manifest, artifact, tmp_path).ema == taken


@pytest.mark.parametrize(
    ("flag", "entry", "taken"), [("running", "2.4", "2.4"), ("2.8", "2.4", "2.8"), ("2.8", "running", "2.8")]
)
def test_target_is_the_flag_s_or_the_entry_s(tmp_path: Path, flag: TargetTf, entry: str, taken: str) -> None:
    """The TensorFlow that shall load a model is said for all of them, or in the manifest for one."""
    (tmp_path / "m.yaml").write_text(f"artifacts: [{{match: a.pb, target_tf: {entry}}}]")
    settings = Settings(manifest=str(tmp_path / "m.yaml"), target_tf=flag)
    artifact = Artifact(name="a.pb", format=Format.GRAPH_DEF, entry="a.pb", objects=())
    manifest = read_manifest(settings, [artifact], tmp_path)
    assert options_of(settings, manifest, artifact, tmp_path).target_tf == taken


def test_op_libraries_of_setting_and_manifest_are_pulled(tmp_path: Path) -> None:
    """The flag's library and the manifest's are both pulled, the latter from beside the manifest, with their pins."""
    library = tmp_path / "ops.so"
    library.write_bytes(b"ops")
    pin = f"@sha256:{hashlib.sha256(b'ops').hexdigest()}"
    (tmp_path / "m.yaml").write_text(f"artifacts: [{{match: '*', op_libraries: ['ops.so{pin}']}}]")
    put(tmp_path / "in", "a.pb")
    artifact = run_here(tmp_path).reports[0].artifact
    settings = Settings(source="s", dest="d", manifest=f"{tmp_path}/m.yaml", op_library=f"{library}{pin}")
    options = options_of(settings, read_manifest(settings, [artifact], tmp_path), artifact, tmp_path)
    assert len(options.op_libraries) == 2
    assert all(Path(text.removesuffix(pin)).read_bytes() == b"ops" for text in options.op_libraries)


def test_wrong_op_library_ends_the_run_at_once(tmp_path: Path) -> None:
    """Another file than the pinned one ends with 2 and the digest that was found, before any work."""
    put(tmp_path / "in", "a.pb")
    library = tmp_path / "ops.so"
    library.write_bytes(b"changed")
    with pytest.raises(UsageError, match=hashlib.sha256(b"changed").hexdigest()):
        run_here(tmp_path, op_library=f"{library}@sha256:{'0' * 64}")


@pytest.mark.parametrize("only", ["b*", "A.PB"])
def test_nothing_matched_names_what_is_near(tmp_path: Path, only: str) -> None:
    """A misspelt --only ends with 43 and says what there is."""
    put(tmp_path / "in", "a.pb")
    with pytest.raises(NoInput, match=r"none of 1 artifacts fits --only.*a\.pb"):
        run_here(tmp_path, only=only)
