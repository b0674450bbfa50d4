"""A new user: somebody who types what a page says, in order, in a clone of their own."""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.docs import stand_ins
from tests.jobs import ROOT

TIMEOUT_S: Final = 300

QUICKLY: Final = {"JOB_BENCHMARK": "off", "JOB_TUNE_BUDGET": "0", "JOB_SANDBOX": "best-effort", "JOB_DEVICE": "cpu"}
"""What a page's commands run with unless they say otherwise: the same stages, without what takes minutes."""

_NOT_THEIRS: Final = ("JOB_", "AWS_", "BATCH_", "TF1LIFT_")

_SESSION: Final = """
. {state} 2>/dev/null || true
export PATH={commands}:$PATH
trap 'code=$?; {{ export -p; printf "cd %q\\n" "$PWD"; }} >{state}; exit $code' EXIT
set -e
{typed}
"""


@dataclass(frozen=True, kw_only=True)
class Ended:
    """What became of what was typed."""

    code: int
    printed: str
    """Both streams as they came."""

    checked: str
    """What stood in for commands that cannot run here, and what it looked at; empty where all ran."""


class Reader:
    """One page's reader, whose directory and variables stay from block to block.

    `home` must not exist yet; `variables` say where the store is.
    """

    def __init__(self, home: Path, variables: Mapping[str, str]) -> None:
        self.clone = home / "tf1lift"
        _clone(self.clone)
        self._state, self._checked = home / "state.sh", home / "checked"
        self._commands = home / "bin"
        stand_ins.install(self._commands, self.clone)
        told = {
            stand_ins.SAYS_TO: str(self._checked),
            stand_ins.REAL_PATH: os.environ["PATH"],
            stand_ins.IMAGE: os.environ.get(stand_ins.IMAGE, ""),
        }
        self._environment = _environment(home) | dict(variables) | told

    def type(self, script: str) -> Ended:
        """Run a script in the reader's shell, to its first failure."""
        session = _SESSION.format(state=self._state, commands=self._commands, typed=script)
        return self._run(["bash", "-c", session])

    def run_python(self, program: str) -> Ended:
        """Run a Python program where the reader is."""
        place = self._state.with_name("program.py")
        place.write_text(program, encoding="utf-8")
        return self.type(f"python {place}")

    def keep(self, name: str, text: str) -> None:
        """Write a file below the clone, as the page has told."""
        path = self.clone / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def _run(self, command: list[str]) -> Ended:
        self._checked.write_text("")
        ended = subprocess.run(
            command,
            cwd=self.clone,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            timeout=TIMEOUT_S,
            check=False,
        )
        checked = "; ".join(self._checked.read_text().splitlines())
        return Ended(code=ended.returncode, printed=ended.stdout, checked=checked)


def _environment(home: Path) -> dict[str, str]:
    """Return the variables of somebody who has set none of the job's."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith(_NOT_THEIRS)}
    theirs = {
        "HOME": str(home),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(home / "tf1lift"),
        "NO_COLOR": "1",
        "COLUMNS": "120",
    }
    return plain | QUICKLY | theirs


def _clone(place: Path) -> None:
    """Copy what git would: files that are tracked or may come to be."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],  # noqa: S607 - the PATH's git
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():  # not what was removed and is not yet committed so
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, place / name)
