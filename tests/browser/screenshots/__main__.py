"""Make the pictures of docs/images from a real run: scripts/screenshots [--out DIR]."""

import argparse
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from job import codec
from job.errors import Refused
from job.records import ArtifactReport
from tests.browser.browsers import NAMES, installed, opened
from tests.browser.screenshots.models import SHOWN, lay_out
from tests.browser.screenshots.pictures import INDEX, REPORT, SPEED, picture
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


def unsettled(folder: Path) -> str:
    """Say so where the pictures tell of a busy machine: the speed of the model that they show did not settle."""
    measured = codec.loads(_report(folder, "json").read_text(encoding="utf-8"), ArtifactReport).benchmark
    is_settled = measured is not None and measured.verdict == "measured"
    return "" if is_settled else f"the speed of {SHOWN} did not settle: make the pictures again on a quiet machine"


def _report(folder: Path, ending: str) -> Path:
    (report,) = (folder / "converted" / SHOWN).glob(f"*/*/report.{ending}")
    return report


def pages(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Yield pictures of what the job has published."""
    report = _report(folder, "html")
    (index,) = (folder / "converted" / "_runs").glob("*/index-*.html")
    frames = (("report", report, REPORT), ("speed", report, SPEED), ("index", index, INDEX))
    with opened() as browser:
        for name, file, frame in frames:
            for scheme in ("light", "dark"):
                yield f"{name}-{scheme}.png", picture(browser, file, frame, scheme)


def main() -> None:
    """Write every picture and say how large it is; exit code 1 where they would look better on a quiet machine."""
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
        sys.exit(unsettled(Path(scratch)) or 0)


if __name__ == "__main__":
    main()
