"""Hostile artifacts among good ones in one run of the job, watched from outside."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from tests.hostile_corpus import CASES, Case
from tests.hostile_corpus.canaries import Canaries, canaries
from tests.hostile_corpus.good import write_good
from tests.jobs import JOB, Finished, run_job, with_stages

Guard = Literal["all", "sandbox"]
PROGRAMS: Final[dict[Guard, tuple[str, ...]]] = {"all": JOB, "sandbox": with_stages("tests.unscanned_stages")}


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a run did: the directories whose models it published, and the code of each that it did not."""

    guard: Guard
    good: tuple[str, ...]
    cases: tuple[Case, ...]
    published: frozenset[str]
    codes: dict[str, int]
    harm: tuple[str, ...]
    wall_s: float
    ended: Finished = field(repr=False)

    @property
    def lost(self) -> list[str]:
        """Return the good models that were not published."""
        return [name for name in self.good if name not in self.published]

    @property
    def surprises(self) -> list[str]:
        """Return what hostile artifacts ended with that is not foreseen; with the sandbox alone every code is."""
        return [
            f"{case.name}: {code}, not {sorted(case.codes)}"
            for case in self.cases
            for code in [self.code_of(case)]
            if code < 0 or (self.guard == "all" and code not in case.codes)
        ]

    def code_of(self, case: Case) -> int:
        """Return what a hostile artifact ended with; 0 if it was published, -1 if nothing was said of it."""
        return 0 if case.name in self.published else self.codes.get(case.name, -1)


def campaign(
    home: Path,
    *,
    good: int,
    cases: Sequence[Case] = CASES,
    guard: Guard = "all",
    sandbox: str = "best-effort",
    stage_timeout_s: int = 20,
) -> Outcome:
    """Run the job over good and hostile artifacts below a directory."""
    with canaries(home / "outside") as watched:
        names = write_good(home / "in", good)
        for case in cases:
            (home / "in" / case.name).mkdir(parents=True)
            case.write(home / "in" / case.name, watched.outside)
        (home / "scratch").mkdir()
        start = time.monotonic()
        ended = _run(home, watched, guard, sandbox, stage_timeout_s)
        wall_s = time.monotonic() - start
        time.sleep(1)  # whoever was left behind may knock still
    return Outcome(
        guard=guard,
        good=tuple(names),
        cases=tuple(cases),
        published=frozenset(_directory(event["artifact"]) for event in ended.named("artifact_published")),
        codes={_directory(event["artifact"]): event["code"] for event in ended.named("artifact_failed")},
        harm=tuple(watched.harm()),
        wall_s=wall_s,
        ended=ended,
    )


def _run(home: Path, watched: Canaries, guard: Guard, sandbox: str, stage_timeout_s: int) -> Finished:
    places = ("--source", str(home / "in"), "--dest", str(home / "out"), "--scratch", str(home / "scratch"))
    said = ("--device", "cpu", "--benchmark", "off", "--stage-timeout-s", str(stage_timeout_s), "--all-forms")
    extra = {"HOME": str(watched.home), "JOB_SANDBOX": sandbox, "JOB_MEMORY_LIMIT_MIB": "3000"}
    return run_job("run", *places, *said, extra=extra, program=PROGRAMS[guard], timeout_s=3600, directory=watched.home)


def _directory(artifact: str) -> str:
    return artifact.partition("/")[0]
