"""What goes wrong for users, from end to end: real artifacts, real crashes, real signals, and what the job says."""

import json
import os
import re
import shutil
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest

from job.storage import open_storage
from tests import hostile
from tests.fakes import put
from tests.jobs import (
    GOLDENS,
    WITHOUT_TENSORFLOW,
    Finished,
    await_event,
    await_worker,
    descendants,
    finish,
    is_alive,
    run_job,
    started_job,
)
from tests.sources import GRAPH_DEF, saved_model
from tests.storage.scripted import ScriptedStore, error

pytest_plugins = ["tests.storage.stores"]

MIB: Final = 2**20
CANARY: Final = "canary-c0ffee-42"
SECRETS: Final = {"AWS_SECRET_ACCESS_KEY": CANARY, "AWS_SESSION_TOKEN": CANARY, "MY_PASSWORD": CANARY}
"""What a batch engine puts into the environment, and no output may ever hold."""

GOOD: Final = ("cond_frozen", "ref_variables_saved_model", "ref_variables_checkpoint")
BAD: Final = {
    "custom_op_frozen/frozen.pb": (40, "AcmeFusedRelu (node net/Relu, not registered)", "--op-library"),
    "git_lfs_pointer_frozen/frozen.pb": (40, "Git LFS pointer", "git lfs pull"),
    "html_frozen/frozen.pb": (40, "an HTML page", "download the file itself"),
    "missing_data_checkpoint/model.ckpt-0": (
        40,
        "model.ckpt-0.data-00000-of-00001 is missing",
        "copy all of its files",
    ),
    "missing_data_saved_model/saved_model": (40, "variables.data-00000-of-00001 is missing", "copy all of its files"),
    "py_func_frozen/frozen.pb": (42, "op PyFunc (node PyFunc)", "export the model without py_func"),
    "truncated_frozen/frozen.pb": (40, "truncated", "copy the file again"),
    "named_wrong": (40, "a GraphDef lies under the name saved_model.pb", "named frozen.pb"),
    "hostile/abort.pbtxt": (42, "op Abort (node end)", "cut above it"),
    "hostile/endless.pbtxt": (47, "did not end within 10 s", "--stage-timeout-s"),
    "hostile/recursion.pbtxt": (40, "functions call themselves: again calls again", "export the graph"),
    "no_model/notes.pb": (40, "notes.pb is", "notes.pb"),
}
"""Each bad artifact's code, what its message names, and what it says to do."""


@dataclass
class Batch:
    """A run over good, bad and hostile artifacts, and what was seen of it from outside."""

    ended: Finished
    dest: Path
    peak_memory_bytes: int = 0
    environments: list[bytes] = field(default_factory=list)

    @property
    def failures(self) -> dict[str, dict[str, Any]]:
        """Return the event of each artifact that failed."""
        return {event["artifact"]: event for event in self.ended.named("artifact_failed")}


def fill(source: Path) -> None:
    """Lay out the good and the bad."""
    for name in (*GOOD, *(bad.partition("/")[0] for bad in BAD if (GOLDENS / bad.partition("/")[0]).is_dir())):
        shutil.copytree(GOLDENS / name, source / name, dirs_exist_ok=True)
    for name, data in saved_model("named_wrong/", main=GRAPH_DEF).items():
        put(source, name, data=data)
    for name in ("abort", "recursion"):
        put(source / "hostile", f"{name}.pbtxt", data=getattr(hostile, name.upper()).encode())
    put(source / "hostile", "endless.pbtxt", data=hostile.ENDLESS_LOOP.encode())
    put(source / "no_model", "notes.pb", data=b"to do: upload the model\n" * 9)


