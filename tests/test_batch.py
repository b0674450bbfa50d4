"""Several artifacts at once, in a whole run whose stages need no TensorFlow."""

import os
import signal
import tarfile
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from job import pipeline, publishing
from job.errors import Denied
from job.interrupts import Interrupts
from job.lanes import ALONE
from job.records import ArtifactReport
from job.watch import Watch
from job.workers import Forkserver
from tests.fakes import ends, put, run_here, use_fake_stages
from tests.jobs import WITHOUT_TENSORFLOW, descendants, run_job

NAMES = tuple(f"{letter}.pb" for letter in "abcdefgh")


@pytest.fixture(autouse=True)
def without_tensorflow(monkeypatch: pytest.MonkeyPatch) -> None:
    use_fake_stages(monkeypatch)


def test_reports_are_in_the_order_of_the_source_whoever_ends_first(tmp_path: Path) -> None:
    """What fails beside others costs itself alone, and a second run finds all that was committed."""
    put(tmp_path / "in", "a/slow.pb", "b.pb", "c/refused.pb", "d/segfault.pb", "e.pb", "f/wrong.pb")
    expected = {"a/slow.pb": "published", "b.pb": "published", "c/refused.pb": 42, "d/segfault.pb": 47}
    expected |= {"e.pb": "published", "f/wrong.pb": 41}
    found = ends(run_here(tmp_path, lanes=3))
    assert (found, list(found)) == (expected, list(expected))
    again = ends(run_here(tmp_path, lanes=1))
    assert [name for name, end in again.items() if end == "already_published"] == ["a/slow.pb", "b.pb", "e.pb"]


