"""Jobs at work on a shelf, each behind a network of its own."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.chaos.proxy import Chances, Plan, Proxy, proxied
from tests.chaos.shelves import Shelf
from tests.jobs import environment

Process = subprocess.Popen[bytes]

_ENDPOINT: Final = "AWS_ENDPOINT_URL_S3"


@dataclass(frozen=True, kw_only=True)
class Worker:
    """One job; a shelf that is a directory has no network."""

    job: Process
    network: Proxy
    home: Path

    def events(self) -> list[dict[str, Any]]:
        """Return what the job has logged so far; the last line of a killed one may be cut."""
        lines = (self.home / "stderr").read_text(errors="replace").splitlines(keepends=True)
        return [json.loads(line) for line in lines if line.endswith("\n") and line.startswith("{")]

    def reasons(self) -> list[str]:
        """Return why artifacts, or the job itself, failed."""
        return [str(event["reason"]) for event in self.events() if event["event"] in ("artifact_failed", "job_failed")]

    def noise(self) -> list[str]:
        """Return the lines that are no events: there should be none."""
        lines = (self.home / "stderr").read_text(errors="replace").splitlines(keepends=True)
        return [line for line in lines if line.endswith("\n") and not line.startswith("{")]


@contextmanager
def working(
    shelf: Shelf,
    home: Path,
    *arguments: str,
    program: tuple[str, ...],
    plan: Plan | Chances,
    seed: int = 0,
    extra: dict[str, str] | None = None,
    delay_s: float = 0.5,
) -> Iterator[Worker]:
    """Start a job from ``in`` to ``out`` of a shelf; what is left of it at the end is killed."""
    home.mkdir(parents=True)
    with ExitStack() as stack:
        known, network = dict(shelf.extra), Proxy()
        if _ENDPOINT in known:
            network = stack.enter_context(proxied(known[_ENDPOINT], plan, seed=seed, delay_s=delay_s))
            known[_ENDPOINT] = network.endpoint
        command = [*program, "run", "--source", f"{shelf.uri}/in", "--dest", f"{shelf.uri}/out", "--device", "cpu"]
        errors = stack.enter_context((home / "stderr").open("wb"))
        job = subprocess.Popen(
            [*command, "--scratch", str(home), "--benchmark", "off", *arguments],
            env=environment(known | (extra or {})),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=errors,
        )
        try:
            yield Worker(job=job, network=network, home=home)
        finally:
            job.kill()
            job.wait()
