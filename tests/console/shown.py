"""A run's display with nothing behind it, for a process at a terminal: ``python -m tests.console.shown WHAT``."""

import os
import signal
import sys
import threading
import time
from dataclasses import replace
from typing import Final

import structlog
from rich.console import Console, ConsoleOptions, RenderResult

from job.console import live, progress
from job.console.printing import print_table
from job.console.progress import Progress
from job.logs import configure
from tests import samples

PATIENCE_S: Final = 3


class _Counting(live._Display):
    """Counts its pictures."""

    pictures = 0

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield from super().__rich_console__(console, options)
        _Counting.pictures += 1


def drawn() -> None:
    """Wait until what there is now is at the terminal, if that takes pictures: the next one may have begun before."""
    before, until_s = _Counting.pictures, time.monotonic() + PATIENCE_S * (os.environ.get("TERM") != "dumb")
    while _Counting.pictures < before + 2 and time.monotonic() < until_s:
        time.sleep(0.01)
    time.sleep(0.1)  # from its making to its writing


def work(shown: Progress) -> None:
    """Take one artifact through what can be shown of it, and another one to its failure."""
    shown.expect(5)
    shown.artifact_started("vision/resnet50")
    begun_s = time.monotonic()
    shown.transfer("vision/resnet50", "pull", 400_000_000, lambda: int((time.monotonic() - begun_s) * 1e8))
    time.sleep(1)  # a rate takes time
    drawn()
    shown.stage("vision/resnet50", "race as run", waits=True)
    drawn()
    shown.stage("vision/resnet50", "race as run", about_s=54)
    drawn()
    structlog.get_logger().warning("stage_retried", reason="a crash " * 20)
    structlog.get_logger().info("stage_ended")
    shown.artifact_finished(samples.PUBLISHED)
    shown.artifact_started("broken/frozen")
    shown.artifact_finished(samples.BROKEN)
    shown.archive_opened("models.zip", 1)
    drawn()


def crowd(shown: Progress) -> None:
    """Have two hundred artifacts, eight at a time."""
    shown.expect(200)
    names = iter([f"family/model-{number}" for number in range(200)])
    lock = threading.Lock()

    def serve() -> None:
        while True:
            with lock:
                name = next(names, "")
            if not name:
                return
            shown.artifact_started(name)
            shown.stage(name, "convert")
            time.sleep(0.02)
            shown.artifact_finished(replace(samples.PUBLISHED, artifact=replace(samples.ARTIFACT, name=name)))

    threads = [threading.Thread(target=serve) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def long(shown: Progress) -> None:
    """Print what is longer than a write, as ``inspect`` does while it reads."""
    shown.phase("reads")
    rows = [(f"family/model-{number:03}", "x" * 40) for number in range(300)]
    print_table(("artifact", "what"), rows)


def interrupted(shown: Progress) -> None:
    """Be told to end."""
    shown.expect(1)
    shown.artifact_started("a")
    time.sleep(60)


def abandoned(shown: Progress) -> None:
    """End without a way out, as a second signal does."""
    shown.artifact_started("a")
    drawn()
    shown.abandon()
    os._exit(75)


SCENES: Final = {one.__name__: one for one in (work, crowd, long, interrupted, abandoned)}


def main() -> None:
    """Show one of these."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # whoever starts this may ignore it
    live._Display = _Counting  # type: ignore[misc]
    configure("auto", displayed={"stage_ended"})
    try:
        with progress(is_shown=True) as shown:
            shown.phase("starts TensorFlow")
            drawn()
            SCENES[sys.argv[1]](shown)
    except KeyboardInterrupt:
        sys.exit(75)


if __name__ == "__main__":
    main()
