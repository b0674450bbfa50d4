"""How what a report tells is done again: the command that runs its artifact alone, and what failed there."""

import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from job import wording
from job.records import ArtifactReport
from job.redaction import redacted
from job.results import OutputParity, ParityResult
from job.settings import Settings, knobs

DEST: Final = "reproduced"
"""A directory of its own: what is published would be skipped at its destination, and stays untouched."""

OF_THE_MACHINE: Final = (
    *("source", "dest", "only", "seed"),  # which are said in any case
    *("shard_index", "shard_count", "lanes", "scratch", "metrics", "log_format", "quiet"),
    *("deadline_s", "grace_s", "require_atomic", "repair"),
)
"""The settings that decide nothing about a single artifact."""


@dataclass(frozen=True, kw_only=True)
class Step:
    """Something that failed, with what one has to know of it, and the lines of a command that meets it again."""

    title: str
    told: str
    command: tuple[str, ...]


def command_for(settings: Settings, name: str) -> tuple[str, ...]:
    """Return the arguments that run one artifact with the options of this run, without secrets."""
    where = ("--source", settings.source, "--only", name, "--dest", DEST, "--seed", str(settings.seed))
    return tuple(map(redacted, ("python", "-m", "job", "run", *where, *_options(settings))))


def steps(report: ArtifactReport) -> tuple[Step, ...]:
    """Return what failed, in the order in which it came; nothing where all went well or no command is known."""
    return tuple(_steps(report)) if report.command else ()


def as_shell(command: tuple[str, ...]) -> tuple[str, ...]:
    """Write a command for a shell, as a line for each option."""
    lines = list[str]()
    for word in command:
        if not lines or word.startswith("--"):
            lines.append(f"{'  ' if lines else ''}{shlex.quote(word)}")
        else:
            lines[-1] += f" {shlex.quote(word)}"
    return (*(f"{line} \\" for line in lines[:-1]), *lines[-1:])


def _options(settings: Settings) -> Iterator[str]:
    for knob in knobs():
        value, flag = getattr(settings, knob.name), f"--{knob.name.replace('_', '-')}"
        if knob.name in OF_THE_MACHINE or value == knob.default:
            continue
        for one in value if isinstance(value, tuple) else (value,):
            yield from (flag,) if one is True else (flag, str(one))


def _steps(report: ArtifactReport) -> Iterator[Step]:
    command = as_shell(report.command)
    failed = wording.refusals(report)
    if report.error and not failed:
        title = f"The error in stage {report.error.stage}" if report.error.stage else "The error"
        yield Step(title=title, told=f"It ends with exit code {report.error.exit_code}.", command=command)
    for parity in failed:
        yield Step(title=_PARITY[parity.mode], told=" ".join(_differences(parity)), command=command)
    if report.benchmark and report.benchmark.verdict == "unstable":
        told = "On a machine that does nothing else; full measures for longer, so that more windows may agree."
        full = as_shell((*_without(report.command, "--benchmark"), "--benchmark", "full"))
        yield Step(title="The measurement that was not stable", told=told, command=full)


_PARITY: Final = {"exact": "The comparison that failed", "as_run": "The comparison as run that failed"}


def _differences(parity: ParityResult) -> Iterator[str]:
    for output in parity.outputs:
        if output.verdict == "failed":
            yield f"{_name(output)}: {wording.deviation(output)}{_sample(output)}."
    yield "The inputs are drawn anew from the seed in the command, or are those recorded in the manifest."


def _name(output: OutputParity) -> str:
    return f"Output {output.output} of {output.signature}"


def _sample(output: OutputParity) -> str:
    return f", with the sample “{output.worst_sample}”" if output.worst_sample else ""


def _without(command: tuple[str, ...], option: str) -> Iterator[str]:
    """Yield a command's words without an option and its value."""
    words = iter(command)
    for word in words:
        if word == option:
            next(words, None)
        else:
            yield word
