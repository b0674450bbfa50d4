"""``from job import convert``: the job for Python code. docs/library.md is its page.

Each call is a process of its own, `job.called`, as a command is: the caller's signals, logging, threads, directory
and TensorFlow stay as they are. What it logs, the logger ``job`` of Python's `logging` has.
"""

import os
from dataclasses import dataclass, replace
from typing import Final, TypeVar

from job.accepting import check
from job.calling import call
from job.errors import PRECEDENCE, Interrupted, from_record
from job.inspection import Inspection
from job.records import ArtifactReport, ErrorRecord, LeftAlone, ParitySummary, Status
from job.settings import Settings
from job.verification import Verification

Result = TypeVar("Result")

DEFAULTS: Final = Settings()
"""Every option as the command line has it where nothing is said."""

Place = str | os.PathLike[str]
"""A path, or a URI as on the command line."""


@dataclass(frozen=True, kw_only=True)
class ConvertedArtifact:
    """What became of one artifact; places are below the destination as it was named, and empty where nothing is.

    `parity` is what the commit says of both models, also where an earlier run has made it; `report` is this run's.
    """

    name: str
    status: Status
    saved_model: str = ""
    saved_model_fast: str = ""
    keras_file: str = ""
    report_html: str = ""
    parity: tuple[ParitySummary, ...] = ()
    error: ErrorRecord | None = None
    report: ArtifactReport


@dataclass(frozen=True, kw_only=True)
class Converted:
    """What a run came to: its artifacts in the order of the listing, and what is no part of any.

    `exit_code` is what the command would have ended with; `index_html` lists the reports.
    """

    artifacts: tuple[ConvertedArtifact, ...]
    left_alone: tuple[LeftAlone, ...]
    exit_code: int
    index_html: str

    def check(self) -> None:
        """Raise the weightiest error of an artifact as the `JobError` that it is, or `Interrupted`; else nothing."""
        errors = [one.error for one in self.artifacts if one.error is not None]
        if self.exit_code == Interrupted.exit_code:
            raise Interrupted("the run was told to end")
        if errors:
            raise from_record(min(errors, key=lambda error: PRECEDENCE.index(error.exit_code)))


def convert(source: Place, dest: Place, settings: Settings = DEFAULTS) -> Converted:
    """Convert, prove, measure and publish every artifact under `source`, as ``python -m job run`` does.

    An artifact that fails is in what is returned. Raises what ends a run before its artifacts: `UsageError`,
    `NoInput`, `Denied`, `DeviceError` and the others of `job.errors`.
    """
    return _called("convert", replace(settings, source=os.fspath(source), dest=os.fspath(dest)), Converted)


def inspect(source: Place, settings: Settings = DEFAULTS) -> Inspection:
    """Rehearse the conversion of every artifact under `source`, as ``python -m job inspect`` does; raises as `convert`.

    Whoever will not convert is in what is returned, with the reason.
    """
    return _called("inspect", replace(settings, source=os.fspath(source)), Inspection)


def verify(dest: Place, settings: Settings = DEFAULTS) -> Verification:
    """Re-hash everything that is published under `dest`, as ``python -m job verify`` does; raises as `convert`."""
    return _called("verify", replace(settings, dest=os.fspath(dest)), Verification)


def _called(name: str, settings: Settings, kind: type[Result]) -> Result:
    check(settings)
    return call(name, settings, kind)
