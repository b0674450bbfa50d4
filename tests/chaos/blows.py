"""`kill -9` at a random moment: whom it hits, when, and whether there was still someone to hit."""

import os
import random
import signal
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from job.processes import children_of
from tests.chaos.workers import Process, Worker
from tests.jobs import descendants, is_alive

Victim = Literal["supervisor", "zygote", "forkserver", "child", "all"]
"""``child`` is one that a forkserver has forked for a stage; ``all`` is what ends a container."""

_VICTIMS: Final[tuple[Victim, ...]] = (
    *("supervisor",) * 9,
    *("child",) * 5,
    *("forkserver",) * 2,
    "zygote",
    *("all",) * 3,
)
_VICTIM_COMES_S: Final = 5  # to wait for a stage to begin
_ENDED_S: Final = 10  # for what a dead supervisor leaves to be gone


@dataclass(frozen=True, kw_only=True)
class Blow:
    """Falls `seconds` after an event in the log, or the start, once so many requests were begun.

    One at a child, a forkserver or a zygote waits until there is one; a child may work for `late_s`.
    """

    victim: Victim
    event: str = ""
    requests: int = 0
    seconds: float = 0
    late_s: float = 0


@dataclass(frozen=True, kw_only=True)
class Struck:
    """What a blow hit; `survivors` counts the processes that outlived their supervisor.

    A supervisor that was ending on its own as the signal came was not hit: its code stays what it was.
    """

    victim: Victim
    landed: bool
    survivors: int = 0


def draw_blow(dice: random.Random, *, requests: int, seconds: float) -> Blow:
    """Return a blow at one of the first `requests`, if there are any, or within the first `seconds`."""
    victim, late_s = dice.choice(_VICTIMS), dice.uniform(0, 0.1)
    if requests and dice.random() < 0.7:
        return Blow(victim=victim, requests=dice.randint(1, requests), late_s=late_s)
    return Blow(victim=victim, seconds=dice.uniform(0, seconds), late_s=late_s)


def strike(blow: Blow, worker: Worker) -> Struck:
    """Wait for the moment of a blow and kill."""
    job = worker.job
    while job.poll() is None and blow.event and blow.event not in [event["event"] for event in worker.events()]:
        time.sleep(0.01)
    start = time.monotonic()
    while job.poll() is None and (worker.network.begun < blow.requests or time.monotonic() - start < blow.seconds):
        time.sleep(0.004)
    family = descendants(job.pid)
    sent = [pid for pid in _victims(blow, job) if _kill(pid, job)]
    if blow.victim in ("supervisor", "all") and sent:
        landed = job.wait() == -signal.SIGKILL
        return Struck(victim=blow.victim, landed=landed, survivors=survivors(family))
    return Struck(victim=blow.victim, landed=bool(sent))


def _victims(blow: Blow, job: Process) -> list[int]:
    if blow.victim == "supervisor":
        return [job.pid]
    if blow.victim == "all":
        return [job.pid, *descendants(job.pid)]
    deadline = time.monotonic() + _VICTIM_COMES_S
    while job.poll() is None and time.monotonic() < deadline:
        found = _FINDERS[blow.victim](job.pid)
        time.sleep(blow.late_s if found and blow.victim == "child" else 0)
        if living := [pid for pid in found if is_alive(pid)]:
            return living[:1]
        time.sleep(0.004)
    return []


def _workers(pid: int) -> list[int]:
    """Return what works for the forkservers of a job."""
    return [child for forkserver in _forkservers(pid) for child in children_of(forkserver)]


def _forkservers(pid: int) -> list[int]:
    """Return what the zygotes of a job have forked."""
    return [child for zygote in _zygotes(pid) for child in children_of(zygote) if _is_zygotes(child)]


def _zygotes(pid: int) -> list[int]:
    """Return those of a job."""
    return [child for child in children_of(pid) if _is_zygotes(child)]


def _is_zygotes(pid: int) -> bool:
    """Tell a zygote, and what it has forked, from the programs that Python starts to learn of the machine."""
    with suppress(OSError):
        return b"job.zygote" in Path(f"/proc/{pid}/cmdline").read_bytes()
    return False


_FINDERS: Final = {"child": _workers, "forkserver": _forkservers, "zygote": _zygotes}


def _kill(pid: int, job: Process) -> bool:
    """Return whether a signal was sent to a process that lived, or was about to end."""
    if job.poll() is not None or not is_alive(pid):
        return False
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
        return True
    return False


def survivors(family: list[int]) -> int:
    """Return how many processes do not end with their supervisor."""
    deadline = time.monotonic() + _ENDED_S
    while any(map(is_alive, family)) and time.monotonic() < deadline:
        time.sleep(0.05)
    return sum(map(is_alive, family))
