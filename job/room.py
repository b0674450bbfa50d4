"""Room in scratch: found out before a download begins, and not by a disk that is full."""

import shutil
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from job.errors import LocalIOError
from job.records import Artifact
from job.storage.files import local_io
from job.wording import size

_COPIES: Final = 2.5  # of an artifact: as it is pulled, as it is converted, and half of it beside them
_CONVERTED: Final = 1.5  # of these, what one that is pulled may still come to take


@dataclass(frozen=True, kw_only=True)
class Claim:
    """What an artifact may still come to take, and whether it is being pulled, lies ready ahead, or is at work."""

    size_bytes: float
    state: Literal["pulled", "ready", "at_work"]


class Room:
    """The room in a directory, and what those there may still come to take.

    Each has a place of its own, a directory, and claims room for as long as that is there.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._claims = dict[Path, Claim]()
        self._lock = threading.Lock()

    def claim(self, place: Path, artifact: Artifact) -> None:
        """Make an artifact's place; raises `LocalIOError` where there is too little room to pull and convert it."""
        with self._lock, local_io(self._directory):
            needed_bytes, free_bytes = self._needed_bytes(artifact, place), self._free_bytes()
            if needed_bytes > free_bytes:
                what = f"scratch has too little room: {size(needed_bytes)} needed, {size(free_bytes)} free"
                raise LocalIOError(what, where=str(self._directory), remedy="free space, or choose another --scratch")
            place.mkdir(parents=True, exist_ok=True)
            self._claims[place] = Claim(size_bytes=_COPIES * artifact.size_bytes, state="pulled")

    def ready(self, place: Path, artifact: Artifact) -> None:
        """Note that an artifact's files are there."""
        with self._lock:
            self._claims[place] = Claim(size_bytes=_CONVERTED * artifact.size_bytes, state="ready")

    def has_room(self, artifact: Artifact) -> bool:
        """Tell whether there is room for one artifact more beside those that are here."""
        with self._lock, local_io(self._directory):
            return self._needed_bytes(artifact) <= self._free_bytes()

    def take(self, place: Path) -> bool:
        """Note that an artifact is at work, until its place is gone; tell whether it is there at all."""
        with self._lock:
            claim = self._living().get(place)
            if claim is not None:
                self._claims[place] = Claim(size_bytes=claim.size_bytes, state="at_work")
            return claim is not None

    def others(self, place: Path) -> frozenset[tuple[Path, Claim]]:
        """Return the places of others with what they claim."""
        with self._lock:
            return frozenset((other, claim) for other, claim in self._living().items() if other != place)

    def reclaim(self) -> None:
        """Remove what lies ready ahead, if nothing is being pulled or at work whose end would make room."""
        with self._lock:
            claims = self._living()
            if all(claim.state == "ready" for claim in claims.values()):
                for place in claims:
                    shutil.rmtree(place, ignore_errors=True)

    def _living(self) -> dict[Path, Claim]:
        """Return the claims of places that are there, and forget the others."""
        self._claims = {place: claim for place, claim in self._claims.items() if place.exists()}
        return self._claims

    def _needed_bytes(self, artifact: Artifact, place: Path | None = None) -> float:
        others = [claim.size_bytes for other, claim in self._living().items() if other != place]
        return _COPIES * artifact.size_bytes + sum(others)

    def _free_bytes(self) -> int:
        self._directory.mkdir(parents=True, exist_ok=True)
        return shutil.disk_usage(self._directory).free
