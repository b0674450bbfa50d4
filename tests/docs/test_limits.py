import re
from collections.abc import Iterator

import pytest

from job.errors import ERRORS
from job.events import EVENTS
from job.findings import FINDINGS
from tests.jobs import ROOT

CODES = {str(error.exit_code) for error in ERRORS}
NAMES = {*FINDINGS, *EVENTS}
OTHERS = {"verdict", "unstable", "not_run", "inspect", "inputs", "outputs", "saved_model_fast"}
"""Words of the report, the command line and the manifest."""


def shown_as() -> Iterator[str]:
    """Yield the second column of every table of limits: how each shows."""
    for line in (ROOT / "docs/limits.md").read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        if line.startswith("| ") and cells[1:] not in (["shows as"], [""]):
            yield cells[-1]


@pytest.mark.parametrize("said", sorted(set(shown_as())))
def test_every_limit_shows_as_something_that_there_is(said: str) -> None:
    """The codes are exit codes, and the names those of findings, events and verdicts."""
    assert set(re.findall(r"(?<![\w.-])\d\d(?!\w)", said)) <= CODES
    assert set(re.findall(r"`([a-z]+(?:_[a-z]+)*)`", said)) <= NAMES | OTHERS
