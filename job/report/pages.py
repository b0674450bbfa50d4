"""The two pages: the report of an artifact, and the index of a run."""

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from job import wording
from job.records import ArtifactReport, LeftAlone
from job.redaction import printable, redacted
from job.report import environment, histogram, index, reproduction, verdict
from job.report.figures import plots_of
from job.report.files import beside
from job.report.loading import loading_snippets
from job.report.sections import SECTIONS

LEFT_ALONE_SHOWN: Final = 1000
"""More is a data set; the run's JSON document has them all."""


def render_html(report: ArtifactReport, *, directory: Path | None = None, scratch: Path | None = None) -> str:
    """Return ``report.html``: the verdict first, then each section that has something to say.

    `directory` is where it will lie, and its files are linked; `scratch` may be written to for a moment.
    """
    sections = [section for section in SECTIONS if section.applies(report)]
    plots, files = plots_of(report, scratch), beside(report, directory)
    return (
        _templates().get_template("report.html.j2").render(report=report, sections=sections, plots=plots, files=files)
    )


def render_index(
    reports: Sequence[ArtifactReport],
    *,
    left_alone: Sequence[LeftAlone] = (),
    links: Mapping[str, str] | None = None,
    told: Mapping[str, str] | None = None,
    document: str = "",
) -> str:
    """Return the index of a run: its artifacts, and the first `LEFT_ALONE_SHOWN` of what it left alone.

    `links` maps names of artifacts to the addresses of their reports, relative to the index. `told` is what
    there is to say of the run as a whole, by name, and `document` the name of its JSON document beside the index.
    """
    return (
        _templates()
        .get_template("index.html.j2")
        .render(
            reports=index.worst_first(reports),
            left_alone=left_alone[:LEFT_ALONE_SHOWN],
            left_alone_more=len(left_alone[LEFT_ALONE_SHOWN:]),
            links=links or {},
            told=dict(told or {}),
            document=document,
        )
    )


@cache
def _templates() -> Environment:
    made = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_shown,
    )
    made.globals.update(
        wording=wording,
        verdict=verdict,
        environment=environment,
        histogram=histogram,
        index=index,
        reproduction=reproduction,
        loading_snippets=loading_snippets,
    )
    return made


def _shown(value: object) -> object:
    """Take secrets and control characters out of every text that a template prints."""
    return printable(redacted(value)) if isinstance(value, str) and not isinstance(value, Markup) else value
