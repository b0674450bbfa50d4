"""What a report is made of: a section is a template in ``templates/sections`` and a line in `SECTIONS`."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from job.records import ArtifactReport
from job.report.environment import told
from job.report.loading import loading_snippets


@dataclass(frozen=True, kw_only=True)
class Section:
    """A part of the report: its heading, its template's name, and whether it has anything to say."""

    name: str
    title: str
    applies: Callable[[ArtifactReport], bool]


SECTIONS: Final = (
    Section(name="loading", title="How to load it", applies=lambda report: bool(loading_snippets(report))),
    Section(name="model", title="What the model is", applies=lambda report: report.summary is not None),
    Section(
        name="findings",
        title="What was assumed or changed",
        applies=lambda report: report.summary is not None and bool(report.summary.findings),
    ),
    Section(name="parity", title="Parity", applies=lambda report: report.parity is not None),
    Section(name="speed", title="Throughput and latency", applies=lambda report: report.benchmark is not None),
    Section(
        name="variants",
        title="The search for a faster model",
        applies=lambda report: report.tuning is not None and bool(report.tuning.variants),
    ),
    Section(name="reproduction", title="How to do it again", applies=lambda report: bool(report.command)),
    Section(name="files", title="Files", applies=lambda report: report.status != "already_published"),
    Section(name="timings", title="What the job took", applies=lambda report: bool(report.timings)),
    Section(
        name="sources",
        title="Source objects",
        applies=lambda report: bool(report.sources or report.artifact.objects),
    ),
    Section(name="environment", title="Where it ran", applies=lambda report: bool(told(report))),
)
