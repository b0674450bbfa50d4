"""A command line's options, made of the knobs of `job.settings`, in groups that help lists one by one."""

import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import Field
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Literal, get_args, get_origin

import click

from job import settings as knobs
from job.nearest import meant
from job.settings import ENVIRONMENT_PREFIX

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

Command = Callable[..., Any]


class OrderedGroup(click.Group):
    """Commands in the order of the file, the usual ones first."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return the commands' names."""
        return list(self.commands)


class GroupedCommand(click.Command):
    """A command whose help lists the knobs by what they are about, and before them `examples` and its own options.

    An example is what follows the command's name, and what it is good for.
    """

    def __init__(self, *arguments: Any, examples: Sequence[tuple[str, str]] = (), **said: Any) -> None:
        super().__init__(*arguments, **said)
        self._examples = examples

    def format_help_text(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write what the command does, and the examples as they can be copied."""
        super().format_help_text(ctx, formatter)
        if self._examples:
            with formatter.section("Examples"):
                for line, purpose in self._examples:
                    formatter.write(f"  # {purpose}\n  {ctx.command_path} {line}\n")

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write a section for each group that has an option here."""
        records = defaultdict[str, list[tuple[str, str]]](list)
        for parameter in self.get_params(ctx):
            if isinstance(parameter, click.Option) and (record := parameter.get_help_record(ctx)):
                records[getattr(parameter, "group", "options")].append(record)
        for group in ("options", *knobs.GROUPS):
            if group in records:
                with formatter.section(group.capitalize()):
                    formatter.write_dl(records[group])


class _KnobOption(click.Option):
    def __init__(self, *arguments: Any, group: str, **said: Any) -> None:
        super().__init__(*arguments, **said)
        self.group = group


def options(names: tuple[str, ...]) -> Callable[[Command], Command]:
    """Give a command the options of these knobs, in the order of `Settings`."""

    def decorate(command: Command) -> Command:
        for knob in reversed([knob for knob in knobs.knobs() if knob.name in names]):
            command = _option(knob)(command)
        return command

    return decorate


def _option(knob: "Field[Any]") -> Callable[[Command], Command]:
    said, kind = knob.metadata, knobs.kind_of(knob)
    flags = [f"--{knob.name.replace('_', '-')}", *filter(None, [said["short"]])]
    return click.option(
        *flags,
        knob.name,
        cls=_KnobOption,
        group=said["group"],
        default=knob.default,
        type=_click_type(kind, said["minimum"]),
        is_flag=kind is bool,
        multiple=get_origin(kind) is tuple,
        envvar=f"{ENVIRONMENT_PREFIX}{knob.name.upper()}",
        help=said["description"],
        metavar=said["metavar"] or ("NUMBER" if kind in (int, float) else None),
        show_default=knob.default not in ("", None, False, ()),
        shell_complete=_COMPLETIONS.get(said["metavar"]),
    )


class _Names(click.types.StringParamType):
    """One of several names, which a variable separates by commas."""

    envvar_list_splitter = ","


class _Number(click.FloatRange):
    """A number with a least value, which NaN would get past: it is not less than anything."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        number = super().convert(value, param, ctx)
        return self.fail(f"{value!r} is not a number", param, ctx) if math.isnan(number) else number


class _Choice(click.Choice[str]):
    """One of some words, of which a misspelt one is answered with the one that was meant."""

    def get_invalid_choice_message(self, value: Any, ctx: click.Context | None) -> str:
        question = meant(str(value), self.choices)
        return f"{super().get_invalid_choice_message(value, ctx).removesuffix('.')}; {question}".removesuffix("; ")


def _click_type(kind: Any, minimum: float | None) -> Any:
    if get_origin(kind) is tuple:
        return _Names()
    if get_origin(kind) is Literal:
        return _Choice(get_args(kind))
    if minimum is None or kind is bool:
        return kind
    return click.IntRange(min=int(minimum)) if kind is int else _Number(min=minimum)


def complete_path(
    _: click.Context, __: click.Parameter, incomplete: str, kind: Literal["file", "dir"] = "file"
) -> "list[CompletionItem]":
    """Let the shell complete a path: it knows the files."""
    from click.shell_completion import CompletionItem  # noqa: PLC0415 - keeps --help fast

    return [CompletionItem(incomplete, type=kind)]


def _complete_op(_: click.Context, __: click.Parameter, incomplete: str) -> "list[CompletionItem]":
    from click.shell_completion import CompletionItem  # noqa: PLC0415 - keeps --help fast

    from job.engine.ops.classes import CLASSES  # noqa: PLC0415 - reading the list of ops takes a moment

    denied = sorted(op for one in CLASSES if one.runs != "always" for op in one.ops)
    return [CompletionItem(op) for op in denied if op.startswith(incomplete)]


_COMPLETIONS: Final = {
    "URI": complete_path,
    "FILE": complete_path,
    "FILE@sha256:HEX": complete_path,
    "DIR": partial(complete_path, kind="dir"),
    "OP": _complete_op,
}
"""What completes a value, by what help calls it."""
