"""SIGTERM in each phase of a job: with what code it ends, how soon, and whether one more run does the rest.

python -m tests.chaos.interrupting needs an S3 server: see scripts/interrupt-stages.
"""

import argparse
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Final

from job import codec
from tests.chaos.blows import survivors
from tests.chaos.campaign import say
from tests.chaos.checks import Reader
from tests.chaos.lots import PROGRAMS, Engine, two_goldens, two_small
from tests.chaos.proxy import CALM, Chances, dice_of
from tests.chaos.shelves import Bucket, Shelf, server
from tests.chaos.stages import PAUSE_VARIABLE
from tests.chaos.workers import Worker, working
from tests.jobs import descendants

INTERRUPTED: Final = 75
GRACE_S: Final = 8
"""The default of ``--grace-s``."""

_SLOW: Final[Chances] = {"delay": 1}
_TIMEOUT_S: Final = 300
_PAUSE_S: Final = 0.2
_DELAY_S: Final = 0.15


@dataclass(frozen=True, kw_only=True)
class Phase:
    """A part of a job that begins with an event in its log.

    `number` says which one of these; no event means: with its first process, or with so many requests.
    `spread_s` is how long it takes, about: with fake stages, with TensorFlow.
    """

    event: str = ""
    stage: str = ""
    number: int = 1
    requests: int = 0
    spread_s: tuple[float, float]


PHASES: Final[Mapping[str, Phase]] = {
    "forkserver start": Phase(spread_s=(0.3, 4)),
    "discovery": Phase(requests=1, spread_s=(0.3, 0.3)),
    "device": Phase(event="run_started", spread_s=(0.4, 4)),
    "pull": Phase(event="artifact_started", spread_s=(0.15, 0.4)),
    "convert": Phase(event="stage_ended", stage="pull", spread_s=(0.4, 1.5)),
    "verify": Phase(event="stage_ended", stage="convert", spread_s=(0.4, 1.5)),
    "verify as run": Phase(event="stage_ended", stage="verify", spread_s=(0.4, 1.5)),
    "benchmark": Phase(event="stage_ended", stage="verify as run", spread_s=(0.4, 4)),
    "publish": Phase(event="stage_ended", stage="benchmark as run", spread_s=(1, 1)),
    "between artifacts": Phase(event="artifact_published", spread_s=(0.1, 0.1)),
    "summary": Phase(event="artifact_published", number=2, spread_s=(0.2, 0.2)),
}


@dataclass(frozen=True, kw_only=True)
class Told:
    """One signal to be sent, at a moment of a phase that the seed tells."""

    phase: str
    seed: int
    engine: Engine = "fake"


@dataclass(frozen=True, kw_only=True)
class Stopped:
    """How a job ended, `wall_s` after the signal; `last` is what it had logged last before it.

    One that `was_early` had ended on its own before the phase.
    """

    code: int
    wall_s: float
    last: str
    survivors: int
    was_early: bool = False


@dataclass(frozen=True, kw_only=True)
class Ended:
    """What came of it, with the number of artifacts that were committed."""

    told: Told
    stopped: Stopped
    commits: int
    violations: tuple[str, ...]


def interrupt(told: Told, shelf: Shelf, home: Path) -> Ended:
    """Start a job on an empty shelf, end it in a phase, and let another one do the rest."""
    lot = two_small() if told.engine == "fake" else two_goldens()
    lot.put(shelf)
    reader = Reader(shelf, lot.models)
    with _working(told, shelf, home / "first", _SLOW) as worker:
        stopped = _stop(worker, told)
    reader.look_closely()
    done = reader.artifacts()
    with _working(told, shelf, home / "again", CALM) as again:
        again.job.wait(_TIMEOUT_S)
    reader.look_closely()
    wrong = [*reader.violations, *_wrong(stopped, worker, is_done=done == lot.artifacts)]
    wrong += [f"no commit for {name}" for name in lot.artifacts - reader.artifacts()]
    if again.job.returncode:
        wrong.append(f"code {again.job.returncode} of the next run: {again.reasons()}")
    return Ended(told=told, stopped=stopped, commits=len(done), violations=tuple(wrong))


def _working(told: Told, shelf: Shelf, home: Path, chances: Chances) -> AbstractContextManager[Worker]:
    extra = {PAUSE_VARIABLE: str(_PAUSE_S)}
    program = PROGRAMS[told.engine]
    options = ("--benchmark", "quick", "--lanes", "1")  # in two lanes both artifacts would end at once
    return working(shelf, home, *options, program=program, plan=chances, extra=extra, delay_s=_DELAY_S)


def _stop(worker: Worker, told: Told) -> Stopped:
    """Wait for a moment in the phase, send the signal, and wait for the end."""
    phase, dice = PHASES[told.phase], dice_of(told.seed)
    deadline = time.monotonic() + _TIMEOUT_S
    while not _has_begun(phase, worker) and worker.job.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(dice.uniform(0, phase.spread_s[told.engine == "tensorflow"]))
    was_early = worker.job.poll() is not None
    last, family, start = worker.events()[-1:], descendants(worker.job.pid), time.monotonic()
    worker.job.terminate()
    code = worker.job.wait(_TIMEOUT_S)
    wall_s = round(time.monotonic() - start, 3)
    said = str(last[0].get("stage", last[0]["event"])) if last else ""
    return Stopped(code=code, wall_s=wall_s, last=said, survivors=survivors(family), was_early=was_early)


