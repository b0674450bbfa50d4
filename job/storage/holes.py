"""How much of a file is there: one with holes declares gigabytes and takes no disk until it is copied."""

import errno
import os
from pathlib import Path
from typing import Final

from job.errors import Refused

SMALL_BYTES: Final = 64 * 2**20
MOST_HOLLOW: Final = 1000
"""Above `SMALL_BYTES` a file may be so many times what is written of it."""


def check_written(path: Path) -> None:
    """Raise `Refused` for a file that is nearly all holes.

    File systems that do not tell, as those in front of object stores, have none. Raises `OSError`.
    """
    size_bytes = path.stat().st_size
    if size_bytes <= SMALL_BYTES:
        return
    written_bytes = _written_bytes(path, size_bytes, enough_bytes=size_bytes // MOST_HOLLOW)
    if written_bytes * MOST_HOLLOW < size_bytes:
        raise Refused(
            f"the file declares {size_bytes} bytes and stores {written_bytes}: the rest are holes",
            where=str(path),
            remedy="copy it again from where it was made",
        )


def _written_bytes(path: Path, size_bytes: int, enough_bytes: int) -> int:
    """Return how many bytes are no holes, counted until there are enough."""
    written, position = 0, 0
    with path.open("rb") as file:
        while position < size_bytes and written <= enough_bytes:
            try:
                start = os.lseek(file.fileno(), position, os.SEEK_DATA)
            except OSError as error:
                if error.errno == errno.ENXIO:  # no data from here on
                    break
                raise
            position = os.lseek(file.fileno(), start, os.SEEK_HOLE)
            written += position - start
    return written
