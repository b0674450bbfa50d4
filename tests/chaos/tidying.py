"""``gc`` and ``verify`` on what a round has left."""

import subprocess
import sys
from collections.abc import Iterator
from itertools import chain

from tests.chaos.checks import Reader
from tests.chaos.shelves import Shelf
from tests.jobs import environment

UNFINISHED = ".tf1lift-part-"


def untidy(shelf: Shelf, reader: Reader) -> Iterator[str]:
    """Yield what ``gc`` removes and should not, or should and does not, and what ``verify`` then finds wrong."""
    before, orphans = set(shelf.sizes()), set(chain.from_iterable(reader.orphans().values()))
    wanted = {key for key in before - orphans if UNFINISHED not in key}
    if said := _failed(shelf, "gc", "--older-than", "0s"):
        yield said
    after = set(shelf.sizes())
    yield from (f"gc has removed {key}" for key in sorted(wanted - after))
    yield from (f"gc has left {key}" for key in sorted(after - wanted))
    if said := _failed(shelf, "verify"):
        yield said


def _failed(shelf: Shelf, command: str, *arguments: str) -> str:
    ended = subprocess.run(
        [sys.executable, "-m", "job", command, f"{shelf.uri}/out", *arguments],
        env=environment(shelf.extra),
        capture_output=True,
        text=True,
        check=False,
    )
    return f"{command} ended with {ended.returncode}: {ended.stderr[-300:]}" if ended.returncode else ""
