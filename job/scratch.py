"""The directory of this run alone, in which artifacts are pulled and converted."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from job.errors import LocalIOError
from job.wording import size

LEAST_BYTES: Final = 16_000_000
"""What workers keep there before there is any model: logs, requests and results; without it they die unheard."""


@contextmanager
def scratch_directory(parent: str) -> Iterator[Path]:
    """Make a directory below `parent`, by default the system's temporary directory, and remove it at the end.

    Raises `LocalIOError` where that cannot be written to, or has no room for the least of models.
    """
    try:
        directory = Path(tempfile.mkdtemp(prefix="tf1lift-", dir=parent or None))
        free_bytes = shutil.disk_usage(directory).free
    except OSError as error:
        raise LocalIOError(
            f"the scratch directory cannot be used: {error.strerror}",
            where=parent or "the system's temporary directory",
            remedy="make it writable, or choose another --scratch",
        ) from error
    try:
        if free_bytes < LEAST_BYTES:
            what = f"scratch has too little room: {size(LEAST_BYTES)} needed, {size(free_bytes)} free"
            raise LocalIOError(what, where=str(directory.parent), remedy="free space, or choose another --scratch")
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)
