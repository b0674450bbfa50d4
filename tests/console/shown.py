"""A run's display with nothing behind it, for a process at a terminal: ``python -m tests.console.shown WHAT``."""

import os
import signal
import sys
import threading
import time
from dataclasses import replace
from typing import Final

import structlog

from job.console import progress
from job.console.printing import print_table
from job.console.progress import Progress
from job.logs import configure
from tests import samples

DRAWN_S = 0.6
"""Long enough to be drawn."""


def work(shown: Progress) -> None:
    """Take one artifact through what can be shown of it, and another one to its failure."""
    shown.expect(5)
    shown.artifact_started("vision/resnet50")
    begun_s = time.monotonic()
    shown.transfer("vision/resnet50", "pull", 400_000_000, lambda: int((time.monotonic() - begun_s) * 1e8))
    time.sleep(2 * DRAWN_S)
    shown.stage("vision/resnet50", "race as run", waits=True)
    time.sleep(DRAWN_S)
    shown.stage("vision/resnet50", "race as run", about_s=54)
    time.sleep(DRAWN_S)
    structlog.get_logger().warning("stage_retried", reason="a crash " * 20)
    structlog.get_logger().info("stage_ended")
    shown.artifact_finished(samples.PUBLISHED)
    shown.artifact_started("broken/frozen")
    shown.artifact_finished(samples.BROKEN)
    shown.archive_opened("models.zip", 1)
    time.sleep(DRAWN_S)


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
    time.sleep(DRAWN_S)
    shown.abandon()
    os._exit(75)


SCENES: Final = {one.__name__: one for one in (work, crowd, long, interrupted, abandoned)}


def main() -> None:
    """Show one of these."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # whoever starts this may ignore it
    configure("auto", displayed={"stage_ended"})
    try:
        with progress(is_shown=True) as shown:
            shown.phase("starts TensorFlow")
            time.sleep(DRAWN_S)
            SCENES[sys.argv[1]](shown)
    except KeyboardInterrupt:
        sys.exit(75)


if __name__ == "__main__":
    main()
