"""The job on many artifacts, against a loop of the usual script and against its own stages' times."""

import json
import resource
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import boto3

from job.machine import lanes_here
from tests.bench.contest import ROOT, Unable, first_line
from tests.bench.preparing import make
from tests.bench.server import Server, serving
from tests.bench.table import Table, refused, this_machine
from tests.jobs import JOB, environment

BUCKET: Final = "bench"
COMPUTED: Final = ("convert", "verify", "verify as run")
MOVED: Final = ("pull", "publish")
OPTIONS: Final = ("--device", "cpu", "--benchmark", "off", "--tune-budget", "0", "--log-format", "json")
COLUMNS: Final = (
    "", "job", "of that, start", "usual script, a process each", "times as fast", "an artifact: job, script",
    "its stages' own times over lanes", "its transfers", "wall over the larger",
)  # fmt: skip

MEASURED: Final = (
    "From a bucket to a bucket of one server (Ceph's radosgw over the loopback, which computes on the same cores), "
    "without a benchmark. The usual script (tests/bench/usual.py) loads, converts, saves, compares and uploads a model "
    "in a process of its own, one after another; the job verifies each model twice, in processes that did not convert "
    "it. The script runs for some of the models before and after the job; the loop over all is reckoned by their mean."
)

NOTE: Final = (
    "A stage's own time is from its fork to its end, as the job reports it; {lanes} lanes compute at once. The start "
    "is what passes before the first artifact: imports of TensorFlow, listing, finding the device."
)


@dataclass(frozen=True, kw_only=True)
class Load:
    """So many copies of one frozen graph; `inputs` and `outputs` are as the usual script wants them."""

    name: str
    count: int
    sampled: int
    inputs: str
    outputs: str

    def graph(self, scratch: Path) -> bytes:
        """Return the graph's bytes."""
        if self.name == "cond":
            return (ROOT / "tests" / "goldens" / "cond_frozen" / "frozen.pb").read_bytes()
        return make(self.name, scratch / self.name).frozen.read_bytes()


SMALL: Final = Load(name="cond", count=200, sampled=5, inputs="x:0=4x6,flag:0=", outputs="y:0")
RESNETS: Final = Load(name="resnet50", count=10, sampled=3, inputs="inputs:0=1x224x224x3", outputs="logits:0")

LOADS: Final = {
    False: (SMALL, RESNETS),
    True: (replace(SMALL, count=20, sampled=2), replace(RESNETS, count=2, sampled=1)),
}
TITLES: Final = {"cond": "{count} small graphs", "resnet50": "{count} ResNet-50s"}


@dataclass(frozen=True, kw_only=True)
class Took:
    """What a run of the job took: its wall clock, the part before the first artifact, and its stages' own times."""

    wall_s: float
    start_s: float
    computed_s: float
    moved_s: float
    cpu_s: float


def tables(*, quick: bool, scratch: Path) -> Iterator[Table]:
    """Yield the table, or one that says why there is none."""
    loads, rows = LOADS[quick], list[tuple[str, ...]]()
    try:
        with serving() as server:
            rows += [_row(load, Trial(server=server, load=load), scratch) for load in loads]
    except Unable as error:
        rows.append(("all", refused(str(error)), *[""] * (len(COLUMNS) - 2)))
    yield Table(
        name="jobs",
        title="The job on many artifacts",
        measured=MEASURED,
        machine=this_machine(),
        columns=COLUMNS,
        rows=tuple(rows),
        notes=(NOTE.format(lanes=lanes_here()),),
    )


