"""The job's S3 downloads and uploads against ``aws s3 cp`` and rclone, on one server."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Final, Literal
from uuid import uuid4

import boto3
from botocore.config import Config

from job.latency import Window, throughput_ratio
from tests.bench.contest import ROOT, Unable, first_line
from tests.bench.preparing import peers_python
from tests.bench.server import Server, serving
from tests.bench.table import Table, ratio_cell, refused, this_machine

Direction = Literal["down", "up"]

DIRECTIONS: Final[tuple[Direction, ...]] = ("down", "up")

BUCKET: Final = "bench"
OURS: Final = "job"
REFERENCE: Final = "`aws s3 cp`"

MEASURED: Final = (
    "Median throughput of {rounds} rounds in turn, in MB/s, and the ratio to `aws s3 cp` with its interval (bootstrap "
    "over rounds, 95 %); each transfer is a process of its own, from its start to its end, over the loopback to Ceph's "
    "radosgw with its data in memory, which computes on the same cores. All that was copied was compared."
)


@dataclass(frozen=True, kw_only=True)
class Load:
    """So many files of one size."""

    count: int
    size_bytes: int

    def __str__(self) -> str:
        size = f"{self.size_bytes / 1e9:g} GB" if self.size_bytes >= 1e9 else f"{self.size_bytes / 1e6:g} MB"
        return f"{self.count} x {size}"

    @property
    def all_bytes(self) -> int:
        """Return the bytes of all files."""
        return self.count * self.size_bytes

    def write(self, directory: Path) -> None:
        """Write the files, with bytes that no program can shorten."""
        directory.mkdir(parents=True)
        for number in range(self.count):
            with (directory / f"{number:04}.bin").open("wb") as file:
                for start in range(0, self.size_bytes, 1 << 24):
                    file.write(os.urandom(min(1 << 24, self.size_bytes - start)))


LOADS: Final = {
    False: (
        Load(count=1, size_bytes=10**9),
        Load(count=20, size_bytes=50 * 10**6),
        Load(count=500, size_bytes=100_000),
    ),
    True: (
        Load(count=1, size_bytes=250 * 10**6),
        Load(count=5, size_bytes=50 * 10**6),
        Load(count=100, size_bytes=100_000),
    ),
}
ROUNDS: Final = {False: 5, True: 3}


@dataclass(frozen=True, kw_only=True)
class Mover:
    """A program that copies a directory; `commands` take a prefix in the bucket and a local directory."""

    name: str
    checksums: str
    commands: Mapping[Direction, Callable[[str, Path], Sequence[str]]]
    environment: Mapping[str, str] = field(default_factory=dict)

    def move(self, direction: Direction, prefix: str, directory: Path, server: Server) -> float:
        """Copy, and return the seconds that it took; raises `Unable` where it failed."""
        command = self.commands[direction](prefix, directory)
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "RCLONE_"))}
        environment = {**inherited, **server.environment, **self.environment}
        start = time.perf_counter()
        ended = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
        took_s = time.perf_counter() - start
        if ended.returncode:
            raise Unable(first_line(ended.stderr or f"it ended with code {ended.returncode}"))
        return took_s


def ours() -> Mover:
    """Return the job's own storage."""
    program = [sys.executable, "-W", "ignore", "-m", "tests.bench.moving"]
    return Mover(
        name=OURS,
        checksums="SHA-256 of all, and of what comes whatever the store offers; over TLS Content-MD5 of what goes",
        commands={
            "down": lambda prefix, directory: [*program, "down", f"s3://{BUCKET}/{prefix}", str(directory)],
            "up": lambda prefix, directory: [*program, "up", f"s3://{BUCKET}/{prefix}", str(directory)],
        },
    )


def aws() -> Mover:
    """Return awscli of the peers' environment; raises `Unable`."""
    program = [str(Path(peers_python()).with_name("aws")), "s3", "cp", "--recursive", "--only-show-errors"]
    return Mover(
        name=REFERENCE,
        checksums="a CRC32 of all that goes; of what comes whatever CRC the store offers",
        commands={
            "down": lambda prefix, directory: [*program, f"s3://{BUCKET}/{prefix}", str(directory)],
            "up": lambda prefix, directory: [*program, str(directory), f"s3://{BUCKET}/{prefix}"],
        },
    )


def rclone() -> Mover:
    """Return the rclone of the PATH; raises `Unable`."""
    program = shutil.which("rclone")
    if program is None:
        raise Unable("no rclone on the PATH (Debian's package rclone)")
    return Mover(
        name="rclone",
        checksums="MD5 both ways",
        commands={
            "down": lambda prefix, directory: [program, "copy", f":s3:{BUCKET}/{prefix}", str(directory)],
            "up": lambda prefix, directory: [program, "copy", str(directory), f":s3:{BUCKET}/{prefix}"],
        },
        environment={"RCLONE_S3_ENV_AUTH": "true", "RCLONE_S3_PROVIDER": "Ceph", "RCLONE_CONFIG": os.devnull},
    )