@pytest.fixture(scope="module")
def batch(tmp_path_factory: pytest.TempPathFactory) -> Batch:
    """One run with TensorFlow over all of them, watched while it lasts."""
    home = tmp_path_factory.mktemp("batch")
    fill(home / "in")
    arguments = ("--source", str(home / "in"), "--dest", str(home / "out"), "--benchmark", "off", "--device", "cpu")
    log = home / "stderr"
    with (
        log.open("w") as stderr,
        started_job("run", *arguments, "--stage-timeout-s", "10", extra=SECRETS, stderr=stderr) as process,
    ):
        watched = Batch(ended=Finished(code=0, stdout="", stderr=""), dest=home / "out")
        while process.poll() is None:
            watch(process.pid, watched)
            time.sleep(0.2)
        watched.ended = Finished(code=process.returncode, stdout=finish(process).stdout, stderr=log.read_text())
    return watched


def watch(pid: int, batch: Batch) -> None:
    """Note the supervisor's peak memory so far, and the environments of its workers."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
        own = Path(f"/proc/{pid}/cmdline").read_bytes()
        workers = [child for child in descendants(pid) if Path(f"/proc/{child}/cmdline").read_bytes() != own]
        batch.environments += [Path(f"/proc/{child}/environ").read_bytes() for child in workers]  # others are to start
    except (FileNotFoundError, ProcessLookupError):  # ended meanwhile
        return
    peak = re.search(r"VmHWM:\s+(\d+) kB", status) or re.search(r"VmRSS:\s+(\d+) kB", status)
    batch.peak_memory_bytes = max(batch.peak_memory_bytes, int(peak[1]) * 1024 if peak else 0)


def test_each_artifact_ends_as_it_should_and_none_stops_another(batch: Batch) -> None:
    """Crashes and endless loops among them, the good ones are published and every bad one has its own code."""
    assert {name: event["code"] for name, event in batch.failures.items()} == {
        name: bad[0] for name, bad in BAD.items()
    }
    published = {event["artifact"].partition("/")[0] for event in batch.ended.named("artifact_published")}
    assert published == set(GOOD)
    assert batch.ended.code == 47


@pytest.mark.parametrize("name", BAD)
def test_message_names_what_is_wrong_and_what_to_do(batch: Batch, name: str) -> None:
    """One line, of use to whoever has only that line."""
    reason = batch.failures[name]["reason"]
    assert BAD[name][1] in reason
    assert BAD[name][2] in reason
    assert "\n" not in reason
    assert "Traceback" not in reason


def test_nothing_is_half_written(batch: Batch) -> None:
    """Every model at the destination is in a commit that lists it whole; of what failed there are only reports."""
    commits = list(batch.dest.rglob("commit.json"))
    listed = {
        commit.parent / said["attempt"] / file["path"]: file["size_bytes"]
        for commit in commits
        for said in [json.loads(commit.read_text())]
        for file in said["files"]
    }
    assert len(commits) == len(GOOD)
    assert all(path.stat().st_size == size_bytes for path, size_bytes in listed.items())
    found = {path for path in batch.dest.rglob("*") if path.is_file()}
    others = {path.name for path in found - listed.keys() if not path.is_relative_to(batch.dest / "_runs")}
    assert others == {"commit.json", "latest.json", "report.json", "report.html", "log.jsonl"}


def test_machine_reads_every_line(batch: Batch) -> None:
    """Nothing but events comes out, whatever TensorFlow prints before it dies."""
    assert batch.ended.stdout == ""
    assert batch.ended.events[-1]["event"] == "run_ended"


def test_supervisor_stays_small(batch: Batch) -> None:
    """TensorFlow is a guest: the process that holds the credentials never has it, nor its memory (150 MB at most)."""
    assert 10 * MIB < batch.peak_memory_bytes < 150e6


def test_no_worker_ever_sees_a_secret(batch: Batch) -> None:
    """Neither forkserver nor child has any credential in its environment."""
    assert len(batch.environments) > 10
    assert not any(CANARY.encode() in environment or b"AWS_" in environment for environment in batch.environments)


def test_no_output_holds_a_secret(batch: Batch) -> None:
    """Logs, reports and summaries are read by more people than may know the keys."""
    assert CANARY not in batch.ended.stdout + batch.ended.stderr
    assert not any(CANARY.encode() in path.read_bytes() for path in batch.dest.rglob("*") if path.is_file())


@pytest.fixture
def on_moto(moto_uri: str) -> tuple[str, dict[str, str]]:
    """A fresh prefix in an S3 of this process, and the environment that leads there."""
    return moto_uri, {name: value for name, value in os.environ.items() if name.startswith("AWS_")}


def test_from_bucket_to_bucket_and_once_only(on_moto: tuple[str, dict[str, str]]) -> None:
    """A prefix of an object store is converted into another, and a second run finds all of it done."""
    uri, extra = on_moto
    source, dest = open_storage(f"{uri}/in"), open_storage(f"{uri}/out")
    for path in (GOLDENS / "ref_variables_saved_model").rglob("*"):
        if path.is_file():
            source.upload(path, f"cnn/{path.relative_to(GOLDENS / 'ref_variables_saved_model').as_posix()}")
    arguments = ("run", "--source", f"{uri}/in", "--dest", f"{uri}/out", "--benchmark", "off", "--device", "cpu")
    first, second = run_job(*arguments, extra=extra), run_job(*arguments, extra=extra)
    assert (first.code, second.code) == (0, 0)
    assert [len(first.named("artifact_published")), len(second.named("artifact_already_published"))] == [1, 1]
    keys = [stored.key for stored in dest.list("cnn/saved_model/")]
    commit = json.loads(dest.read(next(key for key in keys if key.endswith("/commit.json"))))
    assert {file["path"] for file in commit["files"]} >= {"saved_model/saved_model.pb", "report.html", "log.jsonl"}
    assert sum(key.endswith("saved_model.pb") for key in keys) == 1


ARGUMENTS: Final = ("run", "--source", "{0}/in", "--dest", "{0}/out", "--benchmark", "off", "--scratch", "{0}")


def arguments_in(home: Path, *more: str) -> tuple[str, ...]:
    """Return the arguments of a run from ``in`` to ``out`` below a directory.

    Scratch is there too: a job that is killed leaves it behind.
    """
    return (*(argument.format(home) for argument in ARGUMENTS), *more)


def test_worker_killed_once_costs_nothing(tmp_path: Path) -> None:
    """``kill -9`` of a worker, as the kernel does for want of memory, is worth another try in a fresh one."""
    put(tmp_path / "in", "slow.pb")
    with started_job(*arguments_in(tmp_path, "--lanes", "1"), program=WITHOUT_TENSORFLOW) as process:
        await_event(process, "artifact_started", artifact="slow.pb")
        os.kill(await_worker(process.pid), signal.SIGKILL)
        ended = finish(process)
    assert ended.code == 0
    assert [(event["stage"], "SIGKILL" in event["reason"]) for event in ended.named("stage_retried")] == [
        ("convert", True)
    ]
    assert [event["artifact"] for event in ended.named("artifact_published")] == ["slow.pb"]


def test_worker_killed_twice_costs_its_artifact_alone(tmp_path: Path) -> None:
    """What ends its workers again and again is code 47 of the artifact at work, and no other's."""
    put(tmp_path / "in", "a.pb", "hang.pb", "z.pb")
    with started_job(*arguments_in(tmp_path, "--lanes", "1"), program=WITHOUT_TENSORFLOW) as process:
        await_event(process, "artifact_started", artifact="hang.pb")
        os.kill(await_worker(process.pid), signal.SIGKILL)
        await_event(process, "stage_retried", artifact="hang.pb")
        os.kill(await_worker(process.pid), signal.SIGKILL)
        ended = finish(process)
    assert ended.code == 47
    assert [event["artifact"] for event in ended.named("artifact_failed")] == ["hang.pb"]
    assert "SIGKILL); was the memory exhausted?" in ended.named("artifact_failed")[0]["reason"]
    assert [event["artifact"] for event in ended.named("artifact_published")] == ["z.pb"]


