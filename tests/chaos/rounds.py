"""One round: two jobs at the same artifacts, both behind bad networks, one or both killed; then one more, in peace."""

import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from tests.chaos.blows import Blow, Struck, Victim, draw_blow, strike
from tests.chaos.checks import Reader
from tests.chaos.lots import PROGRAMS, Engine, Lot, one_of_each, two_goldens
from tests.chaos.proxy import CALM, STORM, Chances, dice_of
from tests.chaos.shelves import Shelf
from tests.chaos.stages import PAUSE_VARIABLE
from tests.chaos.tidying import untidy
from tests.chaos.workers import Worker, working

REQUESTS: Final[Mapping[Engine, int]] = {"fake": 90, "tensorflow": 60}
"""How many requests a job makes, about."""
SECONDS: Final[Mapping[Engine, float]] = {"fake": 6, "tensorflow": 40}
"""How long a job takes, about."""
_WATCH_S: Final = 0.4
_TIMEOUT_S: Final = 400
_UNHARMED: Final = (0, 74)  # how a job ends that nobody has killed: all is done, or the store failed for too long
_EXPLAINED: Final[Mapping[Victim, tuple[int, ...]]] = {
    "supervisor": (-9,),
    "all": (-9,),
    "zygote": (*_UNHARMED, 70),
    "forkserver": (*_UNHARMED, 70),
    "child": _UNHARMED,
}


@dataclass(frozen=True, kw_only=True)
class Round:
    """What a round shall be; all of it follows from the seed, but for the order of what happens at once."""

    number: int
    seed: int
    engine: Engine
    blows: tuple[Blow | None, ...]
    chances: Chances = field(default_factory=dict)
    pause_s: float = 0.05


@dataclass(frozen=True, kw_only=True)
class Midway:
    """What there was when both workers had ended; `orphans` counts attempts that no commit names."""

    commits: int
    orphans: int


@dataclass(frozen=True, kw_only=True)
class Played:
    """What came of a round; `violations` is empty where all held, and `reasons` are those of artifacts that failed."""

    number: int
    seed: int
    engine: Engine
    codes: tuple[int, ...]
    struck: tuple[Struck, ...]
    faults: dict[str, int]
    endings: dict[str, int]
    midway: Midway
    readings: int
    again_s: float
    violations: tuple[str, ...]
    reasons: tuple[str, ...] = ()


def draw_round(number: int, seed: int, engine: Engine = "fake") -> Round:
    """Return the round of this seed: two workers, each of which is killed in nine cases of ten."""
    dice = dice_of(seed)
    blows = [draw_blow(dice, requests=REQUESTS[engine], seconds=SECONDS[engine]) for _ in range(2)]
    return Round(
        number=number,
        seed=seed,
        engine=engine,
        blows=tuple(blow if dice.random() < 0.9 else None for blow in blows),
        chances={fault: chance * dice.uniform(0.3, 1.7) for fault, chance in STORM.items()},
        pause_s=dice.uniform(0.01, 0.1),
    )


def lot_of(told: Round) -> Lot:
    """Return what a round converts."""
    return two_goldens() if told.engine == "tensorflow" else one_of_each(told.seed)


def play(told: Round, shelf: Shelf, home: Path) -> Played:
    """Play one round on an empty shelf; `home` is an empty directory."""
    lot = lot_of(told)
    lot.put(shelf)
    reader = Reader(shelf, lot.models)
    with ExitStack() as stack:
        workers = [stack.enter_context(_working(told, shelf, home / str(n), n)) for n in range(len(told.blows))]
        struck = _watch(told, workers, reader)
    reader.look_closely()
    midway = Midway(commits=len(reader.artifacts()), orphans=len(reader.orphans()))
    start = time.monotonic()
    with _working(replace(told, chances=CALM), shelf, home / "again", 0) as last:
        last.job.wait(_TIMEOUT_S)
    again_s = round(time.monotonic() - start, 1)
    reader.look_closely()
    reader.violations += untidy(shelf, reader)
    return _played(told, midway, [*workers, last], struck, reader, again_s=again_s)


