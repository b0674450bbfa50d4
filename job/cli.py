"""Arguments and environment → Settings → exit code.

What only a command needs is imported by it: ``structlog`` alone, with ``rich`` behind it, is two thirds of what
``--help`` took.
"""

import math
import os
import signal
from collections.abc import Callable
from dataclasses import Field
from functools import partial
from typing import Any, Literal, get_args, get_origin

import click
from click.core import ParameterSource

from job import settings as knobs
from job.errors import Interrupted, UsageError
from job.interrupts import leave
from job.settings import ENVIRONMENT_PREFIX, Settings

CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}

RUN_ONLY_KNOBS = (
    *("source", "dest", "device", "benchmark", "tolerance", "seed"),
    *("grace_s", "deadline_s", "shard_index", "shard_count", "metrics"),
    *("require_atomic", "repair"),
)
INSPECT_KNOBS = tuple(knob.name for knob in knobs.knobs() if knob.name not in RUN_ONLY_KNOBS)


def main() -> None:
    """Run the command line and exit with the code of errors.py."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # until a command says what else
    try:
        code = app.main(prog_name="python -m job", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        code = UsageError.exit_code
    except (click.exceptions.Abort, KeyboardInterrupt):
        code = Interrupted.exit_code
    except click.ClickException as error:
        code = _refused(error)
    leave(code if isinstance(code, int) else 0)


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
        multiple=get_origin(kind) is tuple,
        envvar=f"{ENVIRONMENT_PREFIX}{knob.name.upper()}",
        help=knob.metadata["description"],
        metavar=knob.metadata["metavar"] or None,
        show_default=knob.default not in ("", None, False, ()),
    )


class _Names(click.types.StringParamType):
    """One of several names, which a variable separates by commas."""

    envvar_list_splitter = ","


class _Number(click.FloatRange):
    """A number with a least value, which NaN would get past: it is not less than anything."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        number = super().convert(value, param, ctx)
        return self.fail(f"{value!r} is not a number", param, ctx) if math.isnan(number) else number


def _click_type(kind: Any, minimum: float | None) -> Any:
    if get_origin(kind) is tuple:
        return _Names()
    if get_origin(kind) is Literal:
        return click.Choice(get_args(kind))
    if minimum is None or kind is bool:
        return kind
    return click.IntRange(min=int(minimum)) if kind is int else _Number(min=minimum)


@app.command("run", context_settings=CONTEXT)
@_options(tuple(knob.name for knob in knobs.knobs()))
def run_command(**chosen: Any) -> int:
    """Convert every TF1 model under --source, prove it, measure it, and publish it under --dest."""
    return _ended(_run, Settings(**chosen))


@app.command("inspect", context_settings=CONTEXT)
@click.argument("uri")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.option("--listing", is_flag=True, help="List only, at once: do not read the models.")
@_options(INSPECT_KNOBS)
def inspect_command(uri: str, as_json: bool, listing: bool, **chosen: Any) -> int:  # noqa: FBT001 - click passes flags by name
    """List the models under URI and what would be done with each."""
    return _ended(partial(_inspect, as_json=as_json, details=not listing), Settings(source=uri, **chosen))


@app.command("survey", context_settings=CONTEXT)
@_options(tuple(knob.name for knob in knobs.knobs()))
def survey_command(**chosen: Any) -> int:
    """Inspect and convert every model under --source, and print what became of each as Markdown."""
    return _ended(_survey, Settings(**chosen))


@app.command("verify", context_settings=CONTEXT)
@click.argument("dest")
@_options(("only", "log_format"))
def verify_command(**chosen: Any) -> int:
    """Re-hash everything that is published under DEST, and tell what is not as its commit says.

    Ends with 0 where all is whole, with 45 where something is missing, cut or has other bytes, and with 43 where
    nothing is published. Nothing is written, here or there.
    """
    return _ended(_verify, Settings(**chosen))


@app.command("gc", context_settings=CONTEXT)
@click.argument("dest")
@click.option(
    "--older-than",
    default="7d",
    envvar="JOB_OLDER_THAN",
    show_default=True,
    metavar="TIME",
    help="Leave alone what is younger, as its writer may be at work: 90s, 30m, 12h, 7d, 2w.",
)
@click.option("--dry-run", is_flag=True, envvar="JOB_DRY_RUN", help="Remove nothing; say what would be removed.")
@click.option("--reports", is_flag=True, envvar="JOB_REPORTS", help="Remove old reports of failures, too.")
@_options(("log_format",))
def gc_command(older_than: str, dry_run: bool, reports: bool, **chosen: Any) -> int:  # noqa: FBT001 - click passes flags by name
    """Remove from DEST what attempts that died have left: files in no commit, uploads that never ended.

    It removes at once; --dry-run only says what it would. Nothing that a commit lists is ever removed, nor anything
    that tf1lift has not written.
    """
    return _ended(partial(_collect, older_than=older_than, dry_run=dry_run, reports=reports), Settings(**chosen))


def _ended(command: Callable[[Settings], int], settings: Settings) -> int:
    from job.ending import ended  # noqa: PLC0415 - keeps --help fast

    return ended(partial(command, settings), settings.log_format)


def _run(settings: Settings) -> int:
    from job.console import print_index, print_summary  # noqa: PLC0415 - keeps --help fast
    from job.last_words import leave_words, of_run  # noqa: PLC0415
    from job.logs import is_text  # noqa: PLC0415
    from job.running import run  # noqa: PLC0415

    summary = run(settings, os.environ)
    leave_words(of_run(summary.reports, summary.exit_code))
    if is_text(settings.log_format):
        print_summary(summary.reports)
        print_index(f"{settings.dest.rstrip('/')}/{summary.index}", len(summary.left_alone))
    return summary.exit_code


def _inspect(settings: Settings, *, as_json: bool, details: bool) -> int:
    from job.inspecting import inspect  # noqa: PLC0415 - keeps --help fast

    return inspect(settings, os.environ, as_json=as_json, details=details)


def _survey(settings: Settings) -> int:
    from job.surveying import survey  # noqa: PLC0415 - keeps --help fast

    return survey(settings, os.environ)


def _verify(settings: Settings) -> int:
    from job.verifying import verify  # noqa: PLC0415 - keeps --help fast

    return verify(settings)


def _collect(settings: Settings, *, older_than: str, dry_run: bool, reports: bool) -> int:
    from job.collecting import collect  # noqa: PLC0415 - keeps --help fast

    return collect(settings, older_than, dry_run=dry_run, reports=reports)


def _refused(error: click.ClickException) -> int:
    """Say what is wrong with the command line, as any other error is said."""

    def refuse(_: Settings) -> int:
        raise UsageError(error.format_message().removesuffix("."), remedy=_hint(error))

    return _ended(refuse, Settings())


def _hint(error: click.ClickException) -> str:
    """Name the variable that a wrong value came from, or the help that lists the right ones."""
    context = error.ctx if isinstance(error, click.UsageError) else None
    if context and isinstance(error, click.BadParameter) and error.param and error.param.name:
        variable = f"{ENVIRONMENT_PREFIX}{error.param.name.upper()}"
        if context.get_parameter_source(error.param.name) is ParameterSource.ENVIRONMENT:
            return f"correct {variable}, which says so; see {context.command_path} --help"
    return f"see {context.command_path if context else 'python -m job'} --help"
