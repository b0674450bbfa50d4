"""Signals and the job's own deadline from end to end: real processes, a store that never answers, a clean last line."""

import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes import put
from tests.jobs import WITHOUT_TENSORFLOW, Finished, finish, run_job, started_job

pytest_plugins = ["tests.storage.stores"]


def arguments_in(home: Path, *more: str) -> tuple[str, ...]:
    """Return the arguments of a run from ``in`` to ``out`` below a directory, with scratch there too."""
    return (
        *("run", "--source", f"{home}/in", "--dest", f"{home}/out", "--scratch", str(home)),
        *("--benchmark", "off", *more),
    )


@pytest.fixture
def silent(aws: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """A store to which the environment leads, which takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as server:
        aws.setenv("AWS_ENDPOINT_URL_S3", f"http://127.0.0.1:{server.getsockname()[1]}")
        server.settimeout(30)
        yield server


def said_once(ended: Finished) -> str:
    """Return the one line that tells why a job ended before its work."""
    (failed,) = ended.named("job_failed")
    assert failed["name"] == "interrupted"
    return str(failed["reason"])


def test_store_that_does_not_answer_cannot_hold_a_job_that_is_told_to_end(
    tmp_path: Path, silent: socket.socket
) -> None:
    """While its source is listed: code 75 within the grace, and one clean line."""
    arguments = ("run", "--source", "s3://bucket/in", "--dest", str(tmp_path / "out"), "--grace-s", "4")
    known = {name: value for name, value in os.environ.items() if name.startswith("AWS_")}
    with started_job(*arguments, extra=known, program=WITHOUT_TENSORFLOW) as process, silent.accept()[0]:
        start = time.monotonic()
        process.terminate()
        ended = finish(process, timeout_s=20)
    assert time.monotonic() - start < 4
    assert ended.code == 75
    assert said_once(ended).startswith("SIGTERM came; run again")


def test_deadline_drops_what_hangs_and_keeps_what_is_done(tmp_path: Path) -> None:
    """At its own deadline a job ends with 75, before any batch engine would end it."""
    put(tmp_path / "in", "a.pb", "hang.pb", "z.pb")
    start = time.monotonic()
    ended = run_job(*arguments_in(tmp_path, "--deadline-s", "15", "--lanes", "1"), program=WITHOUT_TENSORFLOW)
    assert 15 <= time.monotonic() - start < 30
    (said,) = ended.named("run_interrupted")
    assert (ended.code, said["cause"], said["next"]) == (75, "the deadline came", ["hang.pb", "z.pb"])
    assert [event["artifact"] for event in ended.named("artifact_published")] == ["a.pb"]
    assert list((tmp_path / "out" / "_runs").rglob("shard-0.json"))


def test_nothing_is_begun_that_the_deadline_would_drop(tmp_path: Path) -> None:
    """Where the slow ones before it took longer than is left, an artifact stays for the next attempt."""
    put(tmp_path / "in", *(f"{number}/slow.pb" for number in range(40)))
    ended = run_job(*arguments_in(tmp_path, "--deadline-s", "12.5", "--lanes", "1"), program=WITHOUT_TENSORFLOW)
    (said,) = ended.named("run_interrupted")
    begun, done = ended.named("artifact_started"), ended.named("artifact_published")
    assert ended.code == 75
    assert "artifacts took up to" in said["cause"]
    assert len(begun) == len(done) == 40 - said["left"]
