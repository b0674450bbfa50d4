"""Arguments and environment → Settings → exit code."""

import os
import sys
from collections.abc import Callable
from dataclasses import Field
from typing import Any, Literal, get_args, get_origin

import click

from job import settings as knobs
from job.errors import JobError, UsageError
from job.logs import configure, is_terminal
from job.settings import ENVIRONMENT_PREFIX, Settings

CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}

INSPECT_KNOBS = ("only", "manifest", "scratch", "stage_timeout_s", "log_format")


def main() -> None:
    """Run the command line and exit with the code of errors.py."""
    try:
        code = app.main(prog_name="python -m job", standalone_mode=False)
    except click.exceptions.Abort:
        code = 75
    except click.ClickException as error:
        code = _say(UsageError(error.format_message(), remedy=_hint(error)))
    except JobError as error:
        code = _say(error)
    sys.exit(code if isinstance(code, int) else 0)


@click.group(context_settings=CONTEXT)
@click.version_option(package_name="tf1lift", prog_name="tf1lift")
def app() -> None:
    """Move TensorFlow 1 models to TF2 SavedModels, with proof.

    Every option can be given as an environment variable: --stage-timeout-s is JOB_STAGE_TIMEOUT_S.
    """


def _options(names: tuple[str, ...]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Give a command the options of these knobs, in the order of `Settings`."""

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        for knob in reversed([knob for knob in knobs.knobs() if knob.name in names]):
            command = _option(knob)(command)
        return command

    return decorate


def _option(knob: "Field[Any]") -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    flag, kind = f"--{knob.name.replace('_', '-')}", knobs.kind_of(knob)
    minimum = knob.metadata["minimum"]
    return click.option(
        flag,
        knob.name,
        default=knob.default,
        type=_click_type(kind, minimum),
        is_flag=kind is bool,
        envvar=f"{ENVIRONMENT_PREFIX}{knob.name.upper()}",
        help=knob.metadata["description"],
        metavar=knob.metadata["metavar"] or None,
        show_default=knob.default not in ("", None, False),
    )


def _click_type(kind: Any, minimum: float | None) -> Any:
    if get_origin(kind) is Literal:
        return click.Choice(get_args(kind))
    if minimum is None or kind is bool:
        return kind
    return click.IntRange(min=int(minimum)) if kind is int else click.FloatRange(min=minimum)


@app.command("run", context_settings=CONTEXT)
@_options(tuple(knob.name for knob in knobs.knobs()))
def run_command(**chosen: Any) -> int:
    """Convert every TF1 model under --source, prove it, measure it, and publish it under --dest."""
    settings = Settings(**chosen)
    configure(settings.log_format)
    from job.console import print_summary  # noqa: PLC0415 - a command's own imports keep --help fast
    from job.running import run  # noqa: PLC0415

    summary = run(settings, os.environ)
    if settings.log_format == "text" or (settings.log_format == "auto" and is_terminal(sys.stderr)):
        print_summary(summary.reports)
    return summary.exit_code


@app.command("inspect", context_settings=CONTEXT)
@click.argument("uri")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.option("--listing", is_flag=True, help="List only, at once: do not read the models.")
@_options(INSPECT_KNOBS)
def inspect_command(uri: str, as_json: bool, listing: bool, **chosen: Any) -> int:  # noqa: FBT001 - click passes flags by name
    """List the models under URI and what would be done with each."""
    settings = Settings(source=uri, **chosen)
    configure(settings.log_format)
    from job.inspecting import inspect  # noqa: PLC0415 - a command's own imports keep --help fast

    return inspect(settings, os.environ, as_json=as_json, details=not listing)


def _say(error: JobError) -> int:
    click.echo(f"{error.code_name}: {error}", err=True)
    return error.exit_code


def _hint(error: click.ClickException) -> str:
    command = error.ctx.command_path if isinstance(error, click.UsageError) and error.ctx else "python -m job"
    return f"see {command} --help"
