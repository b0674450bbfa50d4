"""The tables of docs/ that the code itself knows: `python -m tests.docs.reference` puts them into their pages.

A table stands between ``<!-- table: NAME -->`` and ``<!-- /table -->``.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import Field
from pathlib import Path
from typing import Any, Final, Literal, get_args, get_origin

import click

from job import cli
from job.errors import ERRORS, PRECEDENCE, JobError, Transient
from job.settings import COUNT_VARIABLES, ENVIRONMENT_PREFIX, GROUPS, INDEX_VARIABLES, kind_of, knobs
from job.wording import FORMAT_NAMES
from tests.jobs import ROOT

_TABLE: Final = re.compile(r"(<!-- table: (\w+) -->\n).*?(<!-- /table -->)", re.DOTALL)


def with_tables(text: str) -> str:
    """Return a page with its tables as they are now; raises `KeyError` for one that nobody makes."""
    return _TABLE.sub(lambda found: f"{found[1]}{TABLES[found[2]]()}\n{found[3]}", text)


def options() -> str:
    """Every knob: a table for each group."""
    return "\n\n".join(_group(group) for group in GROUPS)


def _group(group: str) -> str:
    rows = [
        (_flag(knob), _variable(knob), _takes(knob), _default(knob), knob.metadata["description"])
        for knob in knobs()
        if knob.metadata["group"] == group
    ]
    return f"### {group.capitalize()}\n\n" + _table(("option", "variable", "takes", "default", "means"), rows)


def _flag(knob: "Field[Any]") -> str:
    flags = [f"--{knob.name.replace('_', '-')}", knob.metadata["short"]]
    return ", ".join(f"`{flag}`" for flag in flags if flag)


def _variable(knob: "Field[Any]") -> str:
    return f"`{ENVIRONMENT_PREFIX}{knob.name.upper()}`"


def _takes(knob: "Field[Any]") -> str:
    kind = kind_of(knob)
    if kind is bool:
        return "a switch"
    if get_origin(kind) is Literal:
        return ", ".join(f"`{choice}`" for choice in get_args(kind))
    minimum = knob.metadata["minimum"]
    least = f" from {minimum:g}" if minimum is not None else ""
    several = ", more than one" if get_origin(kind) is tuple else ""
    return (knob.metadata["metavar"] or {int: "a whole number", float: "a number"}.get(kind, "text")) + least + several


def _default(knob: "Field[Any]") -> str:
    if isinstance(knob.default, float):
        return f"`{knob.default:g}`"
    return "" if any(knob.default is none for none in ("", None, False, ())) else f"`{knob.default}`"


def own_options() -> str:
    """The options of single commands, which are no knobs."""
    known = {knob.name for knob in knobs()}
    rows = [
        (f"`{name}`", ", ".join(f"`{flag}`" for flag in option.opts), _envvar(option), option.help or "")
        for name, command in sorted(cli.app.commands.items())
        for option in command.params
        if isinstance(option, click.Option) and option.name not in known
    ]
    return _table(("command", "option", "variable", "means"), rows)


def _envvar(option: click.Option) -> str:
    return f"`{option.envvar}`" if option.envvar else ""


def commands() -> str:
    """The commands, and which knobs each takes."""
    everything = {knob.name for knob in knobs()}
    return _table(("command", "does", "options"), (_command(name, everything) for name in sorted(cli.app.commands)))


def _command(name: str, everything: set[str]) -> tuple[str, str, str]:
    command = cli.app.commands[name]
    named = {option.name for option in command.params if isinstance(option, click.Option)}
    taken = [knob.name for knob in knobs() if knob.name in named]
    left_out = [knob.name for knob in knobs() if knob.name not in taken]
    arguments = " ".join(f"{one.make_metavar(_CONTEXT)}" for one in command.params if isinstance(one, click.Argument))
    if not left_out:
        said = "all"
    elif len(taken) < len(everything) / 2:
        said = _flags(taken)
    else:
        said = f"all but {_flags(left_out)}"
    return (f"`{name} {arguments}`".replace(" `", "`"), command.get_short_help_str(200), said)


_CONTEXT: Final = click.Context(cli.app)


def _flags(names: Sequence[str]) -> str:
    return ", ".join(f"`--{name.replace('_', '-')}`" for name in names) or "none"


def engines() -> str:
    """The variables by which batch engines tell a share."""
    rows = [(f"`{index}`", f"`{count}`") for index, count in zip(INDEX_VARIABLES, COUNT_VARIABLES, strict=False)]
    return _table(("which share", "of how many"), rows)


def exit_codes() -> str:
    """Every error with its code; what may be tried again, and what comes first where several happened."""
    rows = [("0", "`ok`", "Every model is published, now or before; or this share has none.", "")]
    rows += [(str(error.exit_code), f"`{error.code_name}`", _says(error), _again(error)) for error in ERRORS]
    order = ", ".join(map(str, PRECEDENCE))
    return _table(("code", "name", "means", "again?"), rows) + f"\n\nOf several, the first of {order} is the run's."


def _says(error: type[JobError]) -> str:
    return " ".join((error.__doc__ or "").replace("``", "`").split())


def _again(error: type[JobError]) -> str:
    return "may help" if issubclass(error, Transient) else "no"


def formats() -> str:
    """Every format with its reader."""
    from job.engine.formats import FORMATS  # noqa: PLC0415 - TensorFlow comes with it

    rows = [(FORMAT_NAMES[kind], f"`{reader.__module__.replace('.', '/')}.py`") for kind, reader in FORMATS.items()]
    return _table(("format", "reader"), rows)


def _table(head: Sequence[str], rows: "Sequence[Sequence[str]] | Iterator[Sequence[str]]") -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)


TABLES: Final[dict[str, Callable[[], str]]] = {
    "commands": commands,
    "engines": engines,
    "exit_codes": exit_codes,
    "formats": formats,
    "options": options,
    "own_options": own_options,
}


def pages() -> Iterator[Path]:
    """Yield the pages that have such tables."""
    yield from (page for page in sorted((ROOT / "docs").rglob("*.md")) if _TABLE.search(page.read_text()))


if __name__ == "__main__":
    for page in pages():
        page.write_text(with_tables(page.read_text(encoding="utf-8")), encoding="utf-8")