def _has_begun(phase: Phase, worker: Worker) -> bool:
    if phase.event:
        events = [one for one in worker.events() if one["event"] == phase.event]
        return len([one for one in events if phase.stage in ("", one.get("stage"))]) >= phase.number
    return worker.network.begun >= phase.requests and bool(descendants(worker.job.pid))


def _wrong(stopped: Stopped, worker: Worker, *, is_done: bool) -> Iterator[str]:
    """Yield what is wrong with a job's end; one that had committed everything may say so."""
    if stopped.was_early:
        yield "the job ended before the phase"
    if stopped.code != INTERRUPTED and not (stopped.code == 0 and is_done):
        yield f"code {stopped.code}: {worker.reasons()}"
    if stopped.wall_s > GRACE_S:
        yield f"it took {stopped.wall_s:.1f} s"
    if stopped.survivors:
        yield f"{stopped.survivors} processes outlived the job"
    yield from (f"noise: {line}" for line in worker.noise()[:3])


def run(todo: Sequence[Told], endpoint: str, *, parallel: int, state: Path) -> Iterator[Ended]:
    """Send signals, to some jobs at a time, and note what came of each in the state file."""
    with ThreadPoolExecutor(parallel) as pool, state.open("a") as file:
        for future in as_completed([pool.submit(_interrupt_one, told, endpoint) for told in todo]):
            ended = future.result()
            file.write(codec.dumps(ended) + "\n")
            file.flush()
            yield ended


def _interrupt_one(told: Told, endpoint: str) -> Ended:
    shelf = Bucket(endpoint)
    with tempfile.TemporaryDirectory(prefix="interrupted-") as home:
        ended = interrupt(told, shelf, Path(home))
    shelf.empty()
    return ended


def table(all_ended: Sequence[Ended]) -> Iterator[str]:
    """Yield what came of the signals, by phase, as a table in Markdown."""
    yield "| SIGTERM in | times | codes | seconds to the end, median and longest | wrong |"
    yield "|---|---|---|---|---|"
    for (engine, name), some in _groups(all_ended).items():
        codes = ", ".join(
            f"{code}: {times}" for code, times in sorted(Counter(one.stopped.code for one in some).items())
        )
        seconds = [one.stopped.wall_s for one in some]
        wrong = sum(len(one.violations) for one in some)
        where = name if engine == "fake" else f"{name}, TensorFlow"
        yield f"| {where} | {len(some)} | {codes} | {median(seconds):.2f}, {max(seconds):.2f} | {wrong} |"


def _groups(all_ended: Sequence[Ended]) -> dict[tuple[str, str], list[Ended]]:
    order: dict[tuple[str, str], list[Ended]] = {
        (engine, phase): [] for engine in ("fake", "tensorflow") for phase in PHASES
    }
    for one in all_ended:
        order[one.told.engine, one.told.phase].append(one)
    return {key: some for key, some in order.items() if some}


def main() -> None:
    """Send what is not yet in the state file, print the table, and end with 1 if anything was wrong."""
    parser = argparse.ArgumentParser(prog="scripts/interrupt-stages", description=__doc__)
    parser.add_argument("--times", type=int, default=20, help="in each phase, with fake stages")
    parser.add_argument("--tensorflow-times", type=int, default=2)
    parser.add_argument("--short", action="store_true", help="once in each phase, without TensorFlow")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--parallel", type=int, default=3)
    parser.add_argument("--state", type=Path, default=None, help="a file; what it holds is not done again")
    said = parser.parse_args()
    times = (1, 0) if said.short else (said.times, said.tensorflow_times)
    todo = [Told(phase=phase, seed=said.seed * 1000 + number) for number in range(times[0]) for phase in PHASES]
    todo += [replace(told, engine="tensorflow") for told in todo[: times[1] * len(PHASES)]]
    sys.exit(_campaign(todo, said.parallel, said.state or Path(tempfile.mkdtemp()) / "interrupts.jsonl"))


def _campaign(todo: Sequence[Told], parallel: int, state: Path) -> int:
    lines = state.read_text().splitlines(keepends=True) if state.exists() else []
    done = [codec.loads(line, Ended) for line in lines if line.endswith("\n")]
    left = [told for told in todo if told not in {one.told for one in done}]
    say(f"{len(left)} of {len(todo)} signals are left; they are kept in {state}")
    for ended in run(left, server(), parallel=parallel, state=state):
        say(f"{ended.told}: code {ended.stopped.code} after {ended.stopped.wall_s} s, after {ended.stopped.last}")
        for violation in ended.violations:
            say(f"  WRONG {violation}")
        done.append(ended)
    for line in table(done):
        say(line)
    return 1 if any(one.violations for one in done) else 0


if __name__ == "__main__":
    main()
