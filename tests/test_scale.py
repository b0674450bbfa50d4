"""A prefix of a hundred thousand objects: what a job that wants one of them takes, and what it asks of the store."""

import re
import time
from pathlib import Path

import pytest

from job.discovery import discover
from tests.fakes import put
from tests.jobs import WITHOUT_TENSORFLOW, run_job
from tests.sources import GRAPH_DEF, MemoryStorage

_STATUS = (
    "import os; end = os._exit\n"
    "os._exit = lambda code: (print(open('/proc/self/status').read(), flush=True), end(code))\n"
)
WATCHED = (*WITHOUT_TENSORFLOW[:2], _STATUS + WITHOUT_TENSORFLOW[2])
"""The job without TensorFlow, which at last prints what the kernel says of it."""


def test_discovery_asks_for_each_object_once_at_most() -> None:
    """One read of the head of whatever may be a model; of images, texts and data shards none at all."""
    models = {f"{n}/frozen.pb": GRAPH_DEF for n in range(3000)}
    others = {f"{n}/{name}": b"x" * 2000 for n in range(3000) for name in ("a.jpg", "a.txt", "a.data-00000-of-00001")}
    storage = MemoryStorage(models | others)
    discover(storage, only="*")
    assert sorted(storage.reads) == sorted(models)


@pytest.mark.slow
def test_a_hundred_thousand_objects(tmp_path: Path) -> None:
    """The supervisor stays below 150 MB and looks at 100,000 models in minutes; the one that is wanted is published."""
    put(tmp_path / "in", *(f"{n % 100}/m{n}.pb" for n in range(100_000)))
    start = time.monotonic()
    arguments = ("run", "--source", f"{tmp_path}/in", "--dest", f"{tmp_path}/out", "--benchmark", "off")
    ended = run_job(*arguments, "--only", "7/m7.pb", program=WATCHED, timeout_s=600)
    peak = re.search(r"VmHWM:\s+(\d+) kB", ended.stdout)
    assert peak is not None
    assert ended.code == 0
    assert [event["artifact"] for event in ended.named("artifact_published")] == ["7/m7.pb"]
    assert int(peak[1]) * 1024 < 150e6
    assert time.monotonic() - start < 500
