"""What ``inspect`` says of artifacts, as plain data: ``inspect --json`` prints an `Inspection`."""

from dataclasses import dataclass
from typing import Literal

from job.records import Artifact, ErrorRecord, LeftAlone, SourceSummary


@dataclass(frozen=True, kw_only=True)
class Inspected:
    """One artifact: what is in it, and whether it will convert.

    `will_convert` is `None` where only a listing was asked for and nothing is known against it.
    `summary` is absent where the artifact was not read or took its worker down.
    """

    artifact: Artifact
    will_convert: bool | None
    summary: SourceSummary | None = None
    error: ErrorRecord | None = None


@dataclass(frozen=True, kw_only=True)
class Inspection:
    """Everything under one source: the artifacts, and what is no part of any.

    `schema_version` is as in `ArtifactReport`.
    """

    uri: str
    artifacts: tuple[Inspected, ...]
    left_alone: tuple[LeftAlone, ...]
    schema_version: Literal[1] = 1
