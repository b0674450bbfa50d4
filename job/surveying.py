"""``survey``: inspect everything under a source, run the job over it, and say of each artifact what became of it."""

from collections.abc import Mapping

import click

from job.discovery import discover
from job.inspecting import SILENT, rehearse_all
from job.interrupts import interruptible
from job.plan import versions
from job.preparing import check_apart
from job.report.survey import render_survey
from job.running import run
from job.settings import Settings
from job.storage import open_source


def survey(settings: Settings, environment: Mapping[str, str]) -> int:
    """Print a table in Markdown on standard output; return the run's exit code."""
    check_apart(settings.source, settings.dest)
    with interruptible():
        source = open_source(settings.source)
        listing = discover(source, only=settings.only, all_forms=settings.all_forms)
        inspected = rehearse_all(settings, environment, source, listing, SILENT)
    summary = run(settings, environment)
    click.echo(render_survey(inspected, summary.reports, versions()), nl=False)
    return summary.exit_code
