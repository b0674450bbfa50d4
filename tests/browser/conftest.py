"""The browser of this machine, started once."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from tests.browser.browsers import NAMES, installed, opened


@pytest.fixture(scope="module")  # not longer: other tests count what processes a run leaves
def browser() -> Iterator[Browser]:
    """Start the installed browser; tests that want one are skipped where there is none."""
    if not installed():
        pytest.skip(f"no browser is installed: {', '.join(NAMES)}")
    with opened() as browser:
        yield browser