def _working(told: Round, shelf: Shelf, home: Path, number: int) -> AbstractContextManager[Worker]:
    extra = {PAUSE_VARIABLE: str(told.pause_s)}
    seed = told.seed + number
    program, lanes = PROGRAMS[told.engine], ("--lanes", "2")  # as `REQUESTS` and `SECONDS` were measured
    return working(shelf, home, *lanes, program=program, plan=told.chances, seed=seed, extra=extra)


def _watch(told: Round, workers: Sequence[Worker], reader: Reader) -> list[Struck]:
    """Let the blows fall, and look at the destination until all workers have ended."""
    deadline = time.monotonic() + _TIMEOUT_S
    with ThreadPoolExecutor(len(workers)) as pool:
        blows = [
            pool.submit(strike, blow, worker)
            for blow, worker in zip(told.blows, workers, strict=True)
            if blow is not None
        ]
        while any(worker.job.poll() is None for worker in workers) and time.monotonic() < deadline:
            time.sleep(_WATCH_S)
            reader.look()
        for worker in workers:
            worker.job.kill()  # one that hangs: its code tells
        return [blow.result() for blow in blows]


def _played(
    told: Round, midway: Midway, workers: Sequence[Worker], struck: Sequence[Struck], reader: Reader, *, again_s: float
) -> Played:
    codes = tuple(worker.job.returncode for worker in workers)
    wanted = lot_of(told).artifacts
    violations = [
        *reader.violations,
        *_codes_wrong(workers, told.blows, struck, is_done=midway.commits == len(wanted)),
        *(f"no commit for {name}" for name in wanted - reader.artifacts()),
        *(f"no pointer for {name}" for name in wanted - reader.pointers),
        *_stored_twice(workers),
        *(f"noise: {line}" for worker in workers for line in worker.noise()[:3]),
        *(f"{one.survivors} processes outlived their supervisor" for one in struck if one.survivors),
    ]
    return Played(
        number=told.number,
        seed=told.seed,
        engine=told.engine,
        codes=codes,
        struck=tuple(struck),
        faults=dict(sum((worker.network.faults() for worker in workers), Counter[str]())),
        endings=dict(Counter(ending for worker in workers for ending in _endings(worker))),
        midway=midway,
        readings=reader.readings,
        again_s=again_s,
        violations=tuple(violations),
        reasons=tuple(reason[:200] for worker in workers for reason in worker.reasons()),
    )


def _codes_wrong(
    workers: Sequence[Worker], blows: Sequence[Blow | None], struck: Sequence[Struck], *, is_done: bool
) -> Iterator[str]:
    """Yield the exit codes that nothing explains, with what their jobs said; the last one ran in peace."""
    *hurt, last = workers
    landed = iter(struck)
    for worker, blow in zip(hurt, blows, strict=True):
        hit = next(landed) if blow is not None else None
        if worker.job.returncode not in _explained(hit):
            yield f"code {worker.job.returncode} though {hit}: {worker.reasons()}"
        if worker.job.returncode == 0 and not is_done:
            yield "code 0 with work left"
    if last.job.returncode:
        yield f"code {last.job.returncode} of the run in peace: {last.reasons()}"


def _explained(hit: Struck | None) -> tuple[int, ...]:
    if hit is None or not hit.landed:
        return _UNHARMED
    return _EXPLAINED[hit.victim]


def _stored_twice(workers: Sequence[Worker]) -> list[str]:
    """Return the commits that the server has stored more than once."""
    stored = sum((worker.network.stored("commit.json") for worker in workers), Counter[str]())
    return [f"{path} was stored {times} times" for path, times in stored.items() if times > 1]


def _endings(worker: Worker) -> Iterator[str]:
    """Yield how a worker's artifacts ended, in the log's words; a commit of its own may have lost its answer."""
    lost = {one.path for one in worker.network.seen if one.fault == "lost_response" and one.method == "PUT"}
    for event in worker.events():
        if event["event"] == "artifact_published":
            home = event["place"].rpartition("/")[0]
            is_lost = any(path.endswith(f"/{home}/commit.json") for path in lost)
            yield f"{event['outcome']}, its answer lost" if is_lost else str(event["outcome"])
        elif event["event"] in ("artifact_already_published", "artifact_failed", "stage_retried"):
            yield f"{event['event']} {event.get('code', '')}".strip()
