"""Make the tables of docs/performance.md: python -m tests.bench [PART ...] [--quick] [--out DIR].

Tables go to the standard output as they are made, and into the document; with --out into DIR instead, as
Markdown and JSON. What --quick makes is a rehearsal, and goes into no document.
"""

import argparse
import importlib
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from job import codec
from tests.bench.document import filled
from tests.bench.table import Table

PARTS: Final = ("models", "first_batch", "jobs", "memory", "transfers")
"""Modules of this package, in the order in which they run."""

DOCUMENT: Final = Path(__file__).resolve().parents[2] / "docs" / "performance.md"


def made(parts: Sequence[str], *, quick: bool) -> Iterator[Table]:
    """Yield the tables of these parts, one part after another: nothing of ours computes beside a measurement."""
    for told in parts:
        part, _, only = told.partition(":")
        module, some = importlib.import_module(f"tests.bench.{part}"), {"only": only.split(",")} if only else {}
        with tempfile.TemporaryDirectory(prefix="tf1lift-bench-") as scratch:
            yield from module.tables(quick=quick, scratch=Path(scratch), **some)


def keep(table: Table, directory: Path) -> None:
    """Write a table below a directory, for people and for programs."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / f"{table.name}.md").write_text(table.markdown(), encoding="utf-8")
    (directory / f"{table.name}.json").write_text(codec.dumps(table, indent=2) + "\n", encoding="utf-8")


def main(arguments: Sequence[str] | None = None, document: Path = DOCUMENT) -> int:
    """Run the bench; returns the exit code."""
    parser = argparse.ArgumentParser(prog="scripts/bench", description="Make the tables of docs/performance.md.")
    parser.add_argument(
        "parts",
        nargs="*",
        metavar="PART",
        help=f"which of {', '.join(PARTS)}; default: all; models:bert takes one model",
    )
    parser.add_argument("--quick", action="store_true", help="a rehearsal, which goes into no document")
    parser.add_argument("--out", type=Path, metavar="DIR", help="write the tables there and not into the document")
    said = parser.parse_args(arguments)
    if unknown := {part.partition(":")[0] for part in said.parts} - set(PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    for table in made(said.parts or PARTS, quick=said.quick):
        sys.stdout.write(table.markdown() + "\n")
        sys.stdout.flush()
        if said.out:
            keep(table, said.out)
        elif not said.quick:
            document.write_text(filled(document.read_text(encoding="utf-8"), [table]), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
