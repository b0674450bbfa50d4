import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

import click
import pytest

from job.cli import app
from job.settings import GROUPS, knobs
from tests.jobs import environment, run_job

BASH: Final = shutil.which("bash") or ""
ASK: Final = """
source {script}
COMP_WORDS=({words})
COMP_CWORD=$(( ${{#COMP_WORDS[@]}} - 1 ))
compopt() {{ COMPOPT=$2; }}
_tf1lift_completion tf1lift
echo "$COMPOPT ${{COMPREPLY[*]}}"
"""


def sections(text: str) -> dict[str, list[str]]:
    """Return the options that help lists below each heading."""
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        if heading := re.match(r"(\w[\w ]*):$", line):
            found[heading[1]] = []
        elif option := re.match(r"  (?:-\w, )?(--[\w-]+)", line):
            found[list(found)[-1]].append(option[1])
    return found


def test_help_groups_the_options_by_what_they_are_about() -> None:
    """Every knob is in its group, and the groups have one order."""
    ended = run_job("run", "--help")
    found = sections(ended.stdout)
    assert [name.lower() for name in found] == ["examples", "options", *GROUPS]
    for knob in knobs():
        assert f"--{knob.name.replace('_', '-')}" in found[knob.metadata["group"].capitalize()]


def test_the_usual_commands_come_first() -> None:
    """Whoever reads the list from its top sees what to begin with."""
    listed = run_job("--help").stdout.partition("Commands:")[2].split("\n  ")[1:]
    assert [line.split()[0] for line in listed][:2] == ["run", "inspect"]


def test_a_commands_own_options_come_first() -> None:
    """What ``inspect`` has beside the knobs is not lost among them."""
    found = sections(run_job("inspect", "--help").stdout)
    assert next(iter(found)) == "Options"
    assert found["Options"] == ["--json", "--listing", "--help"]


def test_examples_are_commands_that_parse() -> None:
    """Each line of an example can be copied as it is."""
    lines = re.findall(r"^  python -m job (run .*)$", run_job("run", "--help").stdout, re.MULTILINE)
    assert len(lines) == 4
    for line in lines:
        command = app.commands["run"]
        command.make_context("run", [word.strip("'") for word in line.split()[1:]])


@pytest.mark.parametrize(
    ("arguments", "question"),
    [
        (("run", "--benchmark", "quik"), "'quik' is not one of 'off', 'quick', 'full'; did you mean 'quick'?"),
        (("run", "--sourse", "x"), "'--source'"),
        (("inpsect",), "'inspect'"),
    ],
)
def test_misspelt_options_values_and_commands_are_answered(arguments: tuple[str, ...], question: str) -> None:
    """With what was meant, beside where to look."""
    ended = run_job(*arguments)
    assert ended.code == 2
    assert question in ended.events[0]["reason"]


@pytest.fixture(scope="module")
def complete(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], list[str]]:
    """Return what asks bash's completion of the installed command; a script stands in for that."""
    if not BASH:
        pytest.skip("there is no bash")
    place = tmp_path_factory.mktemp("completion")
    script, command = place / "tf1lift.bash", place / "tf1lift"
    script.write_text(run_job("completion", "bash").stdout)
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m job "$@"\n')
    command.chmod(0o755)
    path = f"{place}:{environment()['PATH']}"

    def ask(words: str) -> list[str]:
        ended = subprocess.run(
            [BASH, "-c", ASK.format(script=script, words=words)],
            env=environment({"PATH": path}),
            capture_output=True,
            text=True,
            check=True,
        )
        assert ended.stderr == ""
        return ended.stdout.split()

    return ask


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("tf1lift in", ["inspect"]),
        ("tf1lift run --bench", ["--benchmark"]),
        ("tf1lift run --benchmark q", ["quick"]),
        ("tf1lift run --allow-op Copy", ["Copy", "CopyHost", "CopyOp", "CopyToMesh", "CopyToMeshGrad"]),
        ("tf1lift completion f", ["fish"]),
        ("tf1lift run --scratch /tm", ["dirnames"]),
        ("tf1lift run --manifest m", ["default"]),
        ("tf1lift inspect mod", ["default"]),
    ],
)
def test_bash_completes(complete: Callable[[str], list[str]], words: str, found: list[str]) -> None:
    """Commands, options, choices and ops by name, and leaves files and directories to bash."""
    assert complete(words) == found


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_has_its_script(shell: str, tmp_path: Path) -> None:
    """For the installed command, whatever the script was printed by; the shell can read it, where there is one."""
    ended = run_job("completion", shell)
    assert (ended.code, ended.stderr) == (0, "")
    assert "tf1lift" in ended.stdout
    assert "python" not in ended.stdout
    if shutil.which(shell):
        (tmp_path / "script").write_text(ended.stdout)
        subprocess.run([shell, "-n", str(tmp_path / "script")], check=True)


def test_completion_asks_for_a_shell() -> None:
    """One that it does not know is wrong usage."""
    with pytest.raises(click.BadParameter):
        app.main(["completion", "tcsh"], standalone_mode=False)
