"""A campaign: mutants in batches, each batch one run of the job, and what became of every mutant in a file of lines."""

import hashlib
import json
import shutil
import subprocess
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from job.errors import ERRORS
from tests.fuzz.mutants import Mutant, mutant
from tests.fuzz.seeds import files_of
from tests.jobs import JOB, environment

CONTRACT: Final = frozenset({0, *(error.exit_code for error in ERRORS)})
UNCLASSIFIED: Final = 70
"""A bug of ours: an outcome, but none that says what is wrong with the mutant."""

ARGUMENTS: Final = ("--device", "cpu", "--benchmark", "off", "--stage-timeout-s", "60", "--all-forms")


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of one mutant.

    `kind` is ``published`` or the name of the error; ``left_alone`` where nothing in it looked like a
    model any more; ``lost`` where the job did not say: it died, or forgot it.
    """

    number: int
    seed: str
    file: str
    mutation: str
    is_known: bool
    is_damaged: bool
    kind: str
    reason: str = ""

    @property
    def is_wrong(self) -> bool:
        """Whether it was published although its digests are known, and are others."""
        return self.is_known and self.is_damaged and self.kind == "published"


@dataclass(frozen=True, kw_only=True)
class Run:
    """One batch: with what code the job ended, how long it took, and what it said of each mutant."""

    first: int
    code: int
    wall_s: float
    outcomes: tuple[Outcome, ...]

    @property
    def has_died(self) -> bool:
        """Whether the job itself ended in no way that its contract knows, or forgot a mutant."""
        return self.code not in CONTRACT or any(outcome.kind == "lost" for outcome in self.outcomes)


def hunt(home: Path, *, campaign: int, count: int, batch: int, lanes: int) -> Iterator[Run]:
    """Run `count` mutants, `lanes` batches at a time, and yield each batch when it has ended.

    What a campaign has done already is read from `home`, where it is kept line by line.
    """
    log = home / f"campaign-{campaign}.jsonl"
    home.mkdir(parents=True, exist_ok=True)
    done = list(past(log))
    left = [first for first in range(0, count, batch) if first not in {run.first for run in done}]
    yield from done
    with ThreadPoolExecutor(lanes) as pool:
        numbers = [range(first, min(first + batch, count)) for first in left]
        for run in pool.map(lambda batch: run_batch(home, [mutant(campaign, number) for number in batch]), numbers):
            with log.open("a") as file:
                file.write(json.dumps(asdict(run)) + "\n")
            yield run


def past(log: Path) -> Iterator[Run]:
    """Yield the batches that ended before."""
    for line in log.read_text().splitlines() if log.exists() else []:
        said = json.loads(line)
        yield Run(**said | {"outcomes": tuple(Outcome(**outcome) for outcome in said["outcomes"])})


def run_batch(home: Path, mutants: Sequence[Mutant]) -> Run:
    """Run the job over some mutants; what it leaves is kept only where it died."""
    place = home / f"batch-{mutants[0].number:06d}"
    shutil.rmtree(place, ignore_errors=True)
    for one in mutants:
        (place / "in" / one.name).mkdir(parents=True)
        one.write(place / "in")
    (place / "manifest.yaml").write_text(_manifest(mutants))
    start = time.monotonic()
    code = _run(place)
    wall_s = round(time.monotonic() - start, 1)
    said = _said(place)
    run = Run(first=mutants[0].number, code=code, wall_s=wall_s, outcomes=tuple(_outcome(one, said) for one in mutants))
    if not run.has_died:
        shutil.rmtree(place, ignore_errors=True)
    return run


def _run(place: Path) -> int:
    where = ("--source", str(place / "in"), "--dest", str(place / "out"), "--manifest", str(place / "manifest.yaml"))
    with (place / "stderr").open("w") as stderr:
        command = [*JOB, "run", *where, "--log-format", "json", *ARGUMENTS]
        return subprocess.run(command, env=environment(), stdout=stderr, stderr=stderr, check=False).returncode


def _manifest(mutants: Iterable[Mutant]) -> str:
    """Tell the digests of the undamaged files of those mutants whose digests are known."""
    entries = [{"match": one.name, "sha256": _digests(one)} for one in mutants if one.is_known]
    return json.dumps({"artifacts": entries})  # YAML holds JSON


def _digests(one: Mutant) -> dict[str, str]:
    return {f"{one.name}/{key}": hashlib.sha256(data).hexdigest() for key, data in files_of(one.seed).items()}


def _said(place: Path) -> dict[str, tuple[str, str]]:
    """Return what the run's summary says of each directory: the worst of what lay in it."""
    found: dict[str, tuple[str, str]] = {}
    for summary in (place / "out" / "_runs").rglob("shard-*.json"):
        said = json.loads(summary.read_text())
        for left in said["left_alone"]:
            found.setdefault(left["key"].partition("/")[0], ("left_alone", left["reason"][:200]))
        for report in said["reports"]:
            name = report["artifact"]["name"].partition("/")[0]
            if found.get(name, ("left_alone", ""))[0] in ("left_alone", "published"):
                found[name] = _of_report(report)
    return found


def _of_report(report: dict[str, Any]) -> tuple[str, str]:
    error = report["error"]
    return (error["code_name"], error["what"][:200]) if error else ("published", "")


def _outcome(one: Mutant, said: dict[str, tuple[str, str]]) -> Outcome:
    is_there = any(one.files)
    kind, reason = said.get(one.name, ("lost", "") if is_there else ("left_alone", "no file is left"))
    return Outcome(
        number=one.number,
        seed=one.seed,
        file=one.file,
        mutation=one.mutation,
        is_known=one.is_known,
        is_damaged=one.is_damaged,
        kind=kind,
        reason=reason,
    )
