"""Room in scratch: found out before a download begins, and not by a disk that is full."""

import shutil
import threading
from pathlib import Path
from typing import Final

from job.errors import LocalIOError
from job.records import Artifact
from job.storage.files import local_io
from job.wording import size

_COPIES: Final = 2.5  # of an artifact: as it is pulled, as it is converted, and half of it beside them
_CONVERTED: Final = 1.5  # of these, what one that is pulled may still come to take


class Room:
    """The room in a directory, and what those at work there may still come to take.

    Each has a place of its own, a directory, and claims room for as long as that is there.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._claims = dict[Path, float]()
        self._taken = set[Path]()
        self._lock = threading.Lock()

    def claim(self, place: Path, artifact: Artifact) -> None:
        """Make an artifact's place; raises `LocalIOError` where there is too little room to pull and convert it."""
        with self._lock, local_io(self._directory):
            needed_bytes, free_bytes = self._needed_bytes(artifact, place), self._free_bytes()
            if needed_bytes > free_bytes:
                what = f"scratch has too little room: {size(needed_bytes)} needed, {size(free_bytes)} free"
                raise LocalIOError(what, where=str(self._directory), remedy="free space, or choose another --scratch")
            place.mkdir(parents=True, exist_ok=True)
            self._claims[place] = _COPIES * artifact.size_bytes

    def pulled(self, place: Path, artifact: Artifact) -> None:
        """Note that an artifact's files are there."""
        self._claims[place] = _CONVERTED * artifact.size_bytes

    def has_room(self, artifact: Artifact) -> bool:
        """Tell whether there is room for one artifact more beside those that are at work."""
        with self._lock, local_io(self._directory):
            return self._needed_bytes(artifact) <= self._free_bytes()

    def taken(self, place: Path) -> None:
        """Note that an artifact is at work, until its place is gone."""
        self._taken.add(place)

    def at_work(self) -> frozenset[Path]:
        """Return the places of those that are at work."""
        return frozenset(place for place in tuple(self._taken) if place.exists())

    def _needed_bytes(self, artifact: Artifact, place: Path | None = None) -> float:
        others = [claim for other, claim in tuple(self._claims.items()) if other != place and other.exists()]
        return _COPIES * artifact.size_bytes + sum(others)

    def _free_bytes(self) -> int:
        self._directory.mkdir(parents=True, exist_ok=True)
        return shutil.disk_usage(self._directory).free
