"""Where an artifact was made, compared and measured, each fact once."""

from collections.abc import Mapping
from typing import Final

from job.records import ArtifactReport

_SAID_ELSEWHERE: Final = frozenset({"mode"})


def told(report: ArtifactReport) -> dict[str, str]:
    """Return the facts by name; one that differs from stage to stage has the stage beside its name."""
    stages: dict[str, Mapping[str, str]] = {"": report.environment}
    stages |= {"compared": report.parity.environment} if report.parity else {}
    stages |= {"compared as run": report.as_run.environment} if report.as_run else {}
    stages |= {"measured": report.benchmark.environment} if report.benchmark else {}
    facts = dict[str, str]()
    for stage, environment in stages.items():
        for name, value in environment.items():
            if name not in _SAID_ELSEWHERE and facts.setdefault(name, value) != value:
                facts[f"{name}, {stage}"] = value
    return facts