def test_sigterm_ends_with_75_and_a_second_run_completes(tmp_path: Path) -> None:
    """A spot machine is taken: what is committed stays, nothing runs on, and the next attempt does the rest."""
    put(tmp_path / "in", "a.pb", "hang.pb")
    with started_job(*arguments_in(tmp_path, "--lanes", "1"), program=WITHOUT_TENSORFLOW) as process:
        await_event(process, "artifact_started", artifact="hang.pb")
        await_worker(process.pid)
        family = descendants(process.pid)
        process.terminate()
        ended = finish(process, timeout_s=10)
    assert ended.code == 75
    assert [(event["left"], event["next"]) for event in ended.named("run_interrupted")] == [(1, ["hang.pb"])]
    assert not any(map(is_alive, family))
    (tmp_path / "in" / "hang.pb").rename(tmp_path / "in" / "well.pb")
    again = run_job(*arguments_in(tmp_path), program=WITHOUT_TENSORFLOW)
    assert again.code == 0
    assert [event["artifact"] for event in again.named("artifact_already_published")] == ["a.pb"]
    assert [event["artifact"] for event in again.named("artifact_published")] == ["well.pb"]


def test_second_sigterm_ends_at_once(tmp_path: Path) -> None:
    """Whoever asks twice does not wait for a store that does not answer."""
    put(tmp_path / "in", "hang.pb")
    with started_job(*arguments_in(tmp_path), program=WITHOUT_TENSORFLOW) as process:
        await_event(process, "artifact_started", artifact="hang.pb")
        await_worker(process.pid)
        process.terminate()
        process.terminate()
        assert finish(process, timeout_s=10).code == 75


