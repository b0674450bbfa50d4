"""A table of the bench: what was measured, how and on which machine, and its Markdown.

Each part of the bench is a module with a function ``tables(*, quick: bool, scratch: Path) -> list[Table]``;
`scratch` is an empty directory of its own, removed when it has answered.
"""

import os
import platform
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Final

from job.processor import processor
from job.results import Ratio

REFUSED: Final = "not measured"
"""Begins the cell of what could not run here; the reason follows."""


@dataclass(frozen=True, kw_only=True)
class Table:
    """Rows of finished cells under `columns`.

    `measured` says in one or two sentences how the figures came about; `notes` what a reader has to know
    of single rows. `name` is unique in the bench and never changes: it marks the table's place in a document.
    """

    name: str
    title: str
    measured: str
    machine: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.columns):
                raise ValueError(f"{self.name}: a row of {len(row)} cells under {len(self.columns)} columns: {row}")

    def markdown(self, level: int = 3) -> str:
        """Return the table under a heading, which ends with a newline."""
        head = f"{'#' * level} {self.title}\n\n{self.measured} {self.machine}.\n\n"
        return head + "".join(_lines(self.columns, self.rows)) + "".join(f"\n{note}\n" for note in self.notes)


def _lines(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterable[str]:
    for cells in (columns, ["---"] * len(columns), *rows):
        yield "| " + " | ".join(_escaped(cell) for cell in cells) + " |\n"


def _escaped(cell: str) -> str:
    return " ".join(cell.split()).replace("|", "\\|")


def refused(reason: str) -> str:
    """Return the cell of what could not be measured."""
    return f"{REFUSED}: {reason}"


def ratio_cell(ratio: Ratio) -> str:
    """Return a ratio with its interval."""
    return f"{ratio.value:.2f} ({ratio.low:.2f} to {ratio.high:.2f})"


def this_machine() -> str:
    """Return processor, cores, memory, GPUs, system and day, as a table says them."""
    memory_bytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    parts = [
        processor().get("cpu", platform.machine()),
        f"{memory_bytes / 2**30:.0f} GiB",
        *_gpus(),
        f"{platform.system()} {'.'.join(platform.release().split('.')[:2])}",
        f"{datetime.now(timezone.utc):%Y-%m-%d}",
    ]
    return ", ".join(parts)


def _gpus() -> list[str]:
    query = ["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"]
    try:
        said = subprocess.run(query, capture_output=True, text=True, check=True, timeout=30).stdout
    except (OSError, subprocess.SubprocessError):
        return []
    return [f"{name} (driver {driver})" for name, _, driver in (line.partition(", ") for line in said.splitlines())]
