"""Room in scratch: found out before a download begins, and not by a disk that is full."""

import shutil
from pathlib import Path
from typing import Final

from job.errors import LocalIOError
from job.records import Artifact
from job.storage.files import local_io
from job.wording import size

_COPIES: Final = 2.5  # of an artifact: as it is pulled, as it is converted, and half of it beside them
_CONVERTED: Final = 1.5  # of these, what one that is pulled may still come to take


def check_room(directory: Path, artifact: Artifact) -> None:
    """Raise `LocalIOError` where scratch is too small to pull and convert an artifact."""
    needed_bytes, free_bytes = _COPIES * artifact.size_bytes, _free_bytes(directory)
    if needed_bytes > free_bytes:
        what = f"scratch has too little room: {size(needed_bytes)} needed, {size(free_bytes)} free"
        raise LocalIOError(what, where=str(directory), remedy="free space, or choose another --scratch")


def has_room_beside(directory: Path, artifact: Artifact, present: Artifact) -> bool:
    """Tell whether scratch has room for one artifact more while another, which is pulled, is converted."""
    needed_bytes = _COPIES * artifact.size_bytes + _CONVERTED * present.size_bytes
    return needed_bytes <= _free_bytes(directory)


def _free_bytes(directory: Path) -> int:
    with local_io(directory):
        directory.mkdir(parents=True, exist_ok=True)
        return shutil.disk_usage(directory).free
