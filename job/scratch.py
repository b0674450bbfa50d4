"""The directory of this run alone, in which artifacts are pulled and converted."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from job.errors import LocalIOError


@contextmanager
def scratch_directory(parent: str) -> Iterator[Path]:
    """Make a directory below `parent`, by default the system's temporary directory, and remove it at the end.

    Raises `LocalIOError` where that cannot be written to.
    """
    try:
        directory = Path(tempfile.mkdtemp(prefix="tf1lift-", dir=parent or None))
    except OSError as error:
        raise LocalIOError(
            f"the scratch directory cannot be used: {error.strerror}",
            where=parent or "the system's temporary directory",
            remedy="make it writable, or choose another --scratch",
        ) from error
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)
