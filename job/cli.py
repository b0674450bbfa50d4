"""Arguments and environment → Settings → exit code.

What only a command needs is imported by it: ``structlog`` alone, with ``rich`` behind it, is two thirds of what
``--help`` took.
"""

import os
import signal
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Final

import click
from click.core import ParameterSource

from job import settings as knobs
from job.errors import Interrupted, UsageError
from job.interrupts import leave
from job.options import GroupedCommand, OrderedGroup, complete_path, options
from job.settings import ENVIRONMENT_PREFIX, Settings

CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}

RUN_ONLY_KNOBS = (
    *("source", "dest", "device", "benchmark", "tolerance", "seed"),
    *("grace_s", "deadline_s", "shard_index", "shard_count", "metrics"),
    *("require_atomic", "require_proof", "repair", "serving_warmup", "quiet"),
)
INSPECT_KNOBS = tuple(knob.name for knob in knobs.knobs() if knob.name not in RUN_ONLY_KNOBS)

INSTALLED_AS: Final = "tf1lift"
COMPLETION_VARIABLE: Final = "_TF1LIFT_COMPLETE"
"""By this the completion of a shell asks, as click has it."""

RUN_EXAMPLES: Final = (
    ("--source models --dest converted", "a directory into another one"),
    ("--source s3://bucket/tf1 --dest s3://bucket/tf2 --device gpu", "a bucket; ends with code 73 without a GPU"),
    ("--source models --dest converted --only 'vision/*'", "some of the models"),
    ("--source models --dest converted --benchmark off", "at its quickest: no measurement, no search for speed"),
)
COMPLETION_EXAMPLES: Final = (
    ("bash > ~/.local/share/bash-completion/completions/tf1lift", "for bash, with the package bash-completion"),
    ('zsh > "${fpath[1]}/_tf1lift"', "for zsh, after compinit"),
    ("fish > ~/.config/fish/completions/tf1lift.fish", "for fish"),
)

USUAL: Final = """\
The usual commands:

  {program} inspect SOURCE                    what is there, and what would become of it
  {program} run --source SOURCE --dest DEST   convert, prove, measure, publish
  {program} verify DEST                       re-hash what is published

`{program} --help` lists the others, `{program} run --help` all options."""


