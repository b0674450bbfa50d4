"""The job as its users start it: a process with arguments, an environment, two streams and an exit code."""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

from job.processes import children_of

ROOT: Final = Path(__file__).parent.parent
GOLDENS: Final = ROOT / "tests" / "goldens"

JOB: Final = (sys.executable, "-m", "job")
_PROGRAM: Final = """
import functools, job.cli, job.inspecting, job.running, job.workers
job.running.Forkserver = functools.partial(job.workers.Forkserver, stages={stages!r})
job.inspecting.Forkserver = job.running.Forkserver
job.cli.main()
"""


def with_stages(module: str) -> tuple[str, ...]:
    """Return the program of a job that takes its stages from a module of the tests, as `tests.stages`."""
    return (sys.executable, "-c", _PROGRAM.format(stages=module))


WITHOUT_TENSORFLOW: Final = with_stages("tests.stages")
"""The same job with the stages of `tests.stages` in place of TensorFlow."""

_NOT_OURS: Final = ("JOB_", "AWS_", "BATCH_")


@dataclass(frozen=True, kw_only=True)
class Finished:
    """How a job ended."""

    code: int
    stdout: str
    stderr: str

    @property
    def events(self) -> list[dict[str, Any]]:
        """Return the events on stderr, each line of which must be one."""
        return [json.loads(line) for line in self.stderr.splitlines()]

    def named(self, event: str) -> list[dict[str, Any]]:
        """Return the events of one name."""
        return [one for one in self.events if one["event"] == event]


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return this process's environment without what steers a job, and with `extra`."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith(_NOT_OURS)}
    return plain | {"PYTHONPATH": str(ROOT), "JOB_SANDBOX": "best-effort"} | dict(extra or {})


def run_job(
    *arguments: str,
    extra: Mapping[str, str] | None = None,
    program: Iterable[str] = JOB,
    timeout_s: float = 240,
    directory: Path | None = None,
) -> Finished:
    """Run a job to its end, in this process's directory or another one."""
    ended = subprocess.run(
        [*program, *arguments],
        env=environment(extra),
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
        cwd=directory,
    )
    return Finished(code=ended.returncode, stdout=ended.stdout, stderr=ended.stderr)


@contextmanager
def started_job(
    *arguments: str,
    extra: Mapping[str, str] | None = None,
    program: Iterable[str] = JOB,
    stderr: IO[str] | int = subprocess.PIPE,
) -> Iterator["subprocess.Popen[str]"]:
    """Start a job and hand it over while it runs; what is left of it at the end is killed."""
    process = subprocess.Popen(
        [*program, *arguments], env=environment(extra), stdout=subprocess.PIPE, stderr=stderr, text=True
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def await_event(process: "subprocess.Popen[str]", event: str, **fields: object) -> dict[str, Any]:
    """Read a job's log until an event comes; fails if the log ends without it."""
    assert process.stderr is not None
    for line in process.stderr:
        said: dict[str, Any] = json.loads(line)
        if said["event"] == event and fields.items() <= said.items():
            return said
    raise AssertionError(f"no {event} came")


def finish(process: "subprocess.Popen[str]", timeout_s: float = 60) -> Finished:
    """Wait for a job's end and return what it has said since it was last read."""
    stdout, stderr = process.communicate(timeout=timeout_s)
    return Finished(code=process.returncode, stdout=stdout, stderr=stderr)


def await_worker(pid: int) -> int:
    """Return the process that a forkserver of a supervisor's zygote has forked, once there is one that stays."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        time.sleep(0.3)
        forkservers = [server for zygote in children_of(pid) for server in children_of(zygote)]
        workers = [worker for server in forkservers for worker in children_of(server)]
        if workers:
            return workers[0]
    raise AssertionError("no worker came")


def descendants(pid: int) -> list[int]:
    """Return the processes that a process has started, and those that these have: not as the job itself finds them."""
    children = [one for one, parent in _parents() if parent == pid]
    return children + [below for child in children for below in descendants(child)]


def _parents() -> Iterator[tuple[int, int]]:
    """Yield every process with its parent."""
    for status in Path("/proc").glob("[0-9]*/status"):
        with suppress(FileNotFoundError, ProcessLookupError):  # ended meanwhile
            found = re.search(r"^PPid:\s*(\d+)", status.read_text(), re.MULTILINE)
            yield int(status.parent.name), int(found[1]) if found else 0


def until(is_so: Callable[[], object], *, timeout_s: float = 10) -> None:
    """Wait until something is so; fails if that takes too long."""
    deadline = time.monotonic() + timeout_s
    while not is_so():
        assert time.monotonic() < deadline, f"it did not come within {timeout_s} s"
        time.sleep(0.05)


def is_alive(pid: int) -> bool:
    """Tell whether a process runs; one that is dead and not yet waited for does not."""
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
