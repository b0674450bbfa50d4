"""Print every scheme as the table of ``docs/architectures.md``; a test holds both together."""

import sys
from collections.abc import Iterator

from job.engine.architectures import ARCHITECTURES
from job.engine.architectures.inventory import take


def table() -> str:
    """Return the schemes that are proposed for any checkpoint, a row each; depths and widths are the checkpoint's."""
    return "\n".join(["| scheme | is | written by |", "|---|---|---|", *_rows()]) + "\n"


def _rows() -> Iterator[str]:
    for family in ARCHITECTURES:
        for proposal in family(take({})):
            yield f"| `{proposal.scheme}` | {proposal.title} | {proposal.origin} |"


if __name__ == "__main__":
    sys.stdout.write(table())
