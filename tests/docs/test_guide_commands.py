"""What the migration guide tells its readers to type does what it says, with models as broken as theirs."""

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Final

import pytest

from tests.docs import given
from tests.docs.blocks import Block
from tests.docs.guide import Entry, entries
from tests.docs.marks import marks_of
from tests.docs.shown import missing
from tests.jobs import GOLDENS, environment

pytest_plugins = ["tests.docs.store"]

BUCKET: Final = "bucket"
"""What is given where the models lie in a store."""

QUICKLY: Final = {
    "JOB_BENCHMARK": "off",
    "JOB_TUNE_BUDGET": "0",
    "JOB_LOG_FORMAT": "text",
    "CUDA_VISIBLE_DEVICES": "",
}
"""Leave out what only measures, print what a terminal shows, and be a machine without a GPU."""


@dataclass(frozen=True, kw_only=True)
class Typed:
    """What is typed at one model, in one directory, in order."""

    model: str
    commands: tuple[tuple[str, str], ...]
    """Each with the language of its block."""

    files: tuple[tuple[str, str], ...]
    """What the reader has kept before, by name."""


@dataclass(frozen=True, kw_only=True)
class Claim:
    """What one entry says of what is typed: what appears, and how it ends, command by command."""

    place: str
    shown: tuple[str, ...]
    codes: tuple[int, ...]


def claims() -> Iterator[tuple[Typed, Claim]]:
    """Yield every run of blocks that are given the same model, entry by entry."""
    for entry in entries():
        blocks = [block for block in entry.blocks if marks_of(block).given]
        for model, run in groupby(blocks, key=lambda block: marks_of(block).given):
            yield _claim(entry, model, tuple(run))


def _claim(entry: Entry, model: str, blocks: tuple[Block, ...]) -> tuple[Typed, Claim]:
    commands = [(block, command) for block in blocks for command in block.commands()]
    ends = [[0] * (len(block.commands()) - 1) + [marks_of(block).exit_code] for block in blocks]
    kept = tuple((marks_of(block).file, block.text) for block in entry.blocks if marks_of(block).file)
    typed = tuple((block.language, command.typed) for block, command in commands)
    shown = tuple(command.shown for _, command in commands)
    claim = Claim(place=blocks[0].place, shown=shown, codes=tuple(code for codes in ends for code in codes))
    return Typed(model=model, commands=typed, files=kept), claim


CLAIMS: Final[dict[Typed, list[Claim]]] = {}
for _typed, _said in claims():
    CLAIMS.setdefault(_typed, []).append(_said)  # entries that say the same of one model share its run


@pytest.mark.slow
@pytest.mark.parametrize("typed", CLAIMS, ids=[f"{CLAIMS[typed][0].place}-{typed.model}" for typed in CLAIMS])
def test_commands_do_what_the_entries_say(typed: Typed, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """Each ends with the code that is claimed, and prints what is shown."""
    variables = request.getfixturevalue("pages_store") if typed.model == BUCKET else {}
    if typed.model != BUCKET:
        given.prepare(typed.model, tmp_path)
    for name, text in typed.files:
        (tmp_path / name).write_text(text, encoding="utf-8")
    for number, (language, command) in enumerate(typed.commands):
        ended = run(language, command, tmp_path, variables)
        for claim in CLAIMS[typed]:
            said = f"{claim.place}: {command}{ended.stdout}"
            assert ended.returncode == claim.codes[number], said
            assert not missing(claim.shown[number], ended.stdout), said


def run(language: str, typed: str, place: Path, variables: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    """Type something in the reader's shell or Python."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return subprocess.run(
        ["bash", "-c", typed] if language == "console" else [sys.executable, "-c", typed],
        cwd=place,
        env=environment({**QUICKLY, **variables, "PATH": path}),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        timeout=300,
        check=False,
    )


def test_every_model_is_used() -> None:
    """What `given` writes is in the guide, and what the guide is given can be written."""
    used = {typed.model for typed in CLAIMS} - {BUCKET}
    assert used - {path.name for path in GOLDENS.iterdir()} == set(given.made())