MOVERS: Final[Mapping[str, Callable[[], Mover]]] = {OURS: ours, REFERENCE: aws, "rclone": rclone}


def tables(*, quick: bool, scratch: Path) -> Iterator[Table]:
    """Yield the table, or one that says why there is none."""
    movers, absent = dict[str, Mover](), dict[str, str]()
    for name, made in MOVERS.items():
        try:
            movers[name] = made()
        except Unable as error:  # noqa: PERF203 - one of three
            absent[name] = str(error)
    try:
        with serving() as server:
            _make_bucket(server)
            trial = Trial(server, movers, scratch, ROUNDS[quick])
            columns = [(load, direction) for load in LOADS[quick] for direction in DIRECTIONS]
            cells = [trial.run(load, direction) for load, direction in columns]
    except Unable as error:
        columns, cells, absent = [], [], dict.fromkeys(MOVERS, str(error))
    yield Table(
        name="transfers",
        title="S3 transfers",
        measured=MEASURED.format(rounds=ROUNDS[quick]),
        machine=this_machine(),
        columns=("", *(f"{load} {direction}" for load, direction in columns), *([] if columns else ["all"])),
        rows=tuple(
            (name, *(each[name] for each in cells))
            if name in movers and cells
            else (name, refused(absent[name]), *[""] * max(0, len(columns) - 1))
            for name in MOVERS
        ),
        notes=tuple(f"Checksums of {mover.name}: {mover.checksums}." for mover in movers.values()),
    )


@dataclass(frozen=True)
class Trial:
    """Movers on a server, in turn."""

    server: Server
    movers: Mapping[str, Mover]
    scratch: Path
    rounds: int

    def run(self, load: Load, direction: Direction) -> dict[str, str]:
        """Return each mover's cell for one load; what has failed once is out."""
        source, prefix = self.scratch / "source", uuid4().hex
        load.write(source)
        if direction == "down":
            self.movers[OURS].move("up", prefix, source, self.server)
        windows, failed = {name: list[Window]() for name in self.movers}, dict[str, str]()
        for number in range(self.rounds):
            for name in _rotated([name for name in self.movers if name not in failed], number):
                try:
                    took_s = self._once(self.movers[name], direction, prefix, source)
                    windows[name].append(Window(latencies_s=(took_s,)))
                except Unable as error:  # noqa: PERF203 - each may fail
                    failed[name] = refused(str(error))
        shutil.rmtree(source)
        self._empty(prefix)
        return {name: failed.get(name) or _cell(load, name, windows) for name in self.movers}

    def _once(self, mover: Mover, direction: Direction, prefix: str, source: Path) -> float:
        """Return the seconds of one transfer, which must have left what was there, and nothing for the next one."""
        target = self.scratch / "target"
        try:
            if direction == "down":
                took_s = mover.move("down", prefix, target, self.server)
            else:
                prefix = uuid4().hex
                took_s = mover.move("up", prefix, source, self.server)
                self._fetch(prefix, target)
            same = subprocess.run(["diff", "-rq", source, target], capture_output=True, check=False)  # noqa: S607 - POSIX
            if same.returncode:
                raise Unable("what it copied is not what was there")
        finally:
            shutil.rmtree(target, ignore_errors=True)
            if direction == "up":
                self._empty(prefix)
        return took_s

    def _fetch(self, prefix: str, target: Path) -> None:
        """Read back what a mover has stored, by none of the movers: a failure of this one would be its."""
        client = _client(self.server)
        for page in client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=f"{prefix}/"):
            for item in page.get("Contents", ()):
                path = target / item["Key"].removeprefix(f"{prefix}/")
                path.parent.mkdir(parents=True, exist_ok=True)
                client.download_file(BUCKET, item["Key"], str(path))

    def _empty(self, prefix: str) -> None:
        client = _client(self.server)
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=f"{prefix}/")
        for key in [item["Key"] for page in pages for item in page.get("Contents", ())]:
            client.delete_object(Bucket=BUCKET, Key=key)
        self.server.forget()


def _rotated(names: list[str], by: int) -> list[str]:
    start = by % len(names)
    return names[start:] + names[:start]


def _cell(load: Load, name: str, windows: Mapping[str, Sequence[Window]]) -> str:
    speed = f"{load.all_bytes / median(window.duration_s for window in windows[name]) / 1e6:.0f}"
    reference = windows.get(REFERENCE, ())
    if name == REFERENCE or len(reference) != len(windows[name]):
        return speed
    return f"{speed}, {ratio_cell(throughput_ratio(list(zip(reference, windows[name], strict=True))))}"


def _make_bucket(server: Server) -> None:
    _client(server).create_bucket(Bucket=BUCKET)


def _client(server: Server) -> "boto3.client":
    said = server.environment
    session = boto3.session.Session(said["AWS_ACCESS_KEY_ID"], said["AWS_SECRET_ACCESS_KEY"], region_name="us-east-1")
    return session.client(
        "s3", endpoint_url=server.endpoint, config=Config(request_checksum_calculation="when_required")
    )