@dataclass(frozen=True, kw_only=True)
class Trial:
    """The job and the script on copies of one graph, on one server."""

    server: Server
    load: Load

    @property
    def environment(self) -> dict[str, str]:
        """Return what both run with."""
        return environment({**self.server.environment, "TF_CPP_MIN_LOG_LEVEL": "2", "CUDA_VISIBLE_DEVICES": "-1"})

    def put(self, graph: bytes) -> None:
        """Store the copies."""
        client = client_of(self.server)
        if not any(bucket["Name"] == BUCKET for bucket in client.list_buckets()["Buckets"]):
            client.create_bucket(Bucket=BUCKET)
        for number in range(self.load.count):
            client.put_object(Bucket=BUCKET, Key=self._key(number), Body=graph)

    def script(self, numbers: Sequence[int]) -> list[float]:
        """Return the seconds of the usual script for each of some copies; raises `Unable`."""
        return [self._timed(self._script(number)) for number in numbers]

    def job(self) -> Took:
        """Run the job on all copies; raises `Unable` where one of them was not published."""
        before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.time()
        load = self.load
        source, dest = f"s3://{BUCKET}/{load.name}/in", f"s3://{BUCKET}/{load.name}/job"
        said = self._said([*JOB, "run", "--source", source, "--dest", dest, *OPTIONS])
        wall_s, after = time.time() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
        events = [json.loads(line) for line in said.splitlines()]
        published = sum(event["event"] == "artifact_published" for event in events)
        if published != load.count:
            raise Unable(f"the job published {published} of {load.count}")
        return Took(
            wall_s=wall_s,
            start_s=_began_s(events) - start,
            computed_s=_total(events, COMPUTED),
            moved_s=_total(events, MOVED),
            cpu_s=(after.ru_utime + after.ru_stime) - (before.ru_utime + before.ru_stime),
        )

    def _script(self, number: int) -> list[str]:
        load = self.load
        places = f"s3://{BUCKET}/{self._key(number)}", f"s3://{BUCKET}/{load.name}/script/{number}"
        return [sys.executable, "-W", "ignore", "-m", "tests.bench.usual", *places, load.inputs, load.outputs]

    def _key(self, number: int) -> str:
        return f"{self.load.name}/in/{number:04}/frozen.pb"

    def _timed(self, command: Sequence[str]) -> float:
        start = time.perf_counter()
        self._said(command)
        return time.perf_counter() - start

    def _said(self, command: Sequence[str]) -> str:
        """Run a program and return what it says on standard error."""
        ended = subprocess.run(command, cwd=ROOT, env=self.environment, capture_output=True, text=True, check=False)
        if ended.returncode:
            raise Unable(first_line(ended.stderr[-2000:] or f"it ended with code {ended.returncode}"))
        return ended.stderr


def _row(load: Load, trial: Trial, scratch: Path) -> tuple[str, ...]:
    """Measure the script, the job, and the script again."""
    title = TITLES[load.name].format(count=load.count)
    try:
        trial.put(load.graph(scratch))
        script_s = trial.script(range(load.sampled))
        took = trial.job()
        script_s += trial.script(range(load.sampled))
    except Unable as error:
        return (title, refused(str(error)), *[""] * (len(COLUMNS) - 2))
    each_s = sum(script_s) / len(script_s)
    computed_s = took.computed_s / lanes_here()
    return (
        title,
        f"{took.wall_s:.1f} s, {took.cpu_s:.0f} s of processors",
        f"{took.start_s:.1f} s",
        f"{load.count * each_s:.0f} s",
        f"{load.count * each_s / took.wall_s:.1f}",
        f"{took.wall_s / load.count:.2f} s, {each_s:.2f} s",
        f"{computed_s:.1f} s",
        f"{took.moved_s:.1f} s",
        f"{took.wall_s / max(computed_s, took.moved_s):.2f}",
    )


def client_of(server: Server) -> Any:
    """Return boto3's client of a server."""
    keys = server.environment
    return boto3.client(
        "s3",
        endpoint_url=server.endpoint,
        aws_access_key_id=keys["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=keys["AWS_SECRET_ACCESS_KEY"],
        region_name="us-east-1",
    )


def _total(events: Sequence[Mapping[str, Any]], stages: Sequence[str]) -> float:
    return sum(float(one["wall_s"]) for one in events if one["event"] == "stage_ended" and one["stage"] in stages)


def _began_s(events: Sequence[Mapping[str, Any]]) -> float:
    said = next(one["timestamp"] for one in events if one["event"] == "artifact_started")
    return datetime.fromisoformat(said.replace("Z", "+00:00")).timestamp()