def test_workers_die_with_a_killed_supervisor(tmp_path: Path) -> None:
    """``kill -9`` of the supervisor leaves no process that goes on computing or holds a GPU."""
    put(tmp_path / "in", "hang.pb")
    with started_job(*arguments_in(tmp_path), program=WITHOUT_TENSORFLOW) as process:
        await_event(process, "artifact_started", artifact="hang.pb")
        await_worker(process.pid)
        family = descendants(process.pid)
        process.kill()
        process.wait()
        deadline = time.monotonic() + 10
        while any(map(is_alive, family)) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert len(family) >= 3
        assert not any(map(is_alive, family))


def test_required_gpu_that_is_not_there_ends_with_73(tmp_path: Path) -> None:
    """CUDA images may run on the CPU without saying so: with --device gpu this one says it in one line, and stops."""
    put(tmp_path / "in", "a.pbtxt", data=hostile.SIMPLE.encode())
    ended = run_job(*arguments_in(tmp_path, "--device", "gpu"), extra={"CUDA_VISIBLE_DEVICES": ""})
    (said,) = ended.named("job_failed")
    assert (ended.code, said["name"]) == (73, "device")
    assert "sees no GPU" in said["reason"]
    assert "--device cpu" in said["reason"]
    assert list((tmp_path / "out").iterdir()) == []


LIMITED: Final = (
    WITHOUT_TENSORFLOW[0],
    "-c",
    "import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n" + WITHOUT_TENSORFLOW[2],
)
"""The job on a file system that takes no more than 100 kB a file."""


def test_full_file_system_is_71_of_the_artifact_that_does_not_fit(tmp_path: Path) -> None:
    """Scratch that is too small costs the large artifact; the small one is published."""
    put(tmp_path / "in", "large.pb", data=GRAPH_DEF * 5000)
    put(tmp_path / "in", "small.pb")
    ended = run_job(*arguments_in(tmp_path), program=LIMITED)
    (failed,) = ended.named("artifact_failed")
    assert (ended.code, failed["artifact"], failed["name"]) == (71, "large.pb", "local_io")
    assert [event["artifact"] for event in ended.named("artifact_published")] == ["small.pb"]


