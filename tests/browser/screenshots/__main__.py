"""Make the pictures of docs/images from a real run: scripts/screenshots [--out DIR]."""

import argparse
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from job.errors import Refused
from tests.browser.browsers import NAMES, installed, opened
from tests.browser.screenshots.models import SHOWN, lay_out
from tests.browser.screenshots.pictures import DESKTOP, INDEX, PHONE, SPEED, picture
from tests.browser.screenshots.terminal import Recording, record
from tests.jobs import JOB, ROOT, environment

IMAGES: Final = ROOT / "docs" / "images"
_COLUMNS: Final = 110
_RUN: Final = ("run", "--source", "models", "--dest", "converted", "--device", "cpu")
_INSPECT: Final = ("inspect", f"models/{SHOWN}")


def recorded(arguments: tuple[str, ...], folder: Path) -> Recording:
    """Return what a command of the job shows on a terminal, with `folder` as its working directory."""
    command = " ".join(("python -m job", *arguments))
    its_own = environment({"TERM": "xterm-256color", "COLORTERM": "truecolor"})
    return record((*JOB, *arguments), command=command, columns=_COLUMNS, directory=folder, environment=its_own)


def terminals(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Run the job and inspect one of its models; yield the pictures of it."""
    run = recorded(_RUN, folder)
    if run.code != Refused.exit_code:  # of the model that shall be; all others are worse
        sys.exit(f"the run ended with {run.code}:\n{run.last()}")
    yield "terminal-live.svg", run.svg(run.busiest()).encode()
    yield "terminal-summary.svg", run.svg(run.last()).encode()
    inspected = recorded(_INSPECT, folder)
    yield "terminal-inspect.svg", inspected.svg(inspected.last()).encode()


def pages(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Yield pictures of what the job has published."""
    (report,) = (folder / "converted" / SHOWN).glob("*/*/report.html")
    (index,) = (folder / "converted" / "_runs").glob("*/index-*.html")
    frames = (("report", report, DESKTOP), ("phone", report, PHONE), ("speed", report, SPEED), ("index", index, INDEX))
    with opened() as browser:
        for name, file, frame in frames:
            for scheme in ("light", "dark"):
                yield f"{name}-{scheme}.png", picture(browser, file, frame, scheme)


def main() -> None:
    """Write every picture and say how large it is."""
    parser = argparse.ArgumentParser(prog="scripts/screenshots", description=__doc__)
    parser.add_argument("--out", type=Path, default=IMAGES, metavar="DIR", help="where the pictures go (docs/images)")
    out: Path = parser.parse_args().out
    if not installed():
        sys.exit(f"no browser is installed: {', '.join(NAMES)}")
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="tf1lift-pictures-") as scratch:
        lay_out(Path(scratch) / "models")
        for make in (terminals, pages):
            for name, data in make(Path(scratch)):
                (out / name).write_bytes(data)
                sys.stdout.write(f"{name}: {len(data):,} bytes\n")


if __name__ == "__main__":
    main()
