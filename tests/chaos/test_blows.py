"""The blows themselves: one that hit nothing is no kill."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.chaos.blows import Blow, Struck, Victim, strike
from tests.chaos.proxy import Proxy
from tests.chaos.workers import Worker


class _EndsUnseen(subprocess.Popen[bytes]):
    """A process that ends after the last look at it, before the signal."""

    def poll(self) -> None:
        """Say that it lives."""


def worker_of(job: subprocess.Popen[bytes], home: Path) -> Worker:
    """Return a worker without a network."""
    return Worker(job=job, network=Proxy(), home=home)


@pytest.mark.parametrize("victim", ["supervisor", "all"])
def test_kill_of_a_job_that_was_ending_has_not_landed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, victim: Victim
) -> None:
    """The kernel takes the signal, yet the job ends with the code that it had chosen."""
    with _EndsUnseen([sys.executable, "-c", ""]) as job:
        os.waitid(os.P_PID, job.pid, os.WEXITED | os.WNOWAIT)
        monkeypatch.setattr("tests.chaos.blows.is_alive", job.pid.__eq__)
        assert strike(Blow(victim=victim), worker_of(job, tmp_path)) == Struck(victim=victim, landed=False)
        assert job.returncode == 0


@pytest.mark.parametrize("victim", ["supervisor", "all"])
def test_kill_of_a_job_at_work_has_landed(tmp_path: Path, victim: Victim) -> None:
    """A job that works is ended by the signal and by nothing else."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as job:
        assert strike(Blow(victim=victim), worker_of(job, tmp_path)) == Struck(victim=victim, landed=True)


def test_blow_at_a_job_that_has_ended_hits_nothing(tmp_path: Path) -> None:
    """What comes after the end is sent to nobody."""
    with subprocess.Popen([sys.executable, "-c", ""]) as job:
        job.wait()
        assert strike(Blow(victim="supervisor"), worker_of(job, tmp_path)) == Struck(victim="supervisor", landed=False)
