"""For all tests."""

from collections.abc import Iterator

import pytest

from job.interrupts import STOPPING


@pytest.fixture(autouse=True)
def _nothing_stops() -> Iterator[None]:
    """Leave a signal to the test that sent it: uploads are refused after one."""
    yield
    STOPPING.clear()