@pytest.mark.parametrize(
    ("uris", "code", "said"),
    [
        ("{0}/absent {0}/out", 43, "there is nothing at the source; {0}/absent; name a prefix"),
        ("{0}/empty {0}/out", 43, "there is nothing at the source; {0}/empty; name a prefix"),
        ("{0}/texts {0}/out", 43, "no TF1 model among the 1 objects listed; a.txt"),
        ("{0}/in {0}/in/out", 2, "the destination lies inside the source"),
        ("{0}/in {0}/in", 2, "the destination is the source"),
        ("{0}/in /proc/tf1lift/out", 71, "the destination cannot be written to"),
        ("{0}/in {0}/in.txt/out", 71, "the destination cannot be written to (local file error: Not a directory)"),
        ("{0}/in gs://bucket/out", 2, "gs:// is no store that we know; gs://bucket/out; name it s3://bucket/prefix"),
        ("s3://no-such-bucket/in {0}/out", 44, "the bucket does not exist"),
        ("{0}/in s3://no-such-bucket/out", 44, "the bucket does not exist"),
    ],
)
def test_end_before_the_work_is_told_in_one_line(
    tmp_path: Path, on_moto: tuple[str, dict[str, str]], uris: str, code: int, said: str
) -> None:
    """Source and destination are tried first: one line says what, where and what to do, and nothing is written."""
    put(tmp_path / "in", "a.pb")
    put(tmp_path / "texts", "a.txt", data=b"words")
    put(tmp_path, "in.txt", data=b"")
    (tmp_path / "empty").mkdir()
    before = sorted(tmp_path.rglob("*"))
    source, dest = uris.format(tmp_path).split()
    ended = run_job("run", "--source", source, "--dest", dest, extra=on_moto[1])
    (failed,) = ended.named("job_failed")
    assert (ended.code, failed["code"]) == (code, code)
    assert said.format(tmp_path) in failed["reason"]
    assert failed["reason"].count("; ") >= 2
    assert ended.named("artifact_started") == []
    assert sorted(tmp_path.rglob("*")) == before


def test_endpoint_that_cannot_be_reached_is_74(tmp_path: Path, on_moto: tuple[str, dict[str, str]]) -> None:
    """The line names the endpoint, which is misspelt most likely, and comes within seconds."""
    extra = on_moto[1] | {"AWS_ENDPOINT_URL_S3": "http://127.0.0.1:9"}
    start = time.monotonic()
    ended = run_job("run", "--source", "s3://bucket/in", "--dest", str(tmp_path / "out"), extra=extra)
    assert time.monotonic() - start < 30
    assert (ended.code, len(ended.named("job_failed"))) == (74, 1)
    assert "http://127.0.0.1:9" in ended.named("job_failed")[0]["reason"]
    assert "AWS_ENDPOINT_URL_S3" in ended.named("job_failed")[0]["reason"]


def test_store_that_refuses_is_44(tmp_path: Path, scripted: ScriptedStore) -> None:
    """The line names the permission that is missing."""
    scripted.answer(error(403, "AccessDenied", "Access Denied"))
    extra = {name: value for name, value in os.environ.items() if name.startswith("AWS_")}
    ended = run_job("run", "--source", "s3://bucket/in", "--dest", str(tmp_path / "out"), extra=extra)
    assert (ended.code, len(ended.named("job_failed"))) == (44, 1)
    assert "s3:ListBucket is not allowed" in ended.named("job_failed")[0]["reason"]


@pytest.fixture(autouse=True)
def nothing_is_left(tmp_path: Path) -> Iterator[None]:
    """No test leaves a file that was still being written."""
    yield
    assert not list(tmp_path.rglob(".tf1lift-part-*"))
