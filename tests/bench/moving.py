"""Move a directory from or to a store as the job does: python -m tests.bench.moving down|up URI DIRECTORY."""

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from job.commits import PARALLEL
from job.pulling import pull
from job.records import Artifact, Format
from job.storage import open_source, open_storage


def down(uri: str, directory: Path) -> None:
    """Pull all below a URI as one artifact."""
    source = open_source(uri)
    pull(source, Artifact(name="all", format=Format.SAVED_MODEL, entry="", objects=tuple(source.list())), directory)


def up(uri: str, directory: Path) -> None:
    """Upload all files of a directory, as many at a time as a publication."""
    store, files = open_storage(uri), [path for path in sorted(directory.rglob("*")) if path.is_file()]
    with ThreadPoolExecutor(PARALLEL) as pool:
        list(pool.map(lambda path: store.upload(path, path.relative_to(directory).as_posix()), files))


if __name__ == "__main__":
    {"down": down, "up": up}[sys.argv[1]](sys.argv[2], Path(sys.argv[3]))