def test_stages_of_several_artifacts_run_at_once_and_none_beside_a_benchmark(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seen from the supervisor: who is in a stage when another one begins."""
    at_work, beside, lock = list[bool](), list[tuple[bool, ...]](), threading.Lock()
    run = Forkserver.run

    def noted(self: Forkserver, stage: str, request: object, *given: Any, **more: Any) -> Any:
        with lock:
            at_work.append(isinstance(request, ALONE))
            beside.append(tuple(at_work))
        try:
            return run(self, stage, request, *given, **more)
        finally:
            with lock:
                at_work.remove(isinstance(request, ALONE))

    monkeypatch.setattr(Forkserver, "run", noted)
    put(tmp_path / "in", *NAMES)
    assert set(ends(run_here(tmp_path, benchmark="quick", lanes=2)).values()) == {"published"}
    assert max(map(len, beside)) == 2
    assert {each for each in beside if True in each} == {(True,)}


def test_log_of_each_artifact_holds_its_events_alone(tmp_path: Path) -> None:
    """Threads share a process, and no log."""
    put(tmp_path / "in", *NAMES)
    arguments = ("--source", str(tmp_path / "in"), "--dest", str(tmp_path / "out"), "--benchmark", "off")
    assert run_job("run", *arguments, "--lanes", "3", program=WITHOUT_TENSORFLOW).code == 0
    for name in NAMES:
        (log,) = (tmp_path / "out" / name).rglob("log.jsonl")
        lines = log.read_text().splitlines()
        assert all(f'"artifact": "{name}"' in line for line in lines)
        assert sum('"stage_ended"' in line for line in lines) == 4


def test_refusal_of_the_store_stops_all_lanes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those at work come to their end, nothing is begun any more, and it is told once."""

    def deny(*_: object, **__: object) -> None:
        raise Denied("no more writing here")

    put(tmp_path / "in", *NAMES)
    monkeypatch.setattr(publishing, "publish", deny)
    with capture_logs() as events:
        summary = run_here(tmp_path, lanes=2)
    (said,) = [event for event in events if event["event"] == "run_stopped"]
    assert summary.exit_code == Denied.exit_code
    assert 1 <= len(summary.reports) <= 3
    assert set(ends(summary).values()) == {Denied.exit_code}
    assert said["left"] == len(NAMES) - 3


def test_refusal_of_the_store_stops_an_archive_in_another_lane(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it still holds is left, as what is not begun is."""
    publish = publishing.publish

    def deny(dest: Any, report: ArtifactReport, **more: Any) -> Any:
        if report.artifact.name == "z.pb":
            raise Denied("no more writing here")
        return publish(dest, report, **more)

    put(tmp_path / "held", *(f"{letter}/slow.pb" for letter in "abcdefgh"))
    put(tmp_path / "in", "z.pb")
    with tarfile.open(tmp_path / "in" / "many.tar", "w") as archive:
        archive.add(tmp_path / "held", arcname=".")
    monkeypatch.setattr(publishing, "publish", deny)
    summary = run_here(tmp_path, lanes=2)
    assert summary.exit_code == Denied.exit_code
    assert ends(summary)["z.pb"] == Denied.exit_code
    assert 1 <= len(summary.reports) <= 3


@pytest.mark.parametrize("lanes", [1, 3])
def test_signal_drops_what_is_at_work_in_every_lane(tmp_path: Path, lanes: int) -> None:
    """What is committed stays, no process does, and the end comes long before the grace is over."""
    put(tmp_path / "in", "a.pb", "b/hang.pb", "c/hang.pb")
    others = descendants(os.getpid())  # of other tests
    signalled = list[float]()

    def send() -> None:
        end_s = time.monotonic() + 60  # else the test would hang with the artifact
        while not (tmp_path / "out" / "a.pb" / "latest.json").exists() and time.monotonic() < end_s:
            time.sleep(0.05)
        time.sleep(1)
        signalled.append(time.monotonic())
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=send).start()
    with capture_logs() as events:
        summary = run_here(tmp_path, lanes=lanes, grace_s=20)
    assert time.monotonic() - signalled[0] < 5
    assert (summary.exit_code, ends(summary)) == (75, {"a.pb": "published"})
    (said,) = [event for event in events if event["event"] == "run_interrupted"]
    assert (said["cause"], said["left"], said["done"]) == ("SIGTERM came", 2, 1)
    assert set(descendants(os.getpid())) <= set(others)


def test_publication_in_one_lane_ends_while_the_others_are_dropped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A signal comes while one artifact is published and another is converted: the first is committed."""
    publish = publishing.publish

    def slowly(*given: Any, **more: Any) -> Any:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(1)
        return publish(*given, **more)

    put(tmp_path / "in", "a.pb", "b/hang.pb")
    monkeypatch.setattr(publishing, "publish", slowly)
    start = time.monotonic()
    summary = run_here(tmp_path, lanes=2, grace_s=20)
    assert time.monotonic() - start < 15
    assert (summary.exit_code, ends(summary)) == (75, {"a.pb": "published"})
    assert (tmp_path / "out" / "a.pb" / "latest.json").exists()
    assert not (tmp_path / "out" / "_failed").exists()


def test_bug_outside_of_an_artifact_ends_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is no artifact's, and must not pass for the end of the work."""

    def fail(*_: object) -> None:
        raise ZeroDivisionError

    put(tmp_path / "in", *NAMES)
    monkeypatch.setattr(pipeline, "process", fail)
    with pytest.raises(ZeroDivisionError):
        run_here(tmp_path, lanes=2)


def test_time_that_an_artifact_waits_for_its_turn_is_not_its_own(tmp_path: Path) -> None:
    """Three artifacts of three seconds each in two lanes: none takes longer than its limit, though one waits."""
    put(tmp_path / "in", "a/slow.pb", "b/slow.pb", "c/slow.pb")
    summary = run_here(tmp_path, lanes=2, item_timeout_s=6)
    assert set(ends(summary).values()) == {"published"}


def test_memory_is_divided_among_the_lanes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What one of three may hold is a third of what one alone may."""
    held = list[int]()
    look = Watch.look

    def noted(self: Watch, beats: int) -> None:
        if self._stage == "convert":  # and not the one that looks for a device, beside which there is none
            held.append(self._bounds.memory.limit_bytes)
        look(self, beats)

    monkeypatch.setattr(Watch, "look", noted)
    put(tmp_path / "in", "a/slow.pb", "b/slow.pb", "c/slow.pb")
    for lanes in (1, 3):
        run_here(tmp_path / str(lanes), source=str(tmp_path / "in"), lanes=lanes)
        held.append(0)
    alone, divided = (held[: held.index(0)], held[held.index(0) + 1 : -1])
    assert max(divided) < 0.4 * min(alone)


def test_told_to_end_means_told_to_end() -> None:
    """A thread learns of a signal where it asks."""
    interrupts = Interrupts(8)
    interrupts.check()
    interrupts.cause = "SIGTERM came"
    with pytest.raises(KeyboardInterrupt, match="SIGTERM came"):
        interrupts.check()