def main() -> None:
    """Run the command line and exit with the code of errors.py."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # until a command says what else
    program = _program()
    try:
        code = app.main(prog_name=program, complete_var=COMPLETION_VARIABLE, standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError:
        click.echo(USUAL.format(program=program), err=True)
        code = UsageError.exit_code
    except (click.exceptions.Abort, KeyboardInterrupt):
        code = Interrupted.exit_code
    except click.ClickException as error:
        code = _refused(error)
    leave(code if isinstance(code, int) else 0)


def _program() -> str:
    """Return what whoever typed the command has called it."""
    return INSTALLED_AS if Path(sys.argv[0]).stem == INSTALLED_AS else "python -m job"


@click.group(cls=OrderedGroup, context_settings=CONTEXT)
@click.version_option(package_name="tf1lift", prog_name="tf1lift")
def app() -> None:
    """Move TensorFlow 1 models to TF2 SavedModels, with proof.

    Every option can be given as an environment variable: --stage-timeout-s is JOB_STAGE_TIMEOUT_S.
    """


@app.command("run", cls=GroupedCommand, context_settings=CONTEXT, examples=RUN_EXAMPLES)
@options(tuple(knob.name for knob in knobs.knobs()))
def run_command(**chosen: Any) -> int:
    """Convert every TF1 model under --source, prove it, measure it, and publish it under --dest."""
    return _ended(_run, Settings(**chosen), is_displayed=True)


@app.command("inspect", cls=GroupedCommand, context_settings=CONTEXT)
@click.argument("uri", shell_complete=complete_path)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.option("--listing", is_flag=True, help="List only, at once: do not read the models.")
@options(INSPECT_KNOBS)
def inspect_command(uri: str, as_json: bool, listing: bool, **chosen: Any) -> int:  # noqa: FBT001 - click passes flags by name
    """List the models under URI and what would be done with each."""
    return _ended(partial(_inspect, as_json=as_json, details=not listing), Settings(source=uri, **chosen))


@app.command("survey", cls=GroupedCommand, context_settings=CONTEXT)
@options(tuple(knob.name for knob in knobs.knobs()))
def survey_command(**chosen: Any) -> int:
    """Inspect and convert every model under --source, and print what became of each as Markdown."""
    return _ended(_survey, Settings(**chosen), is_displayed=True)


@app.command("verify", cls=GroupedCommand, context_settings=CONTEXT)
@click.argument("dest", shell_complete=complete_path)
@options(("only", "log_format"))
def verify_command(**chosen: Any) -> int:
    """Re-hash everything that is published under DEST, and tell what is not as its commit says.

    Ends with 0 where all is whole, with 45 where something is missing, cut or has other bytes, and with 43 where
    nothing is published. Nothing is written, here or there.
    """
    return _ended(_verify, Settings(**chosen))


@app.command("gc", cls=GroupedCommand, context_settings=CONTEXT)
@click.argument("dest", shell_complete=complete_path)
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
@options(("log_format",))
def gc_command(older_than: str, dry_run: bool, reports: bool, **chosen: Any) -> int:  # noqa: FBT001 - click passes flags by name
    """Remove from DEST what attempts that died have left: files in no commit, uploads that never ended.

    It removes at once; --dry-run only says what it would. Nothing that a commit lists is ever removed, nor anything
    that tf1lift has not written.
    """
    return _ended(partial(_collect, older_than=older_than, dry_run=dry_run, reports=reports), Settings(**chosen))


@app.command("export", cls=GroupedCommand, context_settings=CONTEXT)
@click.argument("dest", shell_complete=complete_path)
@click.argument("target", shell_complete=complete_path)
@click.option(
    "--layout",
    type=click.Choice(("tf-serving", "triton")),
    default="tf-serving",
    envvar="JOB_LAYOUT",
    show_default=True,
    help="Whose directories to write: TARGET/MODEL/VERSION, and for Triton model.savedmodel below it.",
)
@click.option("--fast", is_flag=True, envvar="JOB_FAST", help="Take saved_model_fast where there is one.")
@options(("only", "scratch", "log_format"))
def export_command(target: str, layout: Any, fast: bool, **chosen: Any) -> int:  # noqa: FBT001 - click passes flags by name
    """Write what is published under DEST to TARGET as a server's versions, whole numbers of which it loads the highest.

    A version appears when all of it is there and never changes. A model that is the same bytes as its newest version
    is left as it is; any other is the next version. docs/serving.md shows the servers' side.
    """
    return _ended(partial(_export, target=target, layout=layout, fast=fast), Settings(**chosen))


@app.command("completion", cls=GroupedCommand, context_settings=CONTEXT, examples=COMPLETION_EXAMPLES)
@click.argument("shell", type=click.Choice(("bash", "zsh", "fish")))
def completion_command(shell: str) -> None:
    """Print what makes SHELL complete the commands, options, choices and paths of tf1lift, as it is installed."""
    from click import shell_completion  # noqa: PLC0415 - keeps --help fast

    completer = shell_completion.get_completion_class(shell)
    if completer is not None:  # click has these three
        told = completer(app, {}, INSTALLED_AS, COMPLETION_VARIABLE)
        click.echo(told.source_template % told.source_vars())


def _ended(command: Callable[[Settings], int], settings: Settings, *, is_displayed: bool = False) -> int:
    from job.console.progress import DISPLAYED  # noqa: PLC0415 - keeps --help fast
    from job.ending import ended  # noqa: PLC0415

    displayed = DISPLAYED if is_displayed and settings.log_format == "auto" else frozenset()
    return ended(partial(command, settings), settings.log_format, is_quiet=settings.quiet, displayed=displayed)


def _run(settings: Settings) -> int:
    from job.console.summary import print_end  # noqa: PLC0415 - keeps --help fast
    from job.last_words import leave_words, of_run  # noqa: PLC0415
    from job.logs import is_text  # noqa: PLC0415
    from job.running import run  # noqa: PLC0415

    summary = run(settings, os.environ)
    leave_words(of_run(summary.reports, summary.exit_code))
    if is_text(settings.log_format):
        print_end(summary, settings.dest, is_quiet=settings.quiet)
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


def _export(settings: Settings, *, target: str, layout: Any, fast: bool) -> int:
    from job.serving import export  # noqa: PLC0415 - keeps --help fast

    return export(settings, target, layout=layout, fast=fast)


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
