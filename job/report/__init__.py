"""The report of one artifact and the index of a run: one HTML file each that needs nothing but itself.

A section is a template in ``templates/sections`` and a line in `SECTIONS`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from job import wording
from job.records import ArtifactReport, LeftAlone
from job.redaction import printable, redacted
from job.report.loading import loading_snippets

LEFT_ALONE_SHOWN: Final = 1000
"""More is a data set; the run's JSON document has them all."""


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
    Section(name="timings", title="What the job took", applies=lambda report: bool(report.timings)),
    Section(
        name="sources",
        title="Source objects",
        applies=lambda report: bool(report.sources or report.artifact.objects),
    ),
    Section(name="environment", title="Where it ran", applies=lambda report: bool(report.environment)),
)


def render_html(report: ArtifactReport) -> str:
    """Return ``report.html``: the verdict first, then each section that has something to say."""
    sections = [section for section in SECTIONS if section.applies(report)]
    return _environment().get_template("report.html.j2").render(report=report, sections=sections)


def render_index(
    reports: Sequence[ArtifactReport],
    *,
    left_alone: Sequence[LeftAlone] = (),
    links: Mapping[str, str] | None = None,
) -> str:
    """Return the index of a run: its artifacts, and the first `LEFT_ALONE_SHOWN` of what it left alone.

    `links` maps names of artifacts to the addresses of their reports, relative to the index.
    """
    shown, more = left_alone[:LEFT_ALONE_SHOWN], len(left_alone[LEFT_ALONE_SHOWN:])
    template = _environment().get_template("index.html.j2")
    return template.render(reports=reports, left_alone=shown, left_alone_more=more, links=links or {})


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_shown,
    )
    environment.globals.update(wording=wording, loading_snippets=loading_snippets)
    return environment


def _shown(value: object) -> object:
    """Take secrets and control characters out of every text that a template prints."""
    return printable(redacted(value)) if isinstance(value, str) and not isinstance(value, Markup) else value
