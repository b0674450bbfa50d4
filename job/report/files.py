"""The files that lie beside a report, and the links that lead there."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import quote

from job import keras_file
from job.layout import COMMIT, REPORT_FILES
from job.records import ArtifactReport

_REPORT: Final = "report.html"

_ABOUT: Final = {
    "report.json": "everything that this page says, for programs",
    "log.jsonl": "what the job did, an event a line",
    keras_file.NAME: "the model for Keras 3",
    f"../{COMMIT}": "every published file with its size and SHA-256",
}


@dataclass(frozen=True, kw_only=True)
class Beside:
    """A file, by its path seen from the report; there is no size where it is still being written."""

    path: str
    size_bytes: int | None = None

    @property
    def link(self) -> str:
        """Return its address, relative to the report's."""
        return quote(self.path)

    @property
    def about(self) -> str:
        """Say what it is, where its name does not."""
        return _ABOUT.get(self.path, "")


def beside(report: ArtifactReport, directory: Path | None) -> tuple[Beside, ...]:
    """Return what will be published with a report that is written to `directory`; of a failure, only what tells of it.

    Without a directory these are the files that any report has.
    """
    if report.status == "already_published":
        return ()
    told = tuple(Beside(path=name) for name in REPORT_FILES if name != _REPORT)
    if report.error is not None:
        return told
    models = tuple(_models(directory)) if directory else ()
    return (*models, *told, Beside(path=f"../{COMMIT}"))


def _models(directory: Path) -> Iterator[Beside]:
    for path in sorted(directory.rglob("*")):
        name = path.relative_to(directory).as_posix()
        if path.is_file() and name not in REPORT_FILES:
            yield Beside(path=name, size_bytes=path.stat().st_size)
